"""The loop: reproducible, resumable bit for bit, and it learns."""

from __future__ import annotations

import dataclasses
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import lambent as lb
from lambent.hardware.loihi2.convert import convert, largest_weights
from lambent.quantize import quantization_aware
from lambent.runs.export import calibration_events
from lambent.training import Config, Run, predict, train
from lambent.training.progress import TensorBoardWatcher

FACTS = {"n_units": 5, "class_names": ["yin", "yang", "dot"], "duration": 60.0}


class Quiet:
    """Sees every batch; interrupts after `stop_after` of them."""

    def __init__(self, stop_after=None):
        self.batches, self.epochs, self.stop_after = 0, [], stop_after

    def batch(self, epoch, done, of, metrics):
        self.batches += 1
        if self.batches == self.stop_after:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, metrics):
        self.epochs.append(metrics)


def weights(run):
    return run.load("checkpoint.pt")["model"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_same_seed_same_run(tmp_path, data, config):
    threads = torch.get_num_threads()
    try:
        for name, n in (("a", 1), ("b", 2)):
            torch.set_num_threads(n)
            assert train(Run(tmp_path / name), config, data, Quiet(), facts=FACTS)
    finally:
        torch.set_num_threads(threads)
    assert same(weights(Run(tmp_path / "a")), weights(Run(tmp_path / "b")))
    other = dataclasses.replace(config, seed=2)
    train(Run(tmp_path / "c"), other, data, Quiet(), facts=FACTS)
    assert not same(weights(Run(tmp_path / "a")), weights(Run(tmp_path / "c")))


def whole_and_in_parts(tmp_path, data, config, stop_after, batches):
    """A run, and the same one stopped and resumed: with the same weights, and no batch done twice or left out."""
    whole, parts = Run(tmp_path / "whole"), Run(tmp_path / "parts")
    train(whole, config, data, Quiet(), facts=FACTS)
    assert not train(parts, config, data, Quiet(stop_after), facts=FACTS)
    again = Quiet()
    assert train(parts, config, data, again, facts=FACTS, resume=True)
    assert again.batches == batches - stop_after
    assert same(weights(whole), weights(parts))
    assert same(whole.load("best.pt"), parts.load("best.pt"))
    return whole, parts


@pytest.mark.parametrize("stop_after", [1, 4, 6, 9])
def test_resume_continues_bit_for_bit(tmp_path, data, config, stop_after):
    whole, parts = whole_and_in_parts(tmp_path, data, config, stop_after, batches=3 * 6)
    a, b = (
        [{k: m[k] for k in m if k not in ("seconds", "samples_per_s")} for m in r.metrics()] for r in (whole, parts)
    )
    assert a == b
    assert [m["epoch"] for m in a] == [1, 2, 3]


def test_resume_without_a_run(tmp_path, data, config):
    with pytest.raises(FileNotFoundError, match="no training run here"):
        train(Run(tmp_path / "no"), config, data, Quiet(), facts=FACTS, resume=True)


@pytest.mark.parametrize("stop_after", [3, 6, 12, 13, 18, 21])
def test_quantisation_aware_training_resumes_bit_for_bit(tmp_path, data, config, stop_after):
    """Stopped while in float, just before quantising, and after; or killed with the checkpoint of that moment."""
    config = dataclasses.replace(config, epochs=2, qat_bits="4,6", qat_epochs=2)
    _, parts = whole_and_in_parts(tmp_path, data, config, stop_after, batches=4 * 6)
    assert ["aware" in m for m in parts.metrics()] == [False, False, True, True]


def test_quantisation_aware_training_starts_from_the_best_float_model(tmp_path, data, config):
    start = Run(tmp_path / "start")
    train(start, config, data, Quiet(), facts=FACTS)
    run = Run(tmp_path / "run")
    tune = dataclasses.replace(config, epochs=0, qat_bits="8", qat_epochs=1, qat_lr=1e-9, lr_delay=0.0)
    assert start.aware_model() is None
    train(run, tune, data, Quiet(), facts=FACTS, model=start.model().state_dict())
    aware = run.aware_model()
    for name, wanted in start.load("best.pt").items():
        number, kind = name.split(".")
        got = aware.state_dict()[f"{number}.layer.{kind}"]
        bound = torch.from_numpy(largest_weights(aware[int(number)].layer, aware[int(number)].integers)).float()
        wanted = wanted.clamp(-bound, bound) if "weight" in kind else wanted
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


def test_accuracy_seen_in_training_is_that_of_the_chip(tmp_path, data, config):
    run = Run(tmp_path / "run")
    config = dataclasses.replace(config, epochs=1, qat_bits="3", qat_epochs=2)
    train(run, config, data, Quiet(), facts=FACTS)
    _, valid = data.split(config.valid, seed=config.seed)
    scores = convert(run.aware_model()).network.logits(valid.batch(range(len(valid)))[0])
    best = run.load("checkpoint.pt")["state"]["best_epoch"]
    assert best in (2, 3)
    assert run.metrics()[-1]["best_epoch"] == best
    assert run.metrics()[best - 1]["val_accuracy"] == (scores.argmax(1) == valid.labels).mean()


def test_fine_tuning_that_makes_it_worse_is_not_kept(tmp_path, data, config):
    start, run = Run(tmp_path / "start"), Run(tmp_path / "run")
    train(start, dataclasses.replace(config, epochs=3), data, Quiet(), facts=FACTS)
    bad = dataclasses.replace(config, epochs=0, qat_bits="6", qat_epochs=2, qat_lr=1e3)
    assert not train(run, bad, data, Quiet(3), facts=FACTS, model=start.model().state_dict())
    first = run.load("best.pt")  # kept before the first epoch is done
    assert train(run, bad, data, Quiet(), facts=FACTS, resume=True)
    assert [m["best_epoch"] for m in run.metrics()] == [0, 0]
    assert same(first, run.load("best.pt"))
    quantised = quantization_aware(start.model(), 6, calibration=calibration_events(run)).state_dict()
    assert same(quantised, run.load("best.pt"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_device(tmp_path, data, config):
    with pytest.raises(ValueError, match="no CUDA device here"):
        train(Run(tmp_path), dataclasses.replace(config, device="cuda"), data, Quiet(), facts=FACTS)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device(tmp_path, data, config):
    run, config = Run(tmp_path), dataclasses.replace(config, device="cuda", qat_bits="4", qat_epochs=1)
    assert not train(run, config, data, Quiet(4), facts=FACTS)
    seen = Quiet()
    assert train(run, config, data, seen, facts=FACTS, resume=True)
    assert seen.epochs[0]["loss"] > seen.epochs[-1]["loss"]
    assert {p.device.type for p in run.model().parameters()} == {"cpu"}


def test_damaged_checkpoint(tmp_path, data, config):
    run = Run(tmp_path / "r")
    train(run, config, data, Quiet(2), facts=FACTS)
    path = run.path("checkpoint.pt")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"checkpoint\.pt: damaged"):
        train(run, config, data, Quiet(), facts=FACTS, resume=True)


@pytest.mark.parametrize("damage", [{}, {"optimizer": {}}, {"state": {"epochs": 1}}, {"model": {1: 2}}])
def test_checkpoint_of_another_network(tmp_path, data, config, damage):
    run = Run(tmp_path / "r")
    train(run, config, data, Quiet(2), facts=FACTS)
    run.save("checkpoint.pt", run.load("checkpoint.pt") | damage)
    config = config if damage else dataclasses.replace(config, hidden=21)
    with pytest.raises(ValueError, match=r"checkpoint\.pt: .* they do not fit each other"):
        train(run, config, data, Quiet(), facts=FACTS, resume=True)
    run.save("checkpoint.pt", {"model": {}})
    with pytest.raises(ValueError, match=r"checkpoint\.pt: damaged: lacks optimizer, state"):
        train(run, config, data, Quiet(), facts=FACTS, resume=True)


def test_it_learns(tmp_path, data):
    config = Config(
        hidden=40, recurrent=False, epochs=15, batch_size=25, lr=1e-2, initial_spikes=2.0, rate_lower=0.5, shift=0,
        stretch=0.0, shift_time=0.0, dilate=0.0, mask=0.0, mask_time=0.0, dt=1.0, delay=0.0, reduce="exp_mean",
        logit_scale=100.0, valid=0.0,
    )  # fmt: skip
    run = Run(tmp_path / "r")
    watcher = Quiet()
    train(run, config, data, watcher, facts=FACTS)
    assert watcher.epochs[-1]["loss"] < 0.7 * watcher.epochs[0]["loss"]
    scores, labels = predict(run.model(), lb.data.yin_yang(300, seed=1))
    assert (scores.argmax(1) == labels).double().mean() > 0.75


def test_early_stopping_keeps_the_best(tmp_path, data, config):
    stuck = dataclasses.replace(config, lr=1e-9, lr_delay=0.0, epochs=50, patience=2)
    run = Run(tmp_path / "r")
    train(run, stuck, data, Quiet(), facts=FACTS)
    accuracy = [m["val_accuracy"] for m in run.metrics()]
    best = max(range(len(accuracy)), key=lambda i: (accuracy[i], i)) + 1
    assert run.load("checkpoint.pt")["state"]["best_epoch"] == best
    assert len(accuracy) < 50 or best > 47


def test_resume_of_an_early_stopped_run_stays_stopped(tmp_path, data, config):
    stuck = dataclasses.replace(config, lr=1e-9, lr_delay=0.0, epochs=50, patience=1)
    run = Run(tmp_path / "r")
    train(run, stuck, data, Quiet(), facts=FACTS)
    done = len(run.metrics())
    assert train(run, stuck, data, Quiet(), facts=FACTS, resume=True)
    assert len(run.metrics()) == done


def test_a_start_that_fails_leaves_the_old_run(tmp_path, data, config):
    run = Run(tmp_path / "r")
    train(run, config, data, Quiet(), facts=FACTS)
    with pytest.raises(ValueError, match="initial_spikes"):
        train(run, dataclasses.replace(config, initial_spikes=5000.0), data, Quiet(), facts=FACTS)
    assert run.config() == config
    assert run.model()


def test_other_files_are_not_touched(tmp_path, data, config):
    mine = tmp_path / "mine" / "checkpoint.pt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        train(Run(mine.parent), config, data, Quiet(), facts=FACTS)
    assert mine.read_text() == "mine"
    mine.with_name("config.toml").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        train(Run(mine.parent), config, data, Quiet(), facts=FACTS)
    with pytest.raises(ValueError, match="is a file"):
        train(Run(mine), config, data, Quiet(), facts=FACTS)


def test_a_better_model_outdates_what_was_made_of_the_older(tmp_path, data, config):
    run = Run(tmp_path / "r")
    assert not train(run, config, data, Quiet(7), facts=FACTS)
    made = [run.network, *(run.path(n) for n in ("export.json", "evaluation.npz", "report.html"))]
    for path in made:
        path.write_text('{"weight_bits": [8, 8]}')
    train(run, dataclasses.replace(config, valid=0.0), data, Quiet(), facts=FACTS)
    assert not any(path.exists() for path in made)


def test_small_data(tmp_path, data, config):
    with pytest.raises(ValueError, match="valid = 0"):
        train(Run(tmp_path / "r"), config, data.subset(range(4)), Quiet(), facts=FACTS)


def test_one_class(tmp_path, data, config):
    facts = FACTS | {"data": {"train": "a.h5", "test": None}}
    alike = data.subset((data.labels == 1).nonzero()[0])
    with pytest.raises(ValueError, match=r"^a\.h5: all \d+ samples are of one class, .*nothing to tell apart"):
        train(Run(tmp_path / "r"), config, alike, Quiet(), facts=facts)


def test_no_data(tmp_path, data, config):
    facts = FACTS | {"data": {"train": "a.h5", "test": None}}
    with pytest.raises(ValueError, match=r"^a\.h5: holds no samples"):
        train(Run(tmp_path / "r"), config, data.subset([]), Quiet(), facts=facts)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("valid", [0.0, 0.1])
@pytest.mark.parametrize("batch_size", [50, 300])  # diverges in the first epoch, and at its end
def test_divergence_is_told(tmp_path, data, config, valid, batch_size):
    bad = dataclasses.replace(config, lr=1e30, valid=valid, batch_size=batch_size, epochs=9, warmup=0.0)
    with pytest.raises(ValueError, match=r"training diverged in epoch \d \(lr 1e\+30\): .*; lower lr or clip"):
        train(Run(tmp_path / "r"), bad, data, Quiet(), facts=FACTS)


def test_divergence_keeps_the_best_model(tmp_path, data, config):
    run, config = Run(tmp_path / "r"), dataclasses.replace(config, valid=0.0)
    assert not train(run, config, data, Quiet(13), facts=FACTS)
    best, checkpoint = run.load("best.pt"), run.load("checkpoint.pt")
    checkpoint["model"]["0.weight"][0, 0] = torch.nan
    run.save("checkpoint.pt", checkpoint)
    told = r"in epoch 3 \(lr 0\.\d+\): 0\.weight is not finite .* The best model so far, of epoch 2, is kept"
    with pytest.raises(ValueError, match=told):
        train(run, config, data, Quiet(), facts=FACTS, resume=True)
    assert same(best, run.load("best.pt"))


def test_files_are_replaced_whole(tmp_path, data, config):
    run = Run(tmp_path / "r")
    train(run, config, data, Quiet(), facts=FACTS)
    names = {p.name for p in run.folder.iterdir()}
    written = {"config.toml", "run.json", "metrics.jsonl", "calibration.pt", "checkpoint.pt", "best.pt"}
    assert names == written | {"confidence.json"}
    assert run.config() == config
    assert {"torch", "lambent", "numpy"} <= run.facts()["versions"].keys()


def test_logs_begin_after_the_folder_is_emptied(tmp_path, data, config, monkeypatch):
    class Writer:
        def __init__(self, folder):
            Path(folder).mkdir(exist_ok=True)
            (Path(folder) / "events.1").touch()

        def add_scalar(self, *_):
            pass

        flush = add_scalar

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    folder = tmp_path / "r" / "tensorboard"
    for _ in range(2):
        watcher = TensorBoardWatcher(Quiet(), folder)
        assert train(Run(tmp_path / "r"), dataclasses.replace(config, epochs=1), data, watcher, facts=FACTS)
        assert [p.name for p in folder.iterdir()] == ["events.1"]
        (folder / "events.0").touch()


def test_tensorboard_is_an_extra(tmp_path):
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"lambent\[tensorboard\]"):
            TensorBoardWatcher(Quiet(), tmp_path)
        return
    watcher = TensorBoardWatcher(Quiet(), tmp_path)
    watcher.epoch({"epoch": 1, "loss": 0.5})
    assert any(p.name.startswith("events.") for p in tmp_path.iterdir())
