"""Claim: commands of new speakers, default settings: as right as a GRU and BPTT, with a ninth of the GRU's operations.

A residual CNN is better by three points, with ten times the operations. All on the same spikes, which `lambent encode`
made of recordings whose split keeps speakers apart. "lambent" is what `lambent train`, `export` and `evaluate --chip`
do; "bptt" its network trained by surrogate gradients in PyTorch, with the same augmentation, loss and optimiser, its
delays and time constants as they begin. "cnn" (three residual blocks, mean and maximum over time) and "gru" (two
layers, mean over time) read log counts in frames of 15 and 10 ms, with the same augmentation. These three train on all
words and keep the last epoch.

    python benchmarks/keywords.py TRAIN.h5 TEST.h5 [--valid VALID.h5] [--seeds 3] [--cases lambent cnn gru bptt]
        [--out runs/keywords] [--device cuda]

"unknown" is the recall of the class _unknown_, where there is one; "early" and "late" the accuracies on the thirds of
the test words whose spikes lie first and last. "operations" are multiply-adds a word: in spiking layers one for each
connection that a spike passes, and three for each unit in each step. Finished runs in --out are not trained again.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from _common import arguments, show, tiny_words
from bptt import DelayedBPTT
from lambent.connections import Conv1d
from lambent.data import SpikeDataset
from lambent.events import Events
from lambent.runs.evaluate import evaluate_run
from lambent.runs.export import export_run
from lambent.runs.train import load_training_data, train_run
from lambent.training import Config, Run, Trainer, build_model, forward
from lambent.training.trainer import augmentation

SETTINGS: dict[str, Any] = {}  # beside the defaults; only --smoke has some
FRAMES = {"cnn": (15.0, 70), "gru": (10.0, 70)}  # length [ms], and channels at most
EPOCHS = {"cnn": 40, "gru": 40, "bptt": 10, "bptt on a GPU": 50}  # of bptt each takes minutes on a CPU
Figures = dict[str, Any]


def lambent(data: SpikeDataset, test: SpikeDataset, valid: SpikeDataset | None, seed: int, folder: Path) -> Figures:
    """The default settings, by way of a run folder."""
    run = Run(folder / f"lambent{seed}")
    resume = run.path("checkpoint.pt").exists()
    config, source = Config(**SETTINGS, seed=seed), {"train": "commands"}
    if not train_run(run, config, data, source, Console(), resume=resume, valid=valid):
        raise KeyboardInterrupt
    export_run(run)
    found = evaluate_run(run, test, chip=True, source="commands, test")
    figures = scored(torch.from_numpy(found.scores["float"]), test)
    chip = scored(torch.from_numpy(found.scores["chip"]), test)
    return (
        figures
        | {"chip": chip["accuracy"], "operations": spiking_operations(run.model(), test)}
        | {"minutes": sum(m["seconds"] for m in run.metrics()) / 60}
    )


class Residual(nn.Module):
    """Two convolutions beside a way round them; halves both sides."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.through = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, 2, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out),
        )  # fmt: skip
        self.round = nn.Sequential(nn.Conv2d(n_in, n_out, 1, 2, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, n_out, channels, frames)."""
        return F.relu(self.through(x) + self.round(x))


class CNN(nn.Module):
    """A residual network on counts (batch, channels, frames); plain and narrower ones did worse."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        stem = nn.Conv2d(1, 24, 5, (2, 1), 2, bias=False), nn.BatchNorm2d(24), nn.ReLU()
        self.layers = nn.Sequential(*stem, Residual(24, 32), Residual(32, 48), Residual(48, 64))
        self.out = nn.Sequential(nn.Dropout(0.4), nn.LazyLinear(n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch, classes), of means and maxima over time at each place."""
        x = self.layers(x.unsqueeze(1))
        return self.out(torch.cat([x.mean(3), x.amax(3)], 1).flatten(1))


class GRU(nn.Module):
    """Two layers of 128 units, and the mean over time."""

    def __init__(self, n_in: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.GRU(n_in, 128, 2, batch_first=True, dropout=0.2)
        self.out = nn.Linear(128, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch, classes)."""
        return self.out(self.layers(x.transpose(1, 2))[0].mean(1))


def frames(events: Events, length: float, channels: int) -> Tensor:
    """Log counts (batch, channels at most, frames) in frames of a length [ms]; neighbouring channels are summed."""
    n = int(np.ceil(events.duration / length))
    row = events.samples() * events.n_units + events.units
    counts = torch.bincount(row * n + (events.times / length).long(), minlength=len(events) * events.n_units * n)
    counts = counts.view(len(events), events.n_units, n).float()
    together = -(-events.n_units // channels)
    return F.avg_pool1d(counts.transpose(1, 2), together, ceil_mode=True).transpose(1, 2).mul(together).log1p()


def framed(name: str, data: SpikeDataset, test: SpikeDataset, seed: int, device: torch.device) -> Figures:
    """A network of PyTorch on frames."""
    torch.manual_seed(seed)
    change = augmentation(Config(), data)

    def read(events: Events) -> Tensor:
        return frames(events, *FRAMES[name]).to(device)

    example = read(data.batch([0, 1])[0])
    model = (CNN(data.n_classes) if name == "cnn" else GRU(example.shape[1], data.n_classes)).to(device)
    model.eval()(example)
    dice, start = torch.Generator().manual_seed(seed), time.perf_counter()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=2e-2)
    steps = EPOCHS[name] * -(-len(data) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for _ in range(EPOCHS[name]):
        model.train()
        for events, labels in data.batches(32, shuffle=True, generator=dice):
            x = read(change(events, labels, dice))
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels.to(device), label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
    minutes = (time.perf_counter() - start) / 60
    model.eval()
    with torch.no_grad():
        scores = torch.cat([model(read(events)) for events, _ in test.batches(100)]).cpu()
    return scored(scores, test) | {"operations": dense_operations(model, example), "minutes": minutes}


def bptt(data: SpikeDataset, test: SpikeDataset, seed: int, device: torch.device) -> Figures:
    """The network of the default settings, from the same initial weights, by surrogate gradients."""
    gpu = device.type == "cuda"
    epochs = EPOCHS["bptt on a GPU" if gpu else "bptt"]
    config = Config(**{"epochs": epochs, "lr_delay": 0.0, "valid": 0.0} | SETTINGS, seed=seed)
    trainer = Trainer(build_model(config, data.n_units, data.n_classes), config, data)
    trainer.start()
    net, change = DelayedBPTT(trainer.model.to(device), compiled=gpu), augmentation(config, data)
    if gpu:  # thousands of small kernels: one graph of them for whole batches, none for the last one of an epoch
        sample, _ = data.batch(range(config.batch_size))
        torch.cuda.make_graphed_callables(net, (sample.to_dense(config.dt).to(device),))
    optimizer, start = torch.optim.AdamW(net.parameters(), weight_decay=0.0), time.perf_counter()
    dice = torch.Generator().manual_seed(seed)
    for epoch in range(config.epochs):
        for number, (events, labels) in enumerate(trainer.data.epoch(seed, epoch)):
            trainer.state.epoch, trainer.state.batch = epoch, number
            net.train(len(labels) == config.batch_size)
            scores, counts = net(change(events, labels, dice).to_dense(config.dt).to(device))
            loss = F.cross_entropy(scores, labels.to(device), label_smoothing=config.label_smoothing)
            for mean in (c.mean(0) for c in counts):
                low, high = (config.rate_lower - mean).clamp(min=0), (mean - config.rate_upper).clamp(min=0)
                loss = loss + config.rate_strength * (low**2 + high**2).mean()
            for group in optimizer.param_groups:
                group["lr"] = config.lr * trainer.rate()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), config.clip)
            optimizer.step()
    minutes = (time.perf_counter() - start) / 60
    net.eval()
    with torch.no_grad():
        scores = torch.cat([net(events.to_dense(config.dt).to(device))[0].cpu() for events, _ in test.batches(100)])
    return scored(scores, test) | {"minutes": minutes}


def scored(scores: Tensor, test: SpikeDataset) -> Figures:
    """Accuracies: of all, of the class of unknown words, and of the early and the late third."""
    right = (scores.argmax(1).numpy() == test.labels).astype(float)
    ends = zip(test.offsets[:-1], test.offsets[1:], strict=True)
    early, _, late = np.array_split(np.argsort([test.times[a:b].mean() if b > a else 0.0 for a, b in ends]), 3)
    figures = {"accuracy": right.mean(), "early": right[early].mean(), "late": right[late].mean()}
    if "_unknown_" in test.class_names:
        figures["unknown"] = right[test.labels == test.class_names.index("_unknown_")].mean()
    return {name: float(x) for name, x in figures.items()}


@torch.no_grad()
def spiking_operations(model: nn.Sequential, test: SpikeDataset) -> float:
    """Multiply-adds a word, mean of the first 100."""
    events, _ = test.batch(range(min(100, len(test))))
    _, hidden = forward(model, events)
    total, arriving = 0.0, events
    for layer, emitted in zip(model, [*hidden, None], strict=True):
        each = arriving.counts().mean(0)
        connections = layer.connections
        if isinstance(connections, Conv1d):
            fan_out = torch.bincount(connections.entries().source, minlength=connections.n_in)
        else:
            fan_out = torch.full_like(each, connections.n_out)
        steps = round(events.duration / layer.dt)
        total += float((each * fan_out).sum()) + 3 * connections.n_out * steps
        if emitted is not None:
            if layer.recurrent is not None:
                total += float(emitted.counts().mean(0).sum()) * connections.n_out
            arriving = emitted
    return total


@torch.no_grad()
def dense_operations(model: nn.Module, example: Tensor) -> float:
    """Multiply-adds of a sample's convolutions, products and recurrent units."""
    total = 0.0

    def count(module: nn.Module, _: Any, out: Any) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += out[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()
        elif isinstance(module, nn.GRU):
            total += out[0].shape[1] * sum(p.numel() for p in module.parameters() if p.ndim == 2)

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    model.eval()(example[:1])
    for hook in hooks:
        hook.remove()
    return total


def result(
    case: str,
    data: SpikeDataset,
    test: SpikeDataset,
    valid: SpikeDataset | None,
    seed: int,
    folder: Path,
    device: torch.device,
) -> Figures:
    """The figures of a case, from its file if it has run already."""
    path = folder / f"{case}{seed}.json"
    if not path.exists():
        if case == "lambent":
            figures = lambent(data, test, valid, seed, folder)
        else:
            figures = bptt(data, test, seed, device) if case == "bptt" else framed(case, data, test, seed, device)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures))
    return json.loads(path.read_text())


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("test", type=Path, nargs="?")
    parser.add_argument("--valid", type=Path, help="what lambent's epochs are chosen on; else some training words")
    parser.add_argument("--seeds", type=int, default=3)
    cases = ["lambent", "cnn", "gru", "bptt"]
    parser.add_argument("--cases", nargs="+", choices=cases, default=cases)
    parser.add_argument("--out", type=Path, default=Path("runs/keywords"))
    help_device = "where cnn, gru and bptt run; on a GPU bptt takes 50 epochs instead of 10"
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help=help_device)
    args = parser.parse_args()
    if args.smoke:
        args.out = Path(tempfile.mkdtemp())
        args.train, args.test = tiny_words(args.out)
        args.seeds = 1
        SETTINGS.update(epochs=1)
        EPOCHS.update(cnn=1, gru=1, bptt=1)
    elif args.test is None:
        parser.error("needs the files of a training and of a test set")
    data, test, valid = load_training_data(args.train, args.test, Config(), valid=args.valid)
    assert test is not None
    rows = []
    for case in args.cases:
        results = [result(case, data, test, valid, seed, args.out, args.device) for seed in range(args.seeds)]
        row: dict[str, Any] = {"case": case, "seeds": args.seeds}
        for key in ("accuracy", "chip", "unknown", "early", "late", "operations", "minutes"):
            values = [r[key] for r in results if key in r]
            row[key] = statistics.mean(values) if values else None
        row["accuracies"] = " ".join(f"{r['accuracy']:.3f}" for r in results)
        rows.append(row)
    show("keywords", rows)


if __name__ == "__main__":
    main()
