"""`lambent.fit`: any module, loss and target; stops, resumes and keeps what it should."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

import lambent as lb
from lambent.training.objective import Objective

DATA = lb.data.yin_yang(300, seed=0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def classifier(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 8, scale=30.0), nn.Dropout(dropout), nn.Linear(8, 3))


def fit(model: nn.Module, data: Any = DATA, valid: Any = None, **options: Any) -> lb.training.History:
    return lb.fit(model, data, valid, **({"epochs": 3, "progress": False, "lr": 2e-2} | options))


def batches(target: Callable[[torch.Tensor], Any], size: int = 50) -> list[tuple[lb.Events, Any]]:
    return [(events, target(labels)) for events, labels in DATA.batches(size)]


def same(a: nn.Module, b: nn.Module) -> bool:
    states = a.state_dict(), b.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_classes() -> None:
    model = classifier()
    history = fit(model, valid=0.2, epochs=6)
    assert len(history) == 6
    assert history.finished
    assert history["loss"][-1] < history["loss"][0]
    highest = max(history["val_accuracy"])
    least = highest - (highest * (1 - highest) / 60) ** 0.5
    assert history.best_epoch == max(m["epoch"] for m in history.metrics if m["val_accuracy"] >= least)
    assert least > 0.5
    assert repr(history).startswith(f"History(6 epochs, best {history.best_epoch}: loss ")
    assert model.training
    with pytest.raises(KeyError, match="no metric 'f1'; there are epoch, loss"):
        history["f1"]


def test_the_best_epoch_is_in_the_model() -> None:
    train, valid = DATA.split(0.2, seed=0)
    model, seen = classifier(), []
    history = fit(model, train, valid, epochs=5, callbacks=[lambda _: seen.append(model[3].bias.detach().clone())])
    assert torch.equal(model[3].bias, seen[history.best_epoch - 1])


def fit_with(accuracies: list[float], **options: Any) -> lb.training.History:
    """A training whose epochs have these validation accuracies, on 50 samples."""
    train, valid = DATA.split(50, seed=0)
    answers = iter(accuracies)

    def metric(outputs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.tensor(next(answers) if len(outputs) == 50 else 0.0)

    return fit(
        classifier(), train, valid, epochs=len(accuracies), metrics={"accuracy": metric}, batch_size=32, **options
    )


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ([0.5, 0.9, 0.86, 0.8], 3),  # the standard error of 0.9 is 0.042 on 50 samples
        ([0.5, 0.9, 0.8, 0.92], 4),
        ([0.9, 0.8, 0.7, 0.8], 1),
        ([1.0, 1.0, 0.98, 0.98], 2),  # of 1 it is 0
        ([0.0, 0.0, 0.0, 0.0], 4),
    ],
)
def test_of_epochs_that_validation_cannot_tell_apart_the_last_is_kept(accuracies: list[float], best: int) -> None:
    history = fit_with(accuracies)
    assert history.best_epoch == best
    assert history.metrics[-1]["best_val_accuracy"] == pytest.approx(accuracies[best - 1])


def test_patience_counts_from_the_highest_accuracy() -> None:
    history = fit_with([0.5, 0.9, 0.89, 0.89, 0.95], patience=2)
    assert (len(history), history.best_epoch) == (4, 4)


def test_floats() -> None:
    goal = batches(lambda y: F.one_hot(y, 3).float())
    model = nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 3, scale=10.0))
    history = fit(model, goal, goal)
    assert history["loss"][-1] < history["loss"][0]
    assert "accuracy" not in history.metrics[0]
    assert history.best["val_loss"] == min(history["val_loss"])


def test_a_number_a_sample() -> None:
    model = nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 1, scale=10.0))
    history = fit(model, batches(lambda y: y.float()))
    assert history["loss"][-1] < history["loss"][0]


def test_a_label_a_step() -> None:
    model = nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 3, reduce="none"))
    steps = model(DATA.batch(range(2))[0]).shape[1]
    history = fit(model, batches(lambda y: y.unsqueeze(1).repeat(1, steps)))
    assert history["loss"][-1] < history["loss"][0]
    assert 0 < history["accuracy"][0] < 1
    again = fit(model, batches(lambda y: y))  # one for all steps
    assert again["loss"][0] == pytest.approx(history["loss"][-1], rel=0.2)


def test_data_sets_of_floats_and_of_labels_of_steps() -> None:
    events, labels = DATA.batch(range(100))
    train = lb.data.SpikeDataset.from_events(events, labels.float())
    history = fit(nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 1, scale=10.0)), train, 0.2)
    assert history["loss"][-1] < history["loss"][0]
    assert history.best["val_loss"] == min(history["val_loss"])

    model = nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 3, reduce="none", scale=30.0))
    steps = labels.unsqueeze(1).repeat(1, model(events).shape[1])
    history = fit(model, lb.data.SpikeDataset.from_events(events, steps), 0.2)
    assert history["loss"][-1] < history["loss"][0]
    assert 0 < history["val_accuracy"][-1] < 1


def test_steps_that_do_not_count() -> None:
    """They change neither the loss nor the accuracy, and a batch of nothing else says so."""
    events, labels = DATA.batch(range(100))
    model = nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 3, reduce="none", scale=30.0))
    voltages = model(events)
    steps = labels.unsqueeze(1).repeat(1, voltages.shape[1])
    steps[:, :10] = -100
    objective = Objective()
    assert objective.losses(voltages, steps)[0] == objective.losses(voltages[:, 10:], steps[:, 10:])[0]
    assert objective.figures(voltages, steps) == objective.figures(voltages[:, 10:], steps[:, 10:])
    history = fit(model, lb.data.SpikeDataset.from_events(events, steps), 0.2)
    assert history["loss"][-1] < history["loss"][0]
    assert 0 < history["val_accuracy"][-1] < 1
    with pytest.raises(ValueError, match="the labels of a batch are all -100"):
        fit(model, lb.data.SpikeDataset.from_events(events, torch.full_like(steps, -100)))


def test_losses_and_metrics_of_ones_own() -> None:
    model = nn.Sequential(lb.LIF(5, 30), lb.LIF(30, 3))
    lb.calibrate(model, DATA.batch(range(100))[0], spikes=1.0)
    history = fit(
        model,
        valid=0.2,
        loss=lambda spikes, labels: lb.losses.first_spike_cross_entropy(spikes, labels, tau=2.0),
        metrics={"right": lambda spikes, y: (lb.losses.first_spike_times(spikes).argmin(1) == y).double().mean()},
        epochs=12,
    )
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert history.best["val_loss"] == min(history["val_loss"])
    assert 0 < history["val_right"][-1] < 1


def test_all_that_wants_a_gradient_is_trained() -> None:
    model = nn.Sequential(lb.LIF(5, 20, bias=0.1, delay=1.0, dt=None), lb.LIReadout(20, 3, dt=None))
    for name in ("tau_mem", "threshold"):
        getattr(model[0], name).requires_grad_()
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, epochs=1)
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]) != value.requires_grad, name


def test_a_loader_of_torch() -> None:
    loader = torch.utils.data.DataLoader(DATA, batch_size=60, shuffle=True, collate_fn=lb.data.collate)
    models = classifier(0.2), classifier(0.2)
    for n, model in enumerate(models):
        torch.manual_seed(n)  # what others draw does not matter
        fit(model, loader, DATA)
    assert same(*models)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lr_scheduler.StepLR(o, 1, gamma=0.5),
        lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=0, threshold=1e9, threshold_mode="abs"),
    ],
)
def test_schedulers_of_torch(make: Callable[[Any], Any]) -> None:
    history = fit(classifier(), valid=0.2, scheduler=make)
    assert history["lr"][0] == 2e-2
    assert history["lr"][-1] < 2e-2
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    assert fit(model, optimizer=optimizer, scheduler=make(optimizer))["lr"][0] == 0.1


def test_callbacks_and_patience_stop() -> None:
    history = fit(classifier(), epochs=9, callbacks=[lambda m: m["epoch"] == 2])
    assert (len(history), history.finished) == (2, False)
    history = fit(classifier(), valid=0.2, epochs=50, patience=2, lr=1e-9)
    assert len(history) < 50
    assert history.finished


@pytest.mark.parametrize("loader", [False, True])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path, loader: bool) -> None:
    def step_lr(optimizer: Any) -> Any:
        return lr_scheduler.StepLR(optimizer, 1, gamma=0.7)

    data = torch.utils.data.DataLoader(DATA, 50, shuffle=True, collate_fn=lb.data.collate) if loader else DATA
    models = [classifier(0.2) for _ in range(2)]
    jitter = lb.data.augment.Compose([lb.data.augment.JitterTimes(0.5)])
    options: dict[str, Any] = {"valid": DATA, "scheduler": step_lr, "epochs": 4, "augment": jitter}
    whole = fit(models[0], data, **options)
    first = fit(models[1], data, folder=tmp_path / "run", callbacks=[lambda m: m["epoch"] == 2], **options)
    assert not first.finished
    again = classifier(0.2)
    history = fit(again, data, folder=tmp_path / "run", resume=True, **options)
    assert same(models[0], again)
    timed = ("seconds", "samples_per_s")
    for a, b in zip(whole.metrics, history.metrics, strict=True):
        assert {k: v for k, v in a.items() if k not in timed} == {k: v for k, v in b.items() if k not in timed}


def test_a_folder_is_never_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    fit(classifier(), folder=folder, epochs=1)
    assert {path.name for path in folder.iterdir()} == {"checkpoint.pt", "best.pt", "metrics.jsonl"}
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match="holds files already; resume=True"):
        fit(classifier(), folder=folder)
    with pytest.raises(ValueError, match="batch_size was 32 when the training began, is 16"):
        fit(classifier(), folder=folder, resume=True, batch_size=16)
    with pytest.raises(ValueError, match="of another model"):
        fit(nn.Sequential(lb.LIF(5, 7), lb.LIReadout(7, 3)), folder=folder, resume=True)
    assert kept == {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileNotFoundError, match=r"checkpoint\.pt is missing"):
        fit(classifier(), folder=tmp_path / "new", resume=True)
    with pytest.raises(ValueError, match="resume needs the folder"):
        fit(classifier(), resume=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hidden": 3}, TypeError, "no setting 'hidden'; there are batch_size"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"lr": -1.0}, ValueError, "lr must be positive"),
        ({"valid": 0.0001}, ValueError, "leaves a part empty"),
        ({"valid": []}, ValueError, "valid holds no samples"),
        ({"loss": lambda out, _: out}, ValueError, r"the loss must be a tensor of one number, got \(32, 3\)"),
        ({"data": []}, ValueError, "train holds no samples"),
        ({"data": [1, 2]}, TypeError, "batches must be pairs of lambent.Events and targets, got int"),
        ({"data": iter([1])}, TypeError, "with a length"),
        ({"data": [(DATA[0][0], torch.zeros(1, 7))]}, ValueError, r"outputs of shape \(1, 3\) for targets of \(1, 7\)"),
        ({"data": [(DATA[0][0], torch.zeros(2, dtype=int))]}, ValueError, "the model must give scores"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit(classifier(), **options)


def test_one_class_is_told() -> None:
    with pytest.warns(UserWarning, match="samples of train are of one class"):
        fit(classifier(), DATA.subset((DATA.labels == 1).nonzero()[0]), epochs=1)


def test_ctrl_c_stops_and_interrupts(tmp_path: Path) -> None:
    """Also between batches; with a folder it goes on as if it had not been stopped."""

    def press(metrics: dict[str, float]) -> None:
        if metrics["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)

    whole, stopped = classifier(0.2), classifier(0.2)
    fit(whole, epochs=4)
    with pytest.raises(KeyboardInterrupt, match="stopped in epoch 3 of 4; with resume=True"):
        fit(stopped, epochs=4, folder=tmp_path / "run", callbacks=[press])
    again = classifier(0.2)
    fit(again, epochs=4, folder=tmp_path / "run", resume=True)
    assert same(whole, again)


def test_resuming_wants_the_same_model_and_data(tmp_path: Path) -> None:
    fit(classifier(), folder=tmp_path / "run", epochs=1)
    other = classifier()
    other[0].dt = other[1].dt = 0.5
    for model, data, message in (
        (other, DATA, "another model"),
        (classifier(), lb.data.yin_yang(300, seed=1), "other data"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(model, data, folder=tmp_path / "run", resume=True, epochs=2)


def test_data_sets_of_torch_and_models_that_encode() -> None:
    part = torch.utils.data.Subset(DATA, range(100))
    history = fit(classifier(), part, part)
    assert history["val_loss"][-1] < history["val_loss"][0]

    images = torch.rand(120, 1, 6, 6)
    labels = (images.mean((1, 2, 3)) > 0.5).long()
    spikes = lb.encode.Encoder(lb.encode.latency, duration=40.0, t_late=30.0)
    values = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Sigmoid())
    model = nn.Sequential(values, spikes, lb.LIF(32, 20), lb.LIReadout(20, 2, scale=30.0))
    history = fit(model, torch.utils.data.TensorDataset(images, labels), batch_size=30)
    assert history["loss"][-1] < history["loss"][0]


def test_frozen_models_and_options_that_are_no_functions() -> None:
    with pytest.raises(ValueError, match="nothing of the model requires a gradient"):
        fit(classifier().requires_grad_(False))
    with pytest.raises(TypeError, match="optimizer must be made"):
        fit(classifier(), optimizer=torch.optim.Adam)
    with pytest.raises(TypeError, match="loss must be a function"):
        fit(classifier(), loss="mse")


def test_a_model_that_stays_silent_is_told() -> None:
    model = classifier()
    with torch.no_grad():
        model[0].weight.abs_().mul_(-1)
    with pytest.warns(UserWarning, match="no unit spiked in the last epoch"):
        fit(model, epochs=1, lr=1e-4)
