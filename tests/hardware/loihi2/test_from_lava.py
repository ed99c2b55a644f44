"""Networks out of graphs of Lava's processes, and out of network.npz."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from fake_lava import LIF, Conv, Delta, Dense, Monitor, Plain, Reset, RingBuffer, Sparse
from lava_reference import RECORDINGS, dense_delays, dense_weights
from lava_side import EVERY_KIND, HERE, LAVA, SIGNS, WHY_NOT, random_case
from test_netx import assert_same

from lambent.hardware.loihi2 import (
    ConvLayer,
    InputLayer,
    Layer,
    Loihi2Layer,
    Loihi2Network,
    from_lava,
    load_lava,
    load_netx,
    save_lava,
)
from lambent.hardware.loihi2.lava import graph, values_of
from lambent.hardware.loihi2.neurons import Graded

needs_lava = pytest.mark.skipif(LAVA is None, reason=WHY_NOT)
RECORDED = HERE / "recordings" / "lava"
GRAPHS = sorted(path.name.removesuffix(".run.npz") for path in RECORDED.glob("*.run.npz"))


def cases(seed: int) -> list[Loihi2Network]:
    """Networks with layers of every kind."""
    rng, signs = np.random.default_rng(seed), [*SIGNS]
    return [random_case(rng, *kind, signs[(i + seed) % len(signs)]).network for i, kind in enumerate(EVERY_KIND)]


def spread(network: Loihi2Network) -> Loihi2Network:
    """The same with one value for each unit and each synapse; those that are not there have no delay."""
    return dataclasses.replace(network, layers=[_spread(layer) for layer in network.layers])


def _spread(layer: Layer) -> Layer:
    by_unit = {name: layer.per_unit(getattr(layer.neuron, name)) for name in layer.neuron.ranges}
    changed: dict[str, object] = {"neuron": dataclasses.replace(layer.neuron, **by_unit)}
    if isinstance(layer, ConvLayer):
        changed |= {"delay": layer.per_unit(layer.delay)}
    if isinstance(layer, Loihi2Layer):
        changed |= dict.fromkeys(("i_decay", "v_decay", "v_th_mant"), 0)
        changed["delay"] = np.where(_there(layer), layer.synapse_delays, 0)
        if layer.weight_rec is not None:
            changed["delay_rec"] = np.where(layer.weight_rec, layer.recurrent_delays, 0)
    return dataclasses.replace(layer, **changed)  # type: ignore[arg-type]


def _there(layer: Layer) -> np.ndarray:
    parts = [layer.weight, getattr(layer, "weight_imag", None)]  # type: ignore[attr-defined]
    return np.any([dense_weights(layer, part) != 0 for part in parts if part is not None], 0)


def as_lava_has_it(network: Loihi2Network) -> Loihi2Network:
    """Without what Lava's processes do not know: numbers as they go in, readouts, kinds of layers that are others."""
    layers = [_as_lava_has_it(layer) for layer in network.layers]
    last = layers[-1]
    if isinstance(last.neuron, Graded) and last.kind != "dense_rec":  # nobody takes its spikes
        layers[-1] = dataclasses.replace(last, neuron=dataclasses.replace(last.neuron, message_bits=16))
    return dataclasses.replace(network, layers=layers, readout=None)


def _as_lava_has_it(layer: Layer) -> Layer:
    if isinstance(layer, InputLayer):
        return dataclasses.replace(layer, gain=1, bias=0)
    if isinstance(layer, ConvLayer) and np.any(layer.delay):
        real, imag = (
            None if part is None else dense_weights(layer, part).astype(np.int32)
            for part in (layer.weight, layer.weight_imag)
        )
        delay = np.where(_there(layer), dense_delays(layer), 0)
        neuron = dataclasses.replace(
            layer.neuron, **{name: layer.per_unit(getattr(layer.neuron, name)) for name in layer.neuron.ranges}
        )
        bias = layer.per_unit(layer.bias)
        return Loihi2Layer(layer.name, "dense", real, weight_imag=imag, bias=bias, delay=delay, neuron=neuron)
    if isinstance(layer, ConvLayer) and layer.kind == "pool":
        channels = layer.in_shape[0]
        return dataclasses.replace(layer, kind="conv", groups=channels, weight=np.repeat(layer.weight, channels, 0))
    return layer


# -- network.npz ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_is_read(seed: int, tmp_path: Path) -> None:
    for i, network in enumerate(cases(seed)):
        save_lava(network, tmp_path / str(i))
        for path in (tmp_path / str(i), tmp_path / str(i) / "network.npz"):
            assert_same(spread(load_lava(path)), spread(network))
        first = int(network.layers[0].kind != "input")
        names = [layer.name for layer in load_lava(path).layers]
        assert names == [f"layer/{i + first}" for i in range(len(names))]


def test_equal_values_are_one(tmp_path: Path) -> None:
    """As Lava's NetX reader wants thresholds of sigma-delta units."""
    network = next(n for n in cases(0) if n.layers[0].kind == "conv")
    layer = dataclasses.replace(network.layers[0], neuron=network.layers[0].neuron, bias=0, delay=3)
    save_lava(Loihi2Network(network.n_in, [layer], in_shape=network.in_shape), tmp_path)
    assert (np.ndim(load_lava(tmp_path).layers[0].delay), np.any(load_lava(tmp_path).layers[0].bias)) == (0, False)


def of_kind(kind: str) -> dict[str, np.ndarray]:
    """What network.npz holds for a network whose first layer is of `kind`, with a readout of voltages."""
    network = next(n for n in cases(0) if n.layers[0].kind == kind)
    return {name: np.asarray(x) for name, x in values_of(network).items()}


BROKEN = [
    ("dense", {"n_layers": 0}, "n_layers: 0 is outside"),
    ("dense", {"n_layers": 10**6}, "n_layers: 1000000 is outside"),
    ("dense", {"n_layers": 7}, "layer/[234]/kind: missing"),
    ("dense", {"n_layers": 2.0}, "n_layers: unexpected float64"),
    ("dense", {"n_layers": None}, "n_layers: missing"),
    ("dense", {"in_shape": [1, 2, 3, 4]}, "in_shape: must be"),
    ("dense", {"in_shape": [10**9, 10**9]}, "in_shape: .* is no shape of a layer"),
    ("dense", {"in_shape": [-3]}, "in_shape: .* is no shape of a layer"),
    ("dense", {"in_shape": [8]}, r"layer/1/weight: must be \(\d+, 8\), got shape"),
    ("dense", {"dt": -1.0}, "dt must be positive"),
    ("dense", {"dt": "long"}, "dt: unexpected"),
    ("dense", {"message_bits": 33}, "message_bits must be"),
    ("dense", {"0/kind": "sparse"}, "layer/1/kind: 'sparse' is not supported"),
    ("dense", {"0/kind": 3}, "0/kind: unexpected int64"),
    ("dense", {"0/units": "LIF"}, "layer/1/units: 'LIF' is not supported"),
    ("dense", {"0/shape": [1, 6]}, r"layer/1/shape: says \(1, 6\), but the weights make it \(6,\)"),
    ("dense", {"0/shape": [10**9]}, "layer/1/shape: .* is no shape"),
    ("dense", {"0/iDecay": 9}, "layer/1/iDecay: must be"),
    ("dense", {"0/iDecay": np.full(99, 1.5)}, "layer/1/iDecay: unexpected float64"),
    ("dense", {"0/weight": None}, "layer/1/weight: missing"),
    ("dense", {"0/delay": 63}, "layer/1/delay: 63 is outside 0 to 62"),
    ("dense", {"0/delay": np.ones((2, 2), int) * [1, 2]}, "layer/1/delay: must be"),
    ("dense", {"0/delay": np.zeros((0, 3), int)}, "layer/1/delay: must be"),
    ("dense", {"readout": "sum"}, "readout: reduce must be one of"),
    ("dense", {"readout_scale": 1.0}, "readout_scale: must be"),
    ("dense", {"readout_labels": [1.0, 2.0]}, "readout_labels: must be text"),
    ("dense", {"readout_labels": [b"a"]}, "readout_labels: unexpected"),
    ("dense", {"readout": "average"}, "readout_classes: missing"),
    ("dense_rec", {"0/weight_rec": None}, "layer/1/weight_rec: missing"),
    ("dense_rec", {"0/delay_rec": 99}, "layer/1/delay_rec: 99 is outside"),
    ("conv", {"0/groups": 5}, "layer/1/weight: must be"),
    ("conv", {"0/stride": [0, 1]}, "layer/1/stride: 0 is outside"),
    ("conv", {"0/stride": 1}, "layer/1/stride: must be"),
    ("conv", {"0/padding": [9, 9]}, "layer/1/.*: must be"),
    ("conv", {"0/in_shape": [2, 6]}, "layer/1: the layer before must be"),
    ("conv", {"0/in_shape": [2, 5, 6]}, "layer/1"),
    ("pool", {"0/weight": np.arange(8).reshape(2, 1, 2, 2)}, "layer/1/weight: must be one kernel for all channels"),
    ("pool", {"0/weight": 3}, "layer/1/weight: must be one kernel"),
    ("input", {"0/gain": 1.5}, "layer/0/gain: unexpected"),
    ("input", {"0/offset": 10**7}, "layer/0/bias: 10000000 is outside"),
    ("input", {"message_bits": 3}, "message_bits: an input layer"),
]


@pytest.mark.parametrize("index", range(len(BROKEN)))
def test_broken_values_are_named(index: int, tmp_path: Path) -> None:
    kind, changes, message = BROKEN[index]
    path = tmp_path / "broken.npz"
    values = {**of_kind(kind), **{name: x for name, x in changes.items() if x is not None}}
    np.savez(path, **{name: x for name, x in values.items() if name not in changes or changes[name] is not None})
    with pytest.raises(ValueError, match=rf"broken\.npz: {message}"):
        load_lava(path)


def test_message_bits_of_units(tmp_path: Path) -> None:
    network = next(n for n in cases(0) if n.layers[0].neuron.graded)
    np.savez(tmp_path / "a.npz", **{**values_of(network), "0/message_bits": 99})
    with pytest.raises(ValueError, match=r"a\.npz: layer/\d/message_bits: message_bits must be"):
        load_lava(tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match=r"a\.npz: no such file"):
        load_lava(path)
    for content in (b"", b"hello", b"PK\x03\x04 and nothing else"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz: no \.npz file of arrays, or damaged"):
            load_lava(path)
    np.savez(path, n_layers=np.array([{}], object))
    with pytest.raises(ValueError, match=r"a\.npz: no \.npz file of arrays, or damaged .*allow_pickle"):
        load_lava(path)


def test_claims_of_absurd_size_are_not_believed(tmp_path: Path) -> None:
    path, header = tmp_path / "a.npz", io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i4", "fortran_order": False, "shape": (1 << 40, 1 << 30)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("n_layers.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"a\.npz: no \.npz file of arrays, or damaged"):
        load_lava(path)


def test_flipped_bits_never_crash(tmp_path: Path) -> None:
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    np.savez_compressed(path, **of_kind("dense_rec"))
    whole = path.read_bytes()
    for _ in range(150):
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), 1 + int(rng.integers(3))):
            broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken[: int(rng.integers(len(whole)))] if rng.random() < 0.2 else broken)
        with contextlib.suppress(ValueError):  # a flip may do no harm
            load_lava(path)


# -- graphs, by processes that only look like Lava's ------------------------------------------------------------------


def test_processes_are_read_where_they_are() -> None:
    source, first, second = (
        RingBuffer((3,)),
        LIF((2,), du=99, bias_mant=[3, -2], bias_exp=7),
        LIF((4,), vth=[1, 2, 3, 4]),
    )
    into, between = Dense([[3, -4, 0], [6, 7, 8]]), Sparse(2 * np.ones((4, 2), int), weight_exp=1)
    source.then(into).then(first).then(between).then(second)
    first.then(Monitor((2,)))
    expected = Loihi2Network(
        3,
        [
            Loihi2Layer("layer/1", "dense", [[2, -4, 0], [6, 6, 8]], bias=[6, -4], i_decay=100, v_th_mant=10),
            Loihi2Layer("layer/2", "dense", 4 * np.ones((4, 2), int), i_decay=1, v_th_mant=[1, 2, 3, 4]),
        ],
    )
    for processes in (source, second, [first, between], (between,)):
        assert_same(from_lava(processes), expected)
    assert graph.values_of(source).keys() == values_of(expected).keys()


def test_images_are_turned() -> None:
    """(width, height, channels) in Lava, (channels, height, width) in lambent."""
    source, units, last = RingBuffer((4, 3, 2)), LIF((3, 2, 1)), LIF((2,))
    kernel = np.arange(8).reshape(1, 2, 2, 2)
    source.then(Conv(kernel, (4, 3, 2))).then(units)
    weight = np.arange(12).reshape(2, 6)
    into = Dense(weight)
    units.out.transposed(1, 0, 2).reshaped(6).connect(into.port)
    into.then(last)
    conv, dense = from_lava(last).layers
    assert (conv.in_shape, conv.shape, dense.in_shape) == ((2, 3, 4), (1, 2, 3), (6,))
    np.testing.assert_array_equal(conv.weight, kernel[:, ::-1, ::-1].transpose(0, 3, 2, 1))
    np.testing.assert_array_equal(dense.weight, weight)  # turned twice


def test_adapters_hand_on_what_they_get() -> None:
    source, adapter, units = RingBuffer((2,)), Plain("PyToNxAdapter", (2,)), LIF((2,))
    source.then(adapter).then(Dense([[1, 2], [3, 4]])).then(units).then(Plain("NxToPyAdapter", (2,))).then(
        Monitor((2,))
    )
    assert from_lava(units).layers[0].weight.tolist() == [[1, 2], [3, 4]]


def test_what_lambent_does_not_have_is_refused() -> None:
    units = LIF((2,), name="outputs")
    RingBuffer((2,)).then(Dense([[1, 2], [3, 4]])).then(units)
    Reset().watch(units)
    with pytest.raises(ValueError, match=r"LIF outputs \(\d+\): Reset .* can change its variables"):
        from_lava(units)
    encoder = RingBuffer((2,)).then(Plain("Encoder", (2,), name="mine"))
    with pytest.raises(ValueError, match=r"Encoder mine \(\d+\): has no equivalent in lambent: take it out"):
        from_lava(encoder)
    for name, hint in (("LIFReset", "without reset_interval"), ("LearningDense", "learns while it runs")):
        with pytest.raises(ValueError, match=f"{name} Process_.*{hint}"):
            from_lava(Plain(name, (2,)))
    with pytest.raises(ValueError, match="only processes of Lava can be read, got dict"):
        from_lava([{}])
    with pytest.raises(ValueError, match="only processes of Lava can be read, got float"):
        from_lava(2.5)
    with pytest.raises(ValueError, match="there are no units"):
        from_lava(RingBuffer((2,)))


def test_the_input_may_be_units() -> None:
    first, last = Delta((2,), vth=3 << 12), LIF((1,))
    first.then(Dense([[1, 2]], num_message_bits=8)).then(last)
    layer = from_lava(last).layers[0]
    assert isinstance(layer, InputLayer)
    assert (layer.gain, layer.bias, layer.neuron.v_th_mant, layer.neuron.message_bits) == (1, 0, 3, 8)


# -- graph.py as a program --------------------------------------------------------------------------------------------

SCRIPT = """
from fake_lava import LIF, Dense, RingBuffer

def build():
    units = LIF((2,))
    RingBuffer((3,)).then(Dense([[1, 2, 3], [4, 5, 6]])).then(units)
    return units

listed = [build()]
broken = LIF((2,), du=0.5)
"""


def program(python: object, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [python, "-W", "ignore", graph.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"PYTHONPATH": str(HERE)})  # type: ignore[list-item]


@pytest.mark.parametrize("name", ["mine.py:build", "mine:build", "mine:listed"])
def test_the_program_writes_what_load_lava_reads(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = program(sys.executable, name, "out.npz", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "wrote out.npz: layers 1; lambent.hardware.loihi2.load_lava reads it\n"
    assert from_lava(tmp_path / "out.npz").layers[0].weight.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py", "mine.py: must be MODULE:NAME"),
        ("yours.py:build", "yours.py: no such file"),
        ("mine.py:buld", "mine.py: has no buld"),
        ("mine.py:broken", "du holds fractions"),
    ],
)
def test_the_program_says_what_is_wrong(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = program(sys.executable, name, "out.npz", folder=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.npz").exists()


# -- slayer -----------------------------------------------------------------------------------------------------------


class Block(torch.nn.Module):
    """Writes itself as slayer's blocks do: here, what is in a NetX file already."""

    def __init__(self, path: Path, i: int) -> None:
        super().__init__()
        self.path, self.i = path, i

    def export_hdf5(self, group: h5py.Group) -> None:
        with h5py.File(self.path) as file:
            for name in file[f"layer/{self.i}"]:
                file.copy(f"layer/{self.i}/{name}", group)


def test_blocks_of_slayer_write_themselves() -> None:
    path = next(path for path in RECORDINGS if path.stem == "sigma_delta")
    blocks = [Block(path, i) for i in range(5)]
    whole = torch.nn.Module()
    whole.blocks = torch.nn.ModuleList(blocks)
    for network in (blocks, torch.nn.Sequential(*blocks), whole):
        assert_same(from_lava(network), load_netx(path))


def test_other_modules_are_refused(tmp_path: Path) -> None:
    block = Block(RECORDINGS[0], 0)
    with pytest.raises(ValueError, match="there is no layer besides the input"):
        from_lava(block)
    with pytest.raises(ValueError, match="block 1 \\(ReLU\\): is no block of slayer"):
        from_lava([block, torch.nn.ReLU()])
    with pytest.raises(ValueError, match="Linear: has no `blocks`"):
        from_lava(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="Sequential: has no blocks"):
        from_lava(torch.nn.Sequential())


# -- graphs of Lava itself --------------------------------------------------------------------------------------------


def assert_runs_as_in_lava(folder: Path, name: str) -> None:
    network = load_lava(folder / f"{name}.npz")
    with np.load(folder / f"{name}.run.npz") as file:
        recorded = {key: file[key] for key in file.files}
    recording = network.run(recorded["spikes"][None])
    assert len(recorded) == 1 + 3 * len(network.layers)
    for i, layer in enumerate(network.layers):
        np.testing.assert_array_equal(recording.spikes[i][0], recorded[f"s_{i}"])
        if layer.kind != "input":  # Lava has a bias of the input in the voltage, lambent in the current
            np.testing.assert_array_equal(recording.current[i][0], recorded[f"u_{i}"])
        np.testing.assert_array_equal(recording.voltage[i][0], recorded[f"v_{i}"])
        assert recorded[f"s_{i}"].any()


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_run_as_lava_has_run_them(name: str) -> None:
    assert_runs_as_in_lava(RECORDED, name)


@pytest.fixture(scope="module")
def read_in_lava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What graph.py makes of everything there is, in Lava's Python."""
    folder = tmp_path_factory.mktemp("lava")
    saved = [folder / str(i) for i in range(2 * len(EVERY_KIND))]
    for network, own in zip(cases(0) + cases(1), saved, strict=True):
        save_lava(network, own)
    netx = [f"{path}:{load_netx(path).message_bits}" for path in RECORDINGS]
    script = HERE / "lava_graphs.py"
    subprocess.run([LAVA, "-W", "ignore", script, folder, "--saved", *saved, "--netx", *netx], check=True, cwd=folder)  # type: ignore[list-item]
    return folder


@needs_lava
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_run_as_in_lava(name: str, read_in_lava: Path) -> None:
    assert_runs_as_in_lava(read_in_lava, name)


@needs_lava
def test_all_graphs_are_recorded(read_in_lava: Path) -> None:
    found = sorted(path.name.removesuffix(".run.npz") for path in read_in_lava.glob("*.run.npz"))
    assert found == GRAPHS


@needs_lava
def test_there_and_back(read_in_lava: Path) -> None:
    for i, network in enumerate(cases(0) + cases(1)):
        assert_same(spread(load_lava(read_in_lava / str(i) / "back.npz")), spread(as_lava_has_it(network)))


@needs_lava
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_netx_as_lava_reads_it(path: Path, read_in_lava: Path) -> None:
    network = load_netx(path)
    found = spread(load_lava(read_in_lava / f"netx_{path.stem}.npz"))
    assert_same(found, spread(as_lava_has_it(network)) if network.layers[0].kind != "input" else spread(network))


REFUSED = {
    "LIFReset": "LIFReset .*: units that are reset at intervals: build the network without reset_interval",
    "LIFRefractory": "LIFRefractory .*: lambent's units for Loihi 2 have no refractory period: use LIF",
    "TernaryLIF": "TernaryLIF .*: lambent's units for Loihi 2 send no negative spikes",
    "learning": "LearningDense .*: learns while it runs",
    "branch": "LIF right .* and LIF left .* all follow LIF .*: lambent's networks for Loihi 2 are chains",
    "skip": "LIF second .*: gets its input from LIF first .* and RingBuffer .*: .* chains of layers",
    "two_inputs": "LIF .*: gets its input from RingBuffer .* and RingBuffer",
    "concatenated": "LIF .*: its output is concatenated with that of others",
    "reset": "LIF units .*: Reset .* can change its variables",
    "loop": "LIF two .* and LIF one .*: no input leads there",
    "behind_dense": "Conv .*: follows units behind a Dense",
    "two_convolutions": "Conv .*: Conv .* leads to the same units",
    "convolution_and_dense": "LIF .*: gets sums from Conv .* and Dense .*: give the units one Conv",
    "turned_output": "Conv .*: its output is transposed",
    "turned_between": "Conv .*: its input is transposed or reshaped",
    "conv_exponent": "Conv .*: weight_exp is 1",
    "recurrent_resonators": "Dense .*: connects resonators with each other",
    "no_units": "there are no units among the processes",
    "no_units_behind": "Dense loose .*: leads to no units",
    "no_synapses": "LIF first .*: is connected to LIF .* without synapses",
    "no_units_between": "Dense .*: has no units before it, but Dense",
    "sigma_delta_first": "SigmaDelta .*: has no synapses before it",
    "delta_behind": "Delta .*: has synapses before it, but can only be the input",
    "resonators_first": "RF .*: has no synapses before it",
    "fractions": "Dense .*: weights holds fractions",
    "floating_point": "LIF .*: du holds fractions",
    "high_threshold": "LIF .*: vth: 262144 is outside",
    "wide_weights": "Dense .*: weights: 400 is outside -255 to 255",
    "rounded_sums": "Dense .*: with weight_exp -2 Lava rounds sums of weights, .* multiples of 4",
    "many_bits": "Dense .*: num_weight_bits of 9 makes Lava lose all weights",
    "not_at_rest": "LIF .*: v starts with other values than 0",
    "small_bias": "LIF .*: bias must be a multiple of 64",
    "large_bias": "LIF .*: bias: 307200 is outside",
    "activation": "SigmaDelta .*: act_mode must be RELU",
    "cumulative": "SigmaDelta .*: cum_error is 1",
    "state_exp": "SigmaDelta .*: state_exp is 5",
    "spike_exp": "SigmaDelta .*: vth must be a multiple of 4096",
    "decay_bits": "RF .*: decay_bits is 11",
    "threshold_between": "RF .*: vth must be a multiple of 64",
    "graded_into_plain": "Dense plain .*: takes graded spikes for plain ones: set num_message_bits",
    "odd_delays": "DelayDense .*: has other delays than synapses beside it",
    "long_delay": "DelayDense .*: delays: 63 is outside 0 to 62",
    "lost_delay": "DelayDense .*: max_delay 4 makes Lava lose synapses with a delay of 5",
    "biases_of_the_input": "LIF .*: is the input: its bias must be 0",
    "bias_of_the_input": "LIF .*: is the input: its bias must be 0",
    "no_process": "only processes of Lava can be read, got int",
    "no_processes": "only processes of Lava can be read, got int among them",
}


@needs_lava
def test_what_graphs_cannot_be_is_said(read_in_lava: Path) -> None:
    said = json.loads((read_in_lava / "refused.json").read_text())
    assert said.keys() == REFUSED.keys()
    for name, message in REFUSED.items():
        with pytest.raises(ValueError, match=message):
            raise ValueError(said[name])


@needs_lava
def test_the_program_in_lavas_python(tmp_path: Path) -> None:
    done = program(LAVA, HERE / "lava_graphs.py:recurrent", "out.npz", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert load_lava(tmp_path / "out.npz").layers[0].kind == "dense_rec"
