"""NetX files: round trips, the layout Lava reads, and files that are broken."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lava_reference import RECORDINGS, random_layer

from lambent.hardware.loihi2 import Average, ConvLayer, Loihi2Layer, Loihi2Network, Readout, load_netx, save_netx

LAYER_VALUES = (
    "weight",
    "weight_rec",
    "weight_imag",
    "delay",
    "delay_rec",
    "stride",
    "padding",
    "dilation",
    "groups",
    "gain",
)


def assert_same(a: Loihi2Network, b: Loihi2Network) -> None:
    for name in ("n_in", "in_shape", "dt", "message_bits"):
        assert getattr(a, name) == getattr(b, name)
    assert len(a.layers) == len(b.layers)
    for x, y in zip(a.layers, b.layers, strict=True):
        assert (type(x), x.kind, x.in_shape, x.shape) == (type(y), y.kind, y.in_shape, y.shape)
        assert type(x.neuron) is type(y.neuron)
        np.testing.assert_array_equal(x.per_unit(x.bias), y.per_unit(y.bias))
        for name in LAYER_VALUES:
            left, right = getattr(x, name, None), getattr(y, name, None)
            assert (left is None) == (right is None)
            if left is not None:
                np.testing.assert_array_equal(left, right, err_msg=name)
        for name, left in vars(x.neuron).items():
            np.testing.assert_array_equal(left, getattr(y.neuron, name), err_msg=name)
    assert type(a.readout) is type(b.readout)
    if isinstance(a.readout, Average) and isinstance(b.readout, Average):
        assert a.readout.n_classes == b.readout.n_classes
    if isinstance(a.readout, Readout) and isinstance(b.readout, Readout):
        assert (a.readout.reduce, a.readout.labels) == (b.readout.reduce, b.readout.labels)
        np.testing.assert_array_equal(a.readout.scale, b.readout.scale)


def example() -> Loihi2Network:
    layers = [random_layer(0, 6, 4, recurrent=True, delay="synapse"), random_layer(1, 4, 3)]
    return Loihi2Network(6, layers, dt=0.5, readout=Readout("exp_mean", np.array([1.5, 2, 3]), ("a", "b", "ç")))


@given(
    sizes=st.lists(st.integers(1, 8), min_size=2, max_size=4),
    recurrent=st.booleans(),
    delay=st.sampled_from(["none", "scalar", "in", "out", "synapse"]),
    extreme=st.booleans(),
    dt=st.floats(1e-3, 100),
    reduce=st.sampled_from([None, "mean", "exp_mean", "max", "last", "none"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(
    tmp_path: Path,
    sizes: list[int],
    recurrent: bool,
    delay: str,
    extreme: bool,
    dt: float,
    reduce: str | None,
    seed: int,
) -> None:
    layers = [
        random_layer(seed + i, a, b, recurrent=recurrent, delay=delay, extreme=extreme)
        for i, (a, b) in enumerate(pairwise(sizes))
    ]
    readout = None
    if reduce is not None:
        labels = tuple(f"word {i}" for i in range(sizes[-1])) if recurrent else ()
        readout = Readout(reduce, np.random.default_rng(seed).random(sizes[-1]) + 0.1, labels)
    network = Loihi2Network(sizes[0], layers, dt=dt, readout=readout)
    save_netx(network, tmp_path / "a.net")
    assert_same(load_netx(tmp_path / "a.net"), network)


def test_files_of_lava_survive_a_round_trip(tmp_path: Path) -> None:
    for path in RECORDINGS:
        network = load_netx(path)
        save_netx(network, tmp_path / path.name)
        assert_same(load_netx(tmp_path / path.name), network)


def test_layout_is_that_of_lava(tmp_path: Path) -> None:
    """Same members, types and shapes as in Lava's own file; whole arrays may replace equal scalars."""
    for name in ("bias", "recurrent", "delay_per_synapse", "per_neuron_decays"):
        recorded = next(p for p in RECORDINGS if p.stem == name)
        save_netx(load_netx(recorded), tmp_path / "a.net")
        with h5py.File(recorded) as theirs, h5py.File(tmp_path / "a.net") as ours:

            def describe(h5: h5py.File) -> dict[str, tuple]:
                found: dict[str, tuple] = {}

                def visit(path: str, item: h5py.Dataset | h5py.Group) -> None:
                    if isinstance(item, h5py.Dataset):
                        found[path] = (item.dtype.kind, item.shape)

                h5.visititems(visit)
                return found

            assert describe(ours) == describe(theirs)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.net"
    save_netx(example(), path)
    before = path.read_bytes()

    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("lambent.hardware.loihi2.netx.write_network", fail)
    with pytest.raises(OSError, match="disk full"):
        save_netx(example(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.net"]


def test_reads_files_without_an_input_layer(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    save_netx(Loihi2Network(6, [random_layer(0, 6, 4)]), path)
    with h5py.File(path, "r+") as h5:
        del h5["layer/0"]
        h5.move("layer/1", "layer/0")
    network = load_netx(path)
    assert (network.n_in, network.layers[0].name) == (6, "layer/0")


def test_truncates_weights_toward_zero_as_lava(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    save_netx(Loihi2Network(2, [Loihi2Layer("layer/1", "dense", np.array([[1, 2]]))]), path)
    with h5py.File(path, "r+") as h5:
        h5["layer/1/weight"][...] = [[-3.9, 2.9]]
    assert load_netx(path).layers[0].weight.tolist() == [[-3, 2]]


def put(where: str, value: object) -> Callable[[h5py.File], None]:
    def change(h5: h5py.File) -> None:
        if where in h5:
            del h5[where]
        h5[where] = value

    return change


def drop(*places: str) -> Callable[[h5py.File], None]:
    def change(h5: h5py.File) -> None:
        for where in places:
            del h5[where]

    return change


def rename(old: str, new: str) -> Callable[[h5py.File], None]:
    return lambda h5: h5.move(old, new)


def attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    def change(h5: h5py.File) -> None:
        h5.attrs[name] = value

    return change


def weight_of_complex_numbers(h5: h5py.File) -> None:
    del h5["layer/1/weight"]
    h5["layer/1/weight/real"] = np.ones((4, 6))


NAN = np.full((4, 6), np.nan, np.float32)

BROKEN = [
    (drop("layer"), "layer: missing"),
    (drop("layer/0"), "layer: layers must be numbered from 0"),
    (put("layer/7/type", "dense"), "layer: layers must be numbered from 0"),
    (drop("layer/0/type"), "layer/0/type: missing"),
    (drop("layer/0/shape"), "layer/0/shape: missing"),
    (put("layer/0/shape", np.array([5])), "layer/1/inFeatures: says 6, the layers' shapes say 5"),
    (put("layer/0/shape", np.array([0])), "layer/0/shape: .* is no shape"),
    (put("layer/0/shape", np.array([10**12])), "layer/0/shape: .* is no shape"),
    (put("layer/0/shape", np.array([1 << 15, 1 << 15])), "layer/0/shape: .* is no shape"),
    (put("layer/0/shape", np.zeros(4)), "layer/0/shape: must be"),
    (put("layer/0/weight", 64), "layer/0/weight: has no meaning for an input without units"),
    (put("layer/0/neuron/type", "CUBA"), "layer/0/neuron/iDecay: missing"),
    (put("layer/0/neuron/type", "RF_PHASE"), "layer/0/neuron/sinDecay: missing"),
    (put("layer/1/type", "convT"), "layer/1/type: layers of type 'convT' are not supported"),
    (put("layer/1/type", "concat"), "layer/1/type: layers of type 'concat' are not supported"),
    (put("layer/1/type", "conv"), "layer/1/shape: a conv layer is"),
    (put("layer/1/type", "input"), "layer/1/type: only the first layer can be an input"),
    (put("layer/1/type", "average"), "layer/1/type: there is nothing to average"),
    (put("layer/1/type", "flatten"), "layer/1/shape: says 4 units, but gets 6"),
    (put("layer/1/type", b"\xff"), "layer/1/type: is no ASCII text"),
    (put("layer/1/type", 3), "layer/1/type: must be one string"),
    (put("layer/1/type", "dense"), "layer/1/weight_rec: has no meaning"),
    (put("layer/2/type", "dense_rec"), "layer/2/weight_rec: missing"),
    (drop("layer/1/weight"), "layer/1/weight: missing"),
    (weight_of_complex_numbers, "layer/1/weight/imag: missing"),
    (
        put("layer/1/weight", np.zeros((6, 4), np.float32)),
        r"layer/1/weight: must be \(4, 6\) or \(24,\), got shape \(6, 4\)",
    ),
    (put("layer/1/weight", NAN), "layer/1/weight: holds NaN"),
    (put("layer/1/weight", np.full((4, 6), 1e30)), "layer/1/weight: values are out of range"),
    (put("layer/1/weight", np.full((4, 6), 300.0)), "layer/1/weight: 300 is outside"),
    (put("layer/1/weight", np.full((4, 6), "x", object)), "layer/1/weight: must be numbers"),
    (put("layer/1/weight", h5py.Empty("f")), "layer/1/weight: missing, it is a null"),
    (put("layer/1/weight_rec", np.zeros((4, 6))), "layer/1/weight_rec: must be"),
    (put("layer/1/bias", np.zeros(3, np.int32)), "layer/1/bias: must be"),
    (put("layer/1/bias", np.full(4, 10**6)), "layer/1/bias: 1000000 is outside"),
    (put("layer/1/delay", 63), "layer/1/delay: 63 is outside 0 to 62"),
    (put("layer/1/delay", -1), "layer/1/delay: -1 is outside 0 to 62"),
    (put("layer/1/delay", np.zeros(5, int)), "layer/1/delay: must be one number or"),
    (rename("layer/1/neuron", "layer/1/neuros"), "layer/1/neuron: missing, while there is neuros"),
    (put("layer/1/neuron/type", "ADRF_PHASE"), "layer/1/neuron/type: units of type 'ADRF_PHASE' are not supported"),
    (put("layer/1/neuron/weight_exp", 2), "layer/1/neuron/weight_exp: 2 is not supported, only 0"),
    (drop("layer/1/neuron/iDecay"), "layer/1/neuron/iDecay: missing"),
    (put("layer/1/neuron/iDecay", 4097), "layer/1/neuron/iDecay: 4097 is outside 0 to 4096"),
    (put("layer/1/neuron/iDecay", 0.5), "layer/1/neuron/iDecay: must be whole"),
    (put("layer/1/neuron/vDecay", np.array([1, 2])), "layer/1/neuron/vDecay: must be"),
    (put("layer/1/neuron/vThMant", 1 << 20), "layer/1/neuron/vThMant: 1048576 is outside"),
    (put("layer/1/neuron/gradedSpike", True), "layer/1/neuron/gradedSpike: 1 is not supported, only 0"),
    (put("layer/1/neuron/refDelay", 2), "layer/1/neuron/refDelay: 2 is not supported, only 0 and 1"),
    (put("layer/1/outFeatures", 5), "layer/1/outFeatures: says 5, the layers' shapes say 4"),
    (put("layer/2/shape", np.array([4])), "layer/2/outFeatures: says 3"),
    (attribute("lambent_dt", "fast"), "attribute lambent_dt: unexpected"),
    (attribute("lambent_dt", -1.0), "dt must be positive"),
    (attribute("lambent_readout_reduce", np.bytes_("sum")), "readout: reduce must be one of"),
    (attribute("lambent_readout_reduce", "mean"), "attribute lambent_readout_reduce: unexpected object"),
    (
        attribute("lambent_readout_labels", np.array([b"a", b"b", b"\xff"])),
        "attribute lambent_readout_labels: is no text",
    ),
    (attribute("lambent_readout_scale", np.ones(2)), "attribute lambent_readout_scale: unexpected"),
    (attribute("lambent_readout_scale", np.zeros(3)), "readout: scale must be"),
]


@pytest.mark.parametrize("index", range(len(BROKEN)))
def test_broken_files_name_the_culprit(tmp_path: Path, index: int) -> None:
    change, message = BROKEN[index]
    path = tmp_path / "broken.net"
    save_netx(example(), path)
    with h5py.File(path, "r+") as h5:
        change(h5)
    with pytest.raises(ValueError, match=rf"broken\.net: {message}"):
        load_netx(path)


def test_not_a_netx_file(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    with pytest.raises(FileNotFoundError, match=r"a\.net"):
        load_netx(path)
    for content in (b"", b"hello", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.net: no HDF5 file, or damaged"):
            load_netx(path)
    with h5py.File(path, "w"):
        pass
    with pytest.raises(ValueError, match="layer: missing"):
        load_netx(path)


def test_a_claim_of_absurd_size_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    save_netx(example(), path)
    with h5py.File(path, "r+") as h5:
        n = 1 << 20
        put("layer/0/shape", np.array([n]))(h5)
        for name in ("inFeatures", "weight", "delay"):
            del h5[f"layer/1/{name}"]
        del h5["layer/1/shape"], h5["layer/1/outFeatures"]
        h5["layer/1/shape"] = np.array([n])
        h5.create_dataset("layer/1/weight", (n, n), np.float32, chunks=(64, 64))
    with pytest.raises(ValueError, match="layer/1/weight: absurd"):
        load_netx(path)


def test_kernel_sizes_and_groups_can_be_left_out(tmp_path: Path) -> None:
    path, rng = tmp_path / "a.net", np.random.default_rng(0)
    layer = ConvLayer("layer/1", "conv", rng.integers(-9, 9, (4, 2, 3, 2)), (2, 5, 5), stride=2)
    save_netx(Loihi2Network(50, [layer]), path)
    with h5py.File(path, "r+") as h5:
        drop("layer/1/kernelSize", "layer/1/groups", "layer/1/inChannels")(h5)
        put("layer/1/stride", 2)(h5)
        put("layer/1/weight", layer.weight[..., None].astype(np.float32))(h5)
    assert_same(load_netx(path), Loihi2Network(50, [layer]))


def test_a_dense_layer_without_neuron_has_integrators(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    save_netx(example(), path)
    with h5py.File(path, "r+") as h5:
        del h5["layer/2/neuron"]
    layer = load_netx(path).layers[1]
    assert (int(layer.i_decay), int(layer.v_decay), int(layer.v_th_mant)) == (0, 4096, 2**17)


def test_flatten_and_average_survive(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    network = Loihi2Network(6, [random_layer(0, 6, 4)], readout=Average(2), in_shape=(1, 2, 3))
    save_netx(network, path)
    assert_same(load_netx(path), network)
    with h5py.File(path) as h5:
        assert [h5[f"layer/{i}/type"][()] for i in range(4)] == [b"input", b"flatten", b"dense", b"average"]


def test_message_bits_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    save_netx(Loihi2Network(6, [random_layer(0, 6, 4)], message_bits=8), path)
    assert (load_netx(path).message_bits, load_netx(path, message_bits=0).message_bits) == (8, 0)
    with pytest.raises(ValueError, match=r"a\.net: message_bits must be"):
        load_netx(path, message_bits=99)


def test_null_datasets_are_not_there(tmp_path):
    """mlGeNN's exporter writes null dataspaces for what it leaves out."""
    path, net = tmp_path / "a.net", example()
    save_netx(net, path)
    with h5py.File(path, "a") as h5:
        for layer in ("1", "2"):
            for name in ("inFeatures", "outFeatures", "groups", "neuron/gradedSpike"):
                where = f"layer/{layer}/{name}"
                if where in h5:
                    del h5[where]
                h5.create_dataset(where, dtype="i4")
        h5.create_dataset("layer/2/delay", dtype="f4") if "layer/2/delay" not in h5 else None
        h5.create_dataset("layer/2/weight_rec", dtype="f4")
    assert_same(load_netx(path), net)
