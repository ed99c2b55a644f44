"""SpiNNaker2 behind the protocol of chips: a run learns on it, and the commands know it."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest
import torch
from rich.console import Console
from spinnaker2_cases import readout

import lambent as lb
from lambent import cli
from lambent.hardware.chip import LearningChip, find_chip
from lambent.runs.evaluate import evaluate_on, evaluate_run, kept_chip_cost
from lambent.runs.export import export_run
from lambent.runs.report import report_run
from lambent.runs.train import train_run
from lambent.training import Config, Run
from lambent.training.on_chip import ChipTrainer

CHIP = find_chip("spinnaker2")
SETTINGS = {
    "chip": "spinnaker2", "hidden": 12, "epochs": 2, "batch_size": 20, "initial_spikes": 1.0, "rate_lower": 0.2,
    "shift": 0, "recurrent": True, "delay": 0.0, "count_gradient": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run, learned on the chip."""
    run, data = Run(tmp_path_factory.mktemp("runs") / "points"), lb.data.yin_yang(120, seed=0)
    source = {"train": "yin-yang", "test": None}
    assert train_run(run, Config(**SETTINGS), data, source, Console(quiet=True), on_chip=True)
    return run


def command(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["lambent", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code, capsys.readouterr()


def test_the_protocol():
    assert isinstance(CHIP, LearningChip)
    assert CHIP.max_delay == 0
    assert CHIP.published() == []


def test_what_is_refused_leaves_no_run(tmp_path):
    run, data = Run(tmp_path / "large"), lb.data.yin_yang(120, seed=0)
    for wrong, message in (({"hidden": 2000}, "it would fit"), ({"reduce": "max"}, "reduce='max'")):
        with pytest.raises(ValueError, match=message):
            train_run(run, Config(**SETTINGS | wrong), data, {"train": "yin-yang"}, Console(quiet=True), on_chip=True)
        assert not run.folder.exists()


def test_a_chip_that_is_none_is_said_at_once(run, tmp_path, monkeypatch, capsys):
    data = tmp_path / "points.h5"
    lb.data.write_shd(data, lb.data.yin_yang(20, seed=1))
    code, said = command(monkeypatch, capsys, "evaluate", run.folder, data, "--on", "nonsense")
    assert code == 1
    assert said.out == ""
    assert "chip must be one of loihi2, spinnaker2" in said.err
    export_run(run)
    code, said = command(monkeypatch, capsys, "info", run.network)
    assert code == 1
    assert "if it is of another chip, say --chip spinnaker2" in " ".join(said.err.split())
    assert command(monkeypatch, capsys, "info", run.network, "--chip", "SpiNNaker2")[0] == 0


def test_the_whole_way(run):
    assert [x["epoch"] for x in run.metrics()] == [1, 2]
    update = run.read_json("on_chip.json")
    assert update["modelled"]
    assert update["energy"] > 0
    assert export_run(run).weight_bits == [8, 8]
    test = lb.data.yin_yang(60, seed=1)
    evaluation = evaluate_run(run, test, chip=True, source="yin-yang")
    assert evaluation.summary().keys() == {"accuracy", "accuracy_quantised", "accuracy_chip", "agreement", "n"}
    assert (evaluation.predictions("quantised") == evaluation.predictions("chip")).mean() > 0.95
    cost = kept_chip_cost(run)
    assert cost.elements == 3
    page = report_run(run).read_text()
    assert "SpiNNaker2" in page
    for said in ("py-spinnaker2", "Learned there", "worst tick", "elements: 3, the fullest with"):
        assert said in page
    other = evaluate_on(run, test, "yin-yang", "loihi2")
    assert other.samples == 60
    assert other.accuracy == pytest.approx(evaluation.accuracy("chip"), abs=0.1)
    with pytest.raises(ValueError, match="yin-yang: no samples"):
        evaluate_on(run, test.subset([]), "yin-yang", "loihi2")


def test_it_goes_on_bit_for_bit(run, tmp_path):
    """Interrupted within the second epoch, between two batches."""
    data, source = lb.data.yin_yang(120, seed=0), {"train": "x", "test": None}
    other, steps, step = Run(tmp_path / "other"), [], ChipTrainer.step

    def stopping(trainer, *batch):
        steps.append(batch)
        if len(steps) == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return step(trainer, *batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChipTrainer, "step", stopping)
        assert not train_run(other, Config(**SETTINGS), data, source, Console(quiet=True), on_chip=True)
    assert train_run(other, Config(**SETTINGS), data, source, Console(quiet=True), resume=True)
    for name, value in run.model().state_dict().items():
        assert torch.equal(other.model().state_dict()[name], value), name
    assert other.read_json("on_chip.json") == run.read_json("on_chip.json")
    assert train_run(other, Config(**SETTINGS), data, source, Console(quiet=True), resume=True)  # done already


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip": 2.0}, "clip = 2.0: SpiNNaker2 has no program for it"),
        ({"lr_tau": 0.1}, "lr_tau = 0.1: SpiNNaker2 has no program"),
        ({"delay": 3.0}, "delay = 3: the programs of SpiNNaker2 have no delays"),
        ({"qat_bits": "4"}, "qat_bits must be empty, as no model can be trained on SpiNNaker2's arithmetic"),
        ({"chip": "loihi2"}, "Loihi 2 does not learn by itself"),
    ],
)
def test_settings_that_do_not_suit_it(tmp_path, change, message):
    source, data = {"train": "x", "test": None}, lb.data.yin_yang(60, seed=0)
    with pytest.raises(ValueError, match=message):
        train_run(Run(tmp_path / "r"), Config(**SETTINGS | change), data, source, Console(quiet=True), on_chip=True)


def test_advice():
    assert "8 bits" in CHIP.advice(Config(**SETTINGS))
    assert "programs of the chip are for lif units" in CHIP.advice(Config(chip="spinnaker2", layer=["adaptive 10"]))
    assert "leave payload_bits out" in CHIP.advice(Config(chip="spinnaker2", layer=["10 payload_bits 4"]))
    assert "resets to 0" in CHIP.advice(Config(chip="spinnaker2", reset="subtract"))


def test_the_commands(run, tmp_path, monkeypatch, capsys):
    train, test = tmp_path / "train.h5", tmp_path / "test.h5"
    lb.data.write_shd(train, lb.data.yin_yang(80, seed=0))
    lb.data.write_shd(test, lb.data.yin_yang(40, seed=1))
    words = ("--hidden", "8", "--epochs", "1", "--batch-size", "20", "--initial-spikes", "1", "--no-recurrent")
    code, said = command(
        monkeypatch, capsys, "train", train, "--test", test, "--out", tmp_path / "r", "--on", "SpiNNaker2", *words,
        "--shift", "0", "--json",
    )  # fmt: skip
    assert code == 0, said.err
    assert "learned on the chip, modelled" in said.out
    assert json.loads(said.out.splitlines()[-1])["update"]["elements"] > 0
    code, said = command(monkeypatch, capsys, "evaluate", tmp_path / "r", test, "--on", "spinnaker2", "--json")
    assert code == 0, said.err
    assert "accuracy on SpiNNaker2" in said.out
    assert json.loads(said.out.splitlines()[-1])["on"]["cost"]["modelled"]
    code, said = command(monkeypatch, capsys, "export", tmp_path / "r", "--format", "py-spinnaker2")
    assert code == 0, said.err
    assert "s2_nir" in said.out
    assert (tmp_path / "r" / "py-spinnaker2" / "network.nir").exists()
    assert command(monkeypatch, capsys, "info", tmp_path / "r")[0] == 0
    network = tmp_path / "r" / "r.net"
    assert command(monkeypatch, capsys, "export", tmp_path / "r")[0] == 0
    code, said = command(monkeypatch, capsys, "info", network, "--chip", "spinnaker2")
    assert code == 0, said.err
    assert "3 elements of 148" in said.out
    code, said = command(monkeypatch, capsys, "simulate", network, test, "--chip", "spinnaker2")
    assert code == 0, said.err
    assert "modelled for SpiNNaker2" in said.out
    train_there = ("train", train, "--out", tmp_path / "left", "--on", "spinnaker2", "--shift", "0", "--epochs", "1")
    assert command(monkeypatch, capsys, *train_there)[0] == 0
    assert Run(tmp_path / "left").config().widths == (128,)  # the usual network would not fit
    code, said = command(monkeypatch, capsys, "train", train, "--out", tmp_path / "left", "--resume")
    assert code == 0, said.err
    assert "finished already" in said.out + said.err
    for words, message in (
        (("evaluate", tmp_path / "r", test, "--on", "akida"), "chip must be one of loihi2, spinnaker2, got 'akida'"),
        (("train", train, "--out", tmp_path / "s", "--on", "spinnaker2", "--chip", "loihi2"), "drop --chip loihi2"),
        (("train", train, "--out", tmp_path / "s", "--on", "loihi2"), "Loihi 2 does not learn by itself"),
        (("train", train, "--out", tmp_path / "r", "--resume", "--on", "spinnaker2"), "drop --on"),
    ):
        code, said = command(monkeypatch, capsys, *words)
        assert code == 1
        assert message in said.err


def test_conversion_by_name():
    model = readout()
    rounded = lb.quantize.quantized_model(model, 4, chip="spinnaker2")
    assert len(rounded[0].weight.unique()) <= 15 * 20
    assert not torch.equal(rounded[0].weight, model[0].weight)
    with pytest.raises(ValueError, match="lava_compatible is no option"):
        CHIP.save(CHIP.convert(model), "x.net", lava_compatible=True)
