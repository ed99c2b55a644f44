"""A chip is one file and one line: a toy that rounds weights to integers goes the whole way through run folders."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

import lambent as lb
from lambent import cli
from lambent.hardware.chip import CHIPS, LearningChip, TrainingChip, find_chip
from lambent.layers import LIF
from lambent.runs.evaluate import evaluate_run, kept_chip_cost
from lambent.runs.export import export_run, trained_for_other_bits
from lambent.runs.listen import Listener
from lambent.runs.report import report_run
from lambent.runs.simulate import simulate
from lambent.runs.train import train_run
from lambent.training import Config, Run, build_model, forward


class ToyReadout:
    labels, reads = (), "voltage"

    def scores(self, recording):
        return recording.voltage[-1].mean(2)

    def voltages(self, recording):
        return recording.voltage[-1].transpose(0, 2, 1)


@dataclass
class ToyCost:
    energy: float
    latency: float

    def as_dict(self):
        return vars(self)


@dataclass
class ToyExport:
    weight_bits: list[int]


class Toy:
    """Computes in floating point, with weights that are multiples of 1/100."""

    name, title, max_delay, formats = "toy", "Toy 1", 3, ("toy", "text")

    def check(self, settings):
        if len(settings.descriptions()) > 1:
            raise ValueError("layers must be 1")

    def advice(self, settings):
        return "Toy 1: will do" if settings.descriptions()[0].recurrent else ""

    def readers(self, network):
        return {"the toy itself": [], "others": ["weights: unheard of"]}

    def export(self, network, format, path, sample=None):
        path.mkdir(exist_ok=True)
        (path / "network.txt").write_text(f"{network.n_in} {len(sample)}")
        return ["network.txt"], "read it"

    def verified(self, format, path):
        return f"{format}, {(path / 'network.txt').read_text()}"

    def convert(self, model, bits=None, calibration=None, labels=()):
        rounded = copy.deepcopy(model)
        for parameter in (p for name, p in rounded.named_parameters() if "weight" in name):
            parameter.data.mul_(100).round_().div_(100)
        sizes = [SimpleNamespace(name=str(i), n_out=layer.out_features) for i, layer in enumerate(model)]
        network = SimpleNamespace(n_in=model[0].in_features, layers=sizes, readout=ToyReadout(), model=rounded)
        bits = bits or 8
        return SimpleNamespace(network=network, quantised=lambda: rounded, bits=bits, weight_bits=[bits] * len(sizes))

    def quantised(self, model, network):
        return network.model

    def save(self, conversion, path):
        torch.save(conversion.network, path)
        return ToyExport([conversion.bits] * len(conversion.network.layers))

    def load(self, path):
        return torch.load(path, weights_only=False)

    def run(self, network, events, record=("spikes", "voltage")):
        hidden, readout = network.model
        voltages = copy.deepcopy(readout)
        voltages.reduce = "none"
        spikes = hidden(events)
        voltage = voltages(spikes).detach().numpy().transpose(0, 2, 1)
        return SimpleNamespace(spikes=(spikes.to_dense(hidden.dt).numpy().transpose(0, 2, 1),), voltage=(voltage,))

    def place(self, network, recording=None, *, partition=False):
        return SimpleNamespace(n_cores=1, memory=sum(p.numel() for p in network.model.parameters()))

    def cost(self, network, recording, placement):
        return ToyCost(float(recording.spikes[0].sum()) / len(recording.spikes[0]), 2.0)

    def mean_cost(self, costs):
        n = sum(number for number, _ in costs)
        return ToyCost(sum(number * cost.energy for number, cost in costs) / n, 2.0)

    def read_cost(self, values):
        return ToyCost(**values)

    def published(self):
        return []


CHIP = Toy()


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(CHIPS, "toy", __name__)


@pytest.fixture
def run(tmp_path):
    """A small run for the toy, trained."""
    run, data = Run(tmp_path / "words"), lb.data.yin_yang(200, seed=0)
    config = Config(
        chip="toy", hidden=10, epochs=1, batch_size=50, dt=1.0, initial_spikes=1.0, rate_lower=0.2, recurrent=False
    )
    assert train_run(run, config, data, {"train": "yin-yang", "test": None}, Console(quiet=True))
    return run


def test_the_whole_way(run):
    test = lb.data.yin_yang(120, seed=1)
    assert isinstance(run.model()[0], LIF)
    assert run.model()[0].delay.max() <= 3
    assert export_run(run, 5).weight_bits == [5, 5]
    assert not trained_for_other_bits(run, [5, 5])
    evaluation = evaluate_run(run, test, chip=True, source="yin-yang")
    assert evaluation.summary().keys() == {"accuracy", "accuracy_quantised", "accuracy_chip", "agreement", "n"}
    with torch.no_grad():
        scores, (spikes,) = forward(CHIP.load(run.network).model, test.batch(range(120))[0])
    assert torch.allclose(torch.from_numpy(evaluation.scores["quantised"]), scores, atol=1e-6)
    assert kept_chip_cost(run).energy == pytest.approx(spikes.counts().sum().item() / 120)
    page = report_run(run).read_text()
    assert "words, Toy 1" in page
    assert "Loihi" not in page.split("</style>")[-1]
    assert Listener(run).network is not None
    done = simulate(run.chip(), CHIP.load(run.network), test)
    assert done.accuracy == evaluation.accuracy("chip")
    assert done.samples == 120
    assert done.spikes[0] == pytest.approx(spikes.counts().sum().item() / 120)


def test_the_commands_know_it(run, tmp_path, monkeypatch, capsys):
    lb.data.write_shd(tmp_path / "test.h5", lb.data.yin_yang(40, seed=1))
    for command in (("export",), ("evaluate", tmp_path / "test.h5", "--chip"), ("report",), ("info",)):
        name, *rest = map(str, command)
        monkeypatch.setattr(sys, "argv", ["lambent", name, str(run.folder), *rest])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0, capsys.readouterr().err
    assert "chip = toy" in capsys.readouterr().out


def test_other_formats(run, monkeypatch, capsys):
    def command(*words):
        monkeypatch.setattr(sys, "argv", ["lambent", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    code, said = command("export", run.folder, "--format", "text", "--json")
    assert code == 0
    path = run.folder / "text"
    wrote = [f"wrote {path}: weights of 8 bits", "read it", f'{{"path": "{path}", "weight_bits": [8, 8]}}']
    assert said.out.splitlines()[-3:] == wrote
    assert run.programs() == {path: ["network.txt"]}
    evaluate_run(run, lb.data.yin_yang(120, seed=1), chip=True, source="yin-yang")
    page = report_run(run).read_text()
    assert "On the chip" in page
    for part in ("text, 5 1", "others", "would not run it as meant: weights: unheard of", "the toy itself", "runs it"):
        assert part in page
    assert command("export", run.folder, "--format", "text", "--weight-bits", "8")[0] == 0
    assert report_run(run).exists()  # the same network as before: what was made of it is still right
    code, said = command("export", run.folder, "--weight-bits", "5", "--json")
    assert code == 0
    assert "others: would not run it as meant: weights: unheard of" in said.out
    own = path / "notes"
    own.write_text("mine")
    run.outdate(export=False)
    assert list(path.iterdir()) == [own]
    for words, message in (
        (("--format", "lava"), "--format must be one of toy, text, nir, got 'lava'"),
        (("--format", "text", "--lava-compatible"), "--lava-compatible is of --format toy, not of text"),
        (("--format", "nir", "--weight-bits", "3"), "--weight-bits is of the chip's formats"),
    ):
        code, said = command("export", run.folder, *words)
        assert code == 1
        assert message in said.err


def test_it_cannot_train():
    assert not isinstance(CHIP, TrainingChip)
    with pytest.raises(ValueError, match="qat_bits must be empty, as no model can be trained on Toy 1's arithmetic"):
        Config(chip="toy", qat_bits="4")
    with pytest.raises(ValueError, match="Toy 1 has no arithmetic that a model could be trained on"):
        lb.quantize.quantization_aware(build_model(Config(), 5, 3), chip="toy")


def test_settings_are_checked_by_the_chip():
    with pytest.raises(ValueError, match="layers must be 1"):
        Config(chip="toy", layers=2)


def test_quantised_by_the_chip():
    model = build_model(Config(hidden=4, delay=0.0), 5, 3)
    weight = lb.quantize.quantized_model(model, chip="toy")[0].weight
    assert torch.equal(weight, (100 * model[0].weight).round() / 100)


@pytest.mark.parametrize(
    "wanted", [lambda: Config(chip="akida"), lambda: lb.quantize.quantized_model(None, chip="akida")]
)
def test_unknown_chips(wanted):
    with pytest.raises(ValueError, match="chip must be one of loihi2, spinnaker2, toy, got 'akida'"):
        wanted()


@pytest.mark.parametrize("name", [name for name in CHIPS if name != "toy"])
def test_chips_in_the_list(name):
    chip = find_chip(name)
    assert chip.name == name
    assert isinstance(chip, (TrainingChip, LearningChip))
