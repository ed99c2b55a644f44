"""Malformed NetX files: always a clear error, never a crash, an absurd allocation or a silent misreading."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from lava_reference import RECORDINGS
from test_netx import assert_same, drop, example, put

from lambent.hardware.loihi2 import (
    CUBA,
    ConvLayer,
    InputLayer,
    Loihi2Layer,
    Loihi2Network,
    ResonateAndFire,
    Sigma,
    SigmaDelta,
    load_netx,
    save_netx,
)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-127, 128, shape)


def image_network() -> Loihi2Network:
    """Input units, conv, pool, flatten, sigma-delta, in that order."""
    units = InputLayer("layer/0", "input", (2, 6, 5), 36, bias=3, neuron=CUBA(4096, 100, 25))
    conv = ConvLayer("layer/1", "conv", weights(4, 1, 3, 2), (2, 6, 5), stride=(1, 2), padding=1, groups=2, bias=5)
    pool = ConvLayer("layer/2", "pool", weights(1, 1, 2, 2), conv.shape, stride=2, neuron=CUBA(800, 90, 30))
    dense = Loihi2Layer("layer/4", "dense", weights(3, pool.n_out), neuron=SigmaDelta(5))
    return Loihi2Network(60, [units, conv, pool, dense, Loihi2Layer("layer/5", "dense", weights(2, 3), neuron=Sigma())])


def complex_network() -> Loihi2Network:
    neuron = ResonateAndFire(2000, 3000, 200)
    layer = Loihi2Layer("layer/1", "dense", weights(3, 4), weight_imag=weights(3, 4) + 1, neuron=neuron)
    return Loihi2Network(4, [layer])


NETWORKS = {"dense": example, "image": image_network, "complex": complex_network}

BROKEN = [
    ("image", put("layer/0/shape", np.array([60])), "layer/1/shape: a conv layer is"),
    ("image", put("layer/0/shape", np.array([2, 6, 9])), "layer/1/shape: says"),
    ("image", put("layer/0/shape", np.array([3, 6, 5])), "layer/1/groups: 2 groups of 3 channels"),
    ("image", put("layer/0/shape", np.array([2, 10**6, 10**6])), "layer/0/shape: .* is no shape"),
    ("image", put("layer/0/weight", np.nan), "layer/0/weight: holds NaN"),
    ("image", put("layer/0/weight", 10**6), "layer/0/weight: 1000000 is outside"),
    ("image", put("layer/0/weight", np.ones(2)), "layer/0/weight: must be"),
    ("image", put("layer/0/bias", np.inf), "layer/0/bias: holds NaN or inf"),
    ("image", put("layer/0/neuron/type", "RF_PHASE"), "layer/0/neuron/sinDecay: missing"),
    ("image", put("layer/1/shape", np.array([4, 6, 4])), "layer/1/shape: says"),
    ("image", put("layer/1/shape", np.array([24])), "layer/1/shape: a conv layer is"),
    ("image", drop("layer/1/weight"), "layer/1/weight: missing"),
    ("image", put("layer/1/weight", weights(4, 2, 3, 2)), "layer/1/weight: must be"),
    ("image", put("layer/1/weight", np.full((4, 1, 3, 2), np.nan)), "layer/1/weight: holds NaN"),
    ("image", put("layer/1/weight", np.full((4, 1, 3, 2), 300)), "layer/1/weight: 300 is outside"),
    ("image", drop("layer/1/stride"), "layer/1/stride: missing"),
    ("image", put("layer/1/stride", 0), "layer/1/stride: 0 is outside"),
    ("image", put("layer/1/stride", np.ones(3)), "layer/1/stride: must be"),
    ("image", put("layer/1/stride", 1.5), "layer/1/stride: must be whole"),
    ("image", put("layer/1/padding", -1), "layer/1/padding: -1 is outside"),
    ("image", put("layer/1/padding", 10**9), "layer/1/padding: 1000000000 is outside"),
    ("image", put("layer/1/dilation", 7), "layer/1/shape: .* kernel is larger than the padded image"),
    ("image", put("layer/1/groups", 3), "layer/1/groups: 3 groups of 2 channels"),
    ("image", put("layer/1/groups", -1), "layer/1/groups: -1 groups"),
    ("image", put("layer/1/kernelSize", np.array([2, 3])), "layer/1/weight: must be"),
    ("image", put("layer/1/kernelSize", np.array([-2, 3])), "layer/1/weight: must be"),
    ("image", drop("layer/1/kernelSize", "layer/1/weight"), "layer/1/weight: missing"),
    ("image", put("layer/1/inChannels", 3), "layer/1/inChannels: says 3"),
    ("image", put("layer/1/bias", np.ones(5)), "layer/1/bias: must be"),
    ("image", put("layer/1/delay", np.ones(5)), "layer/1/delay: must be"),
    ("image", put("layer/1/delay", 63), "layer/1/delay: 63 is outside"),
    ("image", put("layer/1/neuron/vThMant", np.ones(5)), "layer/1/neuron/vThMant: must be"),
    ("image", drop("layer/1/neuron"), "layer/1/neuron/type: missing"),
    ("image", put("layer/2/weight", weights(4, 1, 2, 2)), "layer/2/weight: must be"),
    ("image", put("layer/3/shape", np.array([7])), "layer/3/shape: says 7 units, but gets"),
    ("image", put("layer/4/neuron/activation", "tanh"), "layer/4/neuron/activation: 'tanh' is not supported"),
    ("image", put("layer/4/neuron/messageBits", 77), "layer/4/neuron/messageBits: .* 1 to 32"),
    ("image", put("layer/4/neuron/vThMant", -1), "layer/4/neuron/vThMant: -1 is outside"),
    ("image", put("layer/5/bias", np.ones(2)), "layer/5/bias: has no meaning"),
    ("image", put("layer/5/type", "average"), "layer/5/shape: average: 3 units cannot be split into 2"),
    ("image", put("layer/4/type", "average"), "layer/4/shape: average|layer/4/type: an average must be the last"),
    ("complex", drop("layer/1/weight/imag"), "layer/1/weight/imag: missing"),
    ("complex", drop("layer/1/weight/real"), "layer/1/weight/real: missing"),
    ("complex", put("layer/1/weight/imag", weights(4, 3)), "layer/1/weight/imag: must be"),
    ("complex", put("layer/1/weight/imag", np.full((3, 4), np.nan)), "layer/1/weight/imag: holds NaN"),
    ("complex", put("layer/1/neuron/sinDecay", 4097), "layer/1/neuron/sinDecay: 4097 is outside"),
    ("complex", put("layer/1/neuron/cosDecay", np.nan), "layer/1/neuron/cosDecay: holds NaN"),
    ("complex", put("layer/1/bias", np.ones(3)), "layer/1/bias: has no meaning"),
    ("complex", put("layer/1/neuron/type", "SDNN"), "layer/1/weight/imag: must be there for resonate"),
    ("dense", put("layer/1/neuron/type", "RF_PHASE"), "layer/1/neuron/sinDecay: missing"),
]


@pytest.mark.parametrize("index", range(len(BROKEN)))
def test_the_culprit_is_named(tmp_path: Path, index: int) -> None:
    which, change, message = BROKEN[index]
    path = tmp_path / "broken.net"
    save_netx(NETWORKS[which](), path)
    with h5py.File(path, "r+") as h5:
        change(h5)
    with pytest.raises(ValueError, match=rf"broken\.net: ({message})"):
        load_netx(path)


def absurd_image(h5: h5py.File) -> None:
    put("layer/0/shape", np.array([2, 9000, 9000]))(h5)
    put("layer/1/shape", np.array([4, 9000, 4501]))(h5)


def absurd_kernel(h5: h5py.File) -> None:
    put("layer/1/kernelSize", np.array([30000, 30000]))(h5)
    put("layer/1/padding", np.array([30000, 30000]))(h5)
    del h5["layer/1/weight"]
    h5.create_dataset("layer/1/weight", (4, 1, 30000, 30000), np.float32, chunks=(1, 1, 64, 64))


def absurd_zeros(h5: h5py.File) -> None:
    """64 MiB of weights of which one chunk is in the file."""
    n = 4096
    put("layer/0/shape", np.array([n]))(h5)
    put("layer/1/shape", np.array([n]))(h5)
    for name in ("inFeatures", "outFeatures", "weight", "weight_rec", "delay", "bias", "type", "neuron"):
        del h5[f"layer/1/{name}"]
    h5["layer/1/type"] = "dense"
    h5.create_dataset("layer/1/weight", (n, n), np.float32, chunks=(64, 64))[:64, :64] = 1


def absurd_units(h5: h5py.File) -> None:
    n = 1 << 27
    put("layer/1/shape", np.array([n]))(h5)
    put("layer/1/outFeatures", n)(h5)


@pytest.mark.parametrize(
    ("which", "change"),
    [("image", absurd_image), ("image", absurd_kernel), ("dense", absurd_units), ("dense", absurd_zeros)],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(
    tmp_path: Path, which: str, change: Callable[[h5py.File], None]
) -> None:
    path = tmp_path / "broken.net"
    save_netx(NETWORKS[which](), path)
    with h5py.File(path, "r+") as h5:
        change(h5)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"broken\.net: layer/"):
            load_netx(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def load_or_refuse(path: Path) -> Loihi2Network | None:
    """The network, or None if the file is refused as it should be."""
    try:
        return load_netx(path)
    except ValueError as error:
        if not str(error).startswith(f"{path}: "):
            raise AssertionError("the error does not name the file") from error
        return None


def damaged_copies(content: bytes, trials: int, seed: int) -> Iterator[bytes]:
    """Copies cut off, or with some bytes overwritten by zeros, ones or anything, or with flipped bits."""
    rng = np.random.default_rng(seed)
    for trial in range(trials):
        copy = bytearray(content)
        if trial % 5 == 0:
            del copy[rng.integers(len(content)) :]
        else:
            for at in rng.integers(0, len(content), rng.integers(1, 20)):
                copy[at] = (0, rng.integers(256), 255, copy[at] ^ 1 << rng.integers(8))[trial % 5 - 1]
        yield bytes(copy)


@pytest.mark.parametrize("which", NETWORKS)
def test_damaged_files_never_crash_and_never_lie(tmp_path: Path, which: str) -> None:
    """Files of lambent carry checksums: what loads is what was written."""
    original, path = tmp_path / "original.net", tmp_path / "damaged.net"
    network = NETWORKS[which]()
    save_netx(network, original)
    refused = 0
    for copy in damaged_copies(original.read_bytes(), 200, seed=0):
        path.write_bytes(copy)
        loaded = load_or_refuse(path)
        refused += loaded is None
        if loaded is not None:
            assert_same(loaded, network)
    assert refused > 100


def without_checksums(path: Path, target: Path) -> None:
    """The same network in the older layout that Lava's files have."""
    with h5py.File(path) as source, h5py.File(target, "w") as copy:

        def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                copy[name] = item[()]

        source.visititems(visit)


def recorded(name: str) -> Path:
    return next(path for path in RECORDINGS if path.stem == name)


@pytest.mark.parametrize("name", ["conv_flatten_dense", "sigma_delta", "rf_phase", "input_vector"])
def test_damaged_files_without_checksums_never_crash(tmp_path: Path, name: str) -> None:
    """A changed weight is a weight then; but what loads is a network, which runs."""
    recording = recorded(name)
    original, path = tmp_path / "original.net", tmp_path / "damaged.net"
    without_checksums(recording, original)
    assert_same(load_netx(original), load_netx(recording))
    check_damaged(original, path, 100)


@pytest.mark.parametrize("name", ["bias", "recurrent", "delay_per_synapse"])
def test_damaged_files_of_lava_never_crash(tmp_path: Path, name: str) -> None:
    check_damaged(recorded(name), tmp_path / "damaged.net", 100)


def check_damaged(original: Path, path: Path, trials: int) -> None:
    for copy in damaged_copies(original.read_bytes(), trials, seed=1):
        path.write_bytes(copy)
        loaded = load_or_refuse(path)
        if loaded is not None and loaded.n_in < 10_000:
            loaded.run(np.zeros((1, loaded.n_in, 2), np.int8), record=())
