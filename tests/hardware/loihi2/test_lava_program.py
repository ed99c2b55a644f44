"""Networks as programs for Lava, entry by entry beside the chip model."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from lava_reference import RECORDINGS
from lava_side import EVERY_KIND, HERE, LAVA, SIGNS, WHY_NOT, Case, differences, random_case, run_in_lava

import lambent as lb
from lambent.hardware.loihi2 import (
    CUBA,
    ConvLayer,
    Layer,
    Loihi2Layer,
    Loihi2Network,
    Readout,
    SigmaDelta,
    load_lava,
    load_netx,
    save_lava,
)
from lambent.hardware.loihi2.convert import convert
from lambent.hardware.loihi2.lava import not_held_by_lava, verified

needs_lava = pytest.mark.skipif(LAVA is None, reason=WHY_NOT)


def small(**values: object) -> Loihi2Network:
    layer = Loihi2Layer("layer/1", "dense", np.array([[90, -3], [127, 5]]), neuron=CUBA(800, 200, 70), **values)
    return Loihi2Network(2, [layer], readout=Readout("mean", np.array([1.0, 2.0])))


def events(batch: int = 1) -> lb.Events:
    return lb.Events.from_dense(torch.rand(batch, 60, 2, generator=torch.Generator().manual_seed(0)) < 0.3, 1.0)


def in_lava(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LAVA, "-W", "ignore", *arguments], capture_output=True, text=True)  # type: ignore[list-item]


PROGRAMS = sorted((HERE / "recordings" / "programs").glob("*.run.npz"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name.removesuffix(".run.npz"))
def test_what_lava_has_computed(path: Path) -> None:
    """For a clean clone without Lava; see record_programs.py."""
    network = load_lava(path.with_name(path.name.replace(".run", "")))
    with np.load(path) as file:
        out = dict(file)
    case = Case(network, out.pop("spikes"))
    assert differences(case, out)[0] == 0


@needs_lava
@pytest.mark.parametrize("seed", [0, 1])
def test_every_kind_of_layer(seed: int, tmp_path: Path) -> None:
    """With extreme weights of a sign mode each; all of them: benchmarks/lava_equality.py."""
    rng, signs = np.random.default_rng(seed), [*SIGNS]
    cases = [random_case(rng, *kind, signs[(i + 3 * seed) % len(signs)]) for i, kind in enumerate(EVERY_KIND)]
    for case, out in zip(cases, run_in_lava(cases, tmp_path), strict=True):
        assert differences(case, out)[0] == 0, case.network


@needs_lava
def test_what_lava_reads_of_netx_it_runs_as_a_program(tmp_path: Path) -> None:
    """Files of slayer, mlGeNN's kind and lambent, among them those that Lava itself has run."""
    cases = []
    for path in RECORDINGS:
        if path.stem != "shd_700_256_20":
            network, spikes = load_netx(path), np.load(path.with_suffix(".npz"))["input"][:, :60].astype(np.int64)
            if network.layers[0].kind != "input" and (spikes.min() < 0 or spikes.max() > 1):
                network = dataclasses.replace(network, message_bits=32)
            cases.append(Case(network, spikes))
    for case, out in zip(cases, run_in_lava(cases, tmp_path), strict=True):
        assert differences(case, out)[0] == 0, case.network


@needs_lava
def test_the_default_kind_of_network_and_recurrent_delays(tmp_path: Path) -> None:
    """Recurrent, with a delay for every synapse of both matrices, which Lava's NetX reader refuses."""
    torch.manual_seed(0)
    hidden = lb.LIF(20, 16, recurrent=True, delay=30 * torch.rand(20, 16), recurrent_delay=20 * torch.rand(16, 16))
    with torch.no_grad():
        hidden.weight.mul_(8)
    spikes = (torch.rand(1, 20, 120) < 0.1).int().numpy()
    network = convert(torch.nn.Sequential(hidden, lb.LIReadout(16, 3))).network
    case = Case(network, spikes[0])
    assert network.run(spikes).spikes[0].sum() > 20
    assert differences(case, run_in_lava([case], tmp_path)[0])[0] == 0


@needs_lava
@pytest.mark.parametrize(("interval", "offset"), [(1, 0), (7, 0), (13, 4), (20, 50)])
def test_resets_at_intervals(interval: int, offset: int, tmp_path: Path) -> None:
    """As by LIFReset, the process that Lava's NetX reader then takes for CUBA units."""
    torch.manual_seed(0)
    hidden = lb.LIF(20, 16, recurrent=True, delay=10 * torch.rand(20, 16))
    with torch.no_grad():
        hidden.weight.mul_(8)
    spikes = (torch.rand(1, 20, 90) < 0.1).int().numpy()
    network = convert(torch.nn.Sequential(hidden, lb.LIReadout(16, 3))).network
    network = dataclasses.replace(network, reset_interval=interval, reset_offset=offset)
    case = Case(network, spikes[0])
    assert differences(case, run_in_lava([case], tmp_path)[0])[0] == 0


def edge_cases() -> list[Case]:
    """What a random network hardly is."""
    rng = np.random.default_rng(5)

    def case(layer: Layer, in_shape: tuple[int, ...], bits: int = 0, size: int = 1) -> Case:
        spikes = rng.integers(-size, size + 1, (layer.n_in, 40)) if bits else (rng.random((layer.n_in, 40)) < 0.4)
        return Case(Loihi2Network(layer.n_in, [layer], in_shape=in_shape, message_bits=bits), spikes.astype(np.int64))

    ones, sums = np.ones((1, 1, 2, 2), int), np.full((2, 1, 1, 1), 255)
    many = rng.integers(-9, 9, (200, 1, 1, 1))
    units, much = CUBA(500, 200, 30), SigmaDelta(5, message_bits=24)
    return [
        case(ConvLayer("layer/1", "pool", ones, (130, 2, 2), neuron=units), (130, 2, 2)),
        case(ConvLayer("layer/1", "conv", many, (200, 1, 1), groups=200, neuron=units), (200, 1, 1)),
        case(ConvLayer("layer/1", "conv", ones, (1, 2, 300), stride=(1, 150), neuron=units), (1, 2, 300)),
        case(ConvLayer("layer/1", "conv", sums, (1, 1, 1), delay=2, neuron=much), (1, 1, 1), 24, 80_000),
        case(ConvLayer("layer/1", "conv", sums, (1, 1, 1), neuron=much), (1, 1, 1), 24, 80_000),
        case(
            ConvLayer("layer/1", "conv", sums, (1, 1, 1), padding=(0, 1), stride=(1, 3), delay=3, neuron=much),
            (1, 1, 1),
        ),
        case(Loihi2Layer("layer/1", "dense", np.full((3, 1600), 255), neuron=CUBA(900, 300, 9000)), (1600,), 8, 3),
        case(Loihi2Layer("layer/1", "dense", np.full((3, 1600), 255), neuron=CUBA(0, 0, 9000)), (1600,), 16, 60_000),
        case(Loihi2Layer("layer/1", "dense", rng.integers(-90, 90, (3, 12)), neuron=units), (3, 4)),
        case(Loihi2Layer("layer/1", "dense", np.zeros((2, 3), int), neuron=units), (3,)),
        case(Loihi2Layer("layer/1", "dense", np.array([[-256, 254]]), delay=62, neuron=CUBA(0, 4096, -5)), (2,)),
    ]


@needs_lava
def test_edges(tmp_path: Path) -> None:
    """Sizes beyond the 8 bits of Lava's Conv, sums beyond 24 bits, currents that are folded and still do not fit."""
    cases = edge_cases()
    for i, (case, out) in enumerate(zip(cases, run_in_lava(cases, tmp_path), strict=True)):
        assert differences(case, out)[0] == 0, (i, case.network)


@needs_lava
def test_files_as_mlgenn_writes_them(tmp_path: Path) -> None:
    """Null datasets, delays of both matrices, weights in steps of floating point, an output at threshold 2^16."""
    rng = np.random.default_rng(3)
    with h5py.File(tmp_path / "a.net", "w") as h5:
        h5["layer/0/type"], h5["layer/0/shape"] = np.bytes_("input"), np.array([12])
        for i, (kind, n_in, n_out) in enumerate((("dense_rec", 12, 9), ("dense", 9, 4)), 1):
            layer = h5.create_group(f"layer/{i}")
            layer["type"], layer["shape"] = np.bytes_(kind), np.array([n_out])
            layer["weight"] = rng.integers(-128, 128, (n_out, n_in)).astype(np.float32)
            layer["delay"] = rng.integers(0, 62, (n_out, n_in)).astype(np.int32)
            if kind == "dense_rec":
                layer["weight_rec"] = rng.integers(-128, 128, (n_out, n_out)).astype(np.float32)
                layer["delay_rec"] = rng.integers(0, 62, (n_out, n_out)).astype(np.int32)
            for name in ("inFeatures", "outFeatures", "neuron/gradedSpike"):
                layer.create_dataset(name, dtype="i4")
            layer["neuron/type"] = "CUBA"
            layer["neuron/iDecay"], layer["neuron/vDecay"] = np.int32(742), np.int32(200)
            layer["neuron/vThMant"] = np.int32(400 if i == 1 else 1 << 16)
            layer["neuron/refDelay"] = np.int32(0)
    network = load_netx(tmp_path / "a.net")
    case = Case(network, (rng.random((12, 150)) < 0.1).astype(int))
    assert network.run(case.spikes[None]).spikes[0].sum() > 50
    assert differences(case, run_in_lava([case], tmp_path)[0])[0] == 0


@needs_lava
@pytest.mark.parametrize("kind", [("dense_rec", "CUBA"), ("conv", "CUBA"), ("dense", "SigmaDelta")])
def test_hardware_but_for_the_chip(kind: tuple[str, str], tmp_path: Path) -> None:
    """The last layer's spikes and states, read step by step; energy and time of a run of their own."""
    case = random_case(np.random.default_rng(4), *kind, "even")
    save_lava(case.network, tmp_path)
    np.savez(tmp_path / "input.npz", spikes=case.spikes)
    done = in_lava(HERE / "lava_hardware.py", tmp_path, tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "time   0.500000 ms a sample, 10.000 us a step",
        "energy 0.750000 mJ a sample, of which 0.500000 mJ dynamic",
    ]
    recording, i = case.network.run(case.spikes[None]), len(case.network.layers) - 1
    with np.load(tmp_path / "out.npz") as out:
        for name, arrays in (("s", recording.spikes), ("u", recording.current), ("v", recording.voltage)):
            np.testing.assert_array_equal(out[f"{name}_{i}"], arrays[-1][0])


@needs_lava
def test_samples_start_from_rest(tmp_path: Path) -> None:
    network = small()
    save_lava(network, tmp_path)
    spikes = events(2).to_dense(1.0).numpy().transpose(0, 2, 1).astype(np.int8)
    np.savez(tmp_path / "in.npz", spikes=spikes)
    done = in_lava(tmp_path / "network.py", tmp_path / "in.npz", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"wrote {tmp_path / 'out.npz'}"
    recording = network.run(spikes)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["s_0"], recording.spikes[0])
        np.testing.assert_array_equal(out["u_0"], recording.current[0])
        np.testing.assert_array_equal(out["v_0"], recording.voltage[0])
        np.testing.assert_allclose(out["scores"], network.logits(spikes), rtol=1e-12)


@needs_lava
def test_the_program_checks_itself(tmp_path: Path) -> None:
    save_lava(small(), tmp_path, events())
    assert verified(tmp_path).startswith("not verified yet; in Lava's Python: python ")
    done = in_lava(tmp_path / "network.py", "--check")
    assert done.returncode == 0, done.stderr
    entries = 3 * 2 * 60 + 2
    assert verified(tmp_path) == (
        f"Lava 0.10.0: {entries} entries of spikes, current, voltage and scores of one sample, all equal"
    )
    with np.load(tmp_path / "example.npz") as file:
        changed = dict(file)
    changed["v_0"][1, 7] += 1
    np.savez(tmp_path / "example.npz", **changed)
    assert in_lava(tmp_path / "network.py", "--check").returncode == 1
    assert verified(tmp_path).endswith("1 DIFFERENT")
    save_lava(small(), tmp_path)
    assert verified(tmp_path).startswith("not verified yet")


@needs_lava
@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        (np.zeros((3, 5), int), "`spikes` must be (2, steps) or (samples, 2, steps), not (3, 5)"),
        (np.zeros((2, 5)), "`spikes` must be whole numbers, not float64"),
        (np.full((2, 5), -1), "`spikes` must not be negative"),
        (np.array([[object()] * 5] * 2), "no .npz file of arrays, or damaged (Object arrays cannot be loaded"),
    ],
)
def test_the_program_refuses_other_input(spikes: np.ndarray, message: str, tmp_path: Path) -> None:
    save_lava(small(), tmp_path)
    np.savez(tmp_path / "in.npz", spikes=spikes)
    done = in_lava(tmp_path / "network.py", tmp_path / "in.npz", tmp_path / "out.npz")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / 'in.npz'}: {message}")
    assert not (tmp_path / "out.npz").exists()


@needs_lava
def test_the_program_says_what_is_missing(tmp_path: Path) -> None:
    save_lava(small(), tmp_path)
    np.savez(tmp_path / "in.npz", x=np.zeros((2, 5)))
    done = in_lava(tmp_path / "network.py", tmp_path / "in.npz", tmp_path / "out.npz")
    assert done.stderr.strip() == f"{tmp_path / 'in.npz'}: holds x, but no `spikes`"
    assert "INPUT.npz and OUT.npz are needed" in in_lava(tmp_path / "network.py").stderr
    for words, message in (
        (("none.npz", "out.npz"), "none.npz: no such file"),
        (("in.npz", "out"), "out: must end in .npz and lie in a folder that is there"),
        (("in.npz", tmp_path / "no" / "out.npz"), "out.npz: must end in .npz and lie in a folder that is there"),
        ((tmp_path / "network.py", "out.npz"), "network.py: no .npz file of arrays, or damaged"),
        ((tmp_path / "in.npz", tmp_path / "out.npz", "--hardware"), "in.npz: holds x, but no `spikes`"),
    ):
        assert message in in_lava(tmp_path / "network.py", *words).stderr
    np.savez(tmp_path / "in.npz", spikes=np.full((2, 5), 3))
    done = in_lava(tmp_path / "network.py", tmp_path / "in.npz", tmp_path / "out.npz", "--hardware")
    assert done.stderr.startswith("--hardware needs Intel's extension of Lava for Loihi (")
    done = subprocess.run([sys.executable, tmp_path / "network.py", "--help"], capture_output=True, text=True)
    assert done.stderr.startswith("needs Lava: Python 3.10 with `pip install lava-nc==0.10.0`; this is 3.")
    done = in_lava(tmp_path / "network.py", "--check")
    assert done.returncode == 1
    assert done.stderr.strip() == f"{tmp_path / 'example.npz'}: not there; lambent export --format lava writes it"


@pytest.mark.parametrize("bias", [32768 + 2, 131071 - 3, -65536, 32767, -32767])
def test_biases_that_lava_holds(bias: int) -> None:
    assert not_held_by_lava(small(bias=np.array([bias, 0]))) == []


@pytest.mark.parametrize(("bias", "multiple"), [(32769, 2), (-40001, 2), (65538, 4), (131071, 2), (-131069, 2)])
def test_biases_that_lava_does_not_hold(bias: int, multiple: int, tmp_path: Path) -> None:
    message = (
        f"layer/1/bias: {bias} of unit 1 has more than the 16 bits of Lava's biases; make it a multiple of {multiple}"
    )
    with pytest.raises(ValueError, match=message):
        save_lava(small(bias=np.array([0, bias])), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_damaged_verification_is_named(tmp_path: Path) -> None:
    save_lava(small(), tmp_path)
    whole = '{"lava": "0.10.0", "entries": %s, "different": %s, "network": ""}'
    damaged = ["{", "[]", "[" * 100000, '{"lava": "0.10.0"}', *(whole % x for x in (("1e999", 0), (5, -1), (5, 6)))]
    for text in damaged:
        (tmp_path / "verified.json").write_text(text)
        assert verified(tmp_path).startswith("verified.json is damaged ("), text
    (tmp_path / "verified.json").write_text(whole % (5, 0))
    assert verified(tmp_path).startswith("not verified since it was written")


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text("mine")
    with pytest.raises(ValueError, match=r"network\.py: is another program; choose another folder"):
        save_lava(small(), tmp_path)
    with pytest.raises(ValueError, match=r"network\.py: is a file; a program for Lava needs a folder"):
        save_lava(small(), tmp_path / "network.py")
    assert (tmp_path / "network.py").read_text() == "mine"
