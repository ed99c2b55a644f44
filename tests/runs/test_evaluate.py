"""Evaluating on the chip model takes one conversion and one run of the test set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

import lambent as lb
from lambent.hardware.loihi2 import Loihi2Network
from lambent.hardware.loihi2 import chip as loihi2
from lambent.runs.evaluate import evaluate_run, kept_chip_cost
from lambent.runs.evaluation import Evaluation
from lambent.runs.export import calibration_events, export_run
from lambent.runs.report import report_run
from lambent.runs.simulate import simulate
from lambent.runs.train import train_run
from lambent.training import Config, Run


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "words")
    config = Config(hidden=10, epochs=1, batch_size=50, initial_spikes=1.0, rate_lower=0.2, shift=0, recurrent=False)
    assert train_run(run, config, lb.data.yin_yang(200, seed=0), {"train": "yin-yang"}, Console(quiet=True))
    return run


def test_nothing_is_done_twice(run, monkeypatch):
    test, converted, simulated = lb.data.yin_yang(130, seed=1), [], []

    def convert(*args):
        converted.append(args)
        return real_convert(*args)

    def go(network, spikes, record):
        simulated.append(len(spikes))
        return real_run(network, spikes, record)

    real_convert, real_run = loihi2.convert, Loihi2Network.run
    monkeypatch.setattr(loihi2, "convert", convert)
    export_run(run, (3, 5))
    monkeypatch.setattr(Loihi2Network, "run", go)
    evaluation = evaluate_run(run, test, "test", chip=True)
    assert sum(simulated) == 130
    report_run(run)
    assert sum(simulated) == 130 + len(evaluation.shown)  # the samples that are shown
    assert len(converted) == 1
    done = simulate(run.chip(), run.chip().load(run.network), test)
    assert done.accuracy == evaluation.accuracy("chip")
    assert done.cost == kept_chip_cost(run)


def test_data_with_values_train_and_are_evaluated_but_not_exported(tmp_path):
    """What cannot carry values says so; a run keeps those of what it keeps."""
    plain = lb.data.yin_yang(60, seed=0)
    events, labels = plain.batch(range(60))
    graded = lb.data.SpikeDataset.from_events(events.with_values(2 * events.times), labels, plain.class_names)
    run = Run(tmp_path / "words")
    config = Config(hidden=10, epochs=1, blend=0.5, jitter=1.0, drop=0.1)
    assert train_run(run, config, graded, {"train": "yin-yang"}, Console(quiet=True))
    typical = calibration_events(run)
    assert torch.equal(typical.values, 2 * typical.times)
    evaluation = evaluate_run(run, graded, "test", chip=False)
    assert not np.array_equal(evaluation.scores["float"], evaluate_run(run, plain, "test", chip=False).scores["float"])
    evaluation.save(run.path("evaluation.npz"))
    kept = Evaluation.load(run.path("evaluation.npz"))
    assert torch.equal(kept.samples.values, graded.batch(kept.shown)[0].values)
    report_run(run)
    with pytest.raises(ValueError, match="the input of a chip network carries no values"):
        export_run(run)
    aware = replace(config, qat_bits=8)
    with pytest.raises(ValueError, match="qat_bits=8 trains with the chip's arithmetic, whose input carries no values"):
        train_run(Run(tmp_path / "aware"), aware, graded, {"train": "yin-yang"}, Console(quiet=True))
    assert not (tmp_path / "aware").exists()


def test_a_network_without_answers(run):
    export_run(run)
    network = run.chip().load(run.network)
    lb.hardware.loihi2.save_netx(Loihi2Network(network.n_in, network.layers), run.network)
    with pytest.raises(ValueError, match=r"words\.net: the network has no readout"):
        evaluate_run(run, lb.data.yin_yang(10, seed=1), "test", chip=True)


def test_recall_of_each_class():
    scores = np.eye(4)[[0, 1, 1, 3, 0]]
    evaluation = Evaluation("x", np.array([0, 0, 1, 3, 3]), {"float": scores, "chip": scores[::-1]}, [], None, 0)
    np.testing.assert_array_equal(evaluation.recall("float"), [0.5, 1.0, np.nan, 0.5])
    first, *_, last = evaluation.classes(["a", "b", "c", "a"])
    assert first == {"class": "a", "n": 2, "float": 0.5, "chip": 0.5}
    assert last == {"class": "a", "n": 2, "float": 0.5, "chip": 0.0}  # a name that two classes share loses none of them
