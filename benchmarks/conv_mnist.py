"""Claim: gradients of spike times train the kernels of a convolution: latency-coded MNIST, kernels trained or frozen.

Two convolutions, of 32 and 64 filters 5 x 5 with stride 2, of LIF units on a grid of 1 ms, and a leaky readout: the
same network from the same weights once with its kernels trained and once with the readout alone; and, with weights of
8 bits, on the model of the chip. 55,000 images, each moved by up to a pixel; settings were chosen on the other 5,000 of
the training set, which also say which epoch is the best. Seed 0, test images: trained 99.05 % and on the chip 99.10 %,
frozen 95.40 and 95.38 %. FOLDER holds the four files of MNIST, as for `mnist.py`. What was begun in --out is gone on
with.

    python benchmarks/conv_mnist.py FOLDER [--seeds 0] [--kernels trained frozen] [--epochs 10] [--out runs/conv_mnist]
    python benchmarks/conv_mnist.py FOLDER --rival

`--rival` times training steps of a network like that of mlGeNN's example (32 filters 4 x 4, 128 units, 20 steps,
batches of 32) in lambent and with the same weights in PyTorch (`bptt.py`), in turn on the same images: PyTorch took 4.1
times lambent's CPU time, compiled 2.8 to 3.5 times, where each unit of the convolution spikes 0.5 times a sample.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import lambent as lb
from _common import arguments, show
from bptt import ConvBPTT
from lambent.hardware.loihi2.convert import convert
from mnist import read, scrawl, shifted

DURATION = 20.0  # ms; the dimmest pixels spike at 10
BATCH = 32


def network(filters: int) -> torch.nn.Sequential:
    """Two convolutions and a readout."""
    first = lb.connections.Conv2d((1, 28, 28), filters, 5, stride=2)
    second = lb.connections.Conv2d(first.shape_out, 2 * filters, 5, stride=2)
    spiking = [lb.Spiking(lb.neurons.LIF(tau_mem=10.0), connections) for connections in (first, second)]
    return torch.nn.Sequential(*spiking, lb.LIReadout(second.n_out, 10, scale=30.0))


def case(
    parts: list[lb.data.SpikeDataset], seed: int, kernels: str, filters: int, epochs: int, folder: Path
) -> dict[str, Any]:
    """Accuracies of one network [%], and what an epoch took."""
    data, held_out, test = parts
    torch.manual_seed(seed)
    model = network(filters)
    typical, _ = data.batch(range(0, len(data), max(1, len(data) // 64)))
    lb.calibrate(model, typical, 0.3)
    model[:2].requires_grad_(kernels == "trained")
    history = lb.fit(
        model, data, held_out, epochs=epochs, lr=1e-3, batch_size=BATCH, augment=shifted, seed=seed,
        rate_strength=0.5, rate_lower=0.2, rate_upper=0.6,  # or the first layer grows busy, and the second falls silent
        folder=folder, resume=(folder / "checkpoint.pt").exists(), progress=False,
    )  # fmt: skip
    chip = convert(model, 8, typical).network
    return {
        "kernels": kernels,
        "seed": str(seed),
        "held out": accuracy(model, held_out),
        "test": accuracy(model, test),
        "chip": accuracy(lambda events: torch.from_numpy(chip.logits(events)), test),
        "spikes per unit": history["spikes_per_unit"][-1],
        "epochs": len(history),
        "s per epoch": statistics.median(history["seconds"]),
    }


@torch.no_grad()
def accuracy(scores: Callable[[lb.Events], torch.Tensor], data: lb.data.SpikeDataset) -> float:
    """Share of samples that are classified rightly [%]."""
    right = sum(int((scores(events).argmax(1) == labels).sum()) for events, labels in data.batches(500))
    return 100 * right / len(data)


def rivals(data: lb.data.SpikeDataset, filters: int, ways: list[str], steps: int) -> list[dict[str, Any]]:
    """CPU time of the same steps in lambent and in PyTorch."""
    torch.manual_seed(0)
    conv = lb.connections.Conv2d((1, 28, 28), filters, 4)
    model = torch.nn.Sequential(lb.Spiking(lb.neurons.LIF(), conv), lb.LIF(conv.n_out, 128), lb.LIReadout(128, 10))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    batches = [data.batch(order[i : i + BATCH]) for i in range(0, steps * BATCH, BATCH)]
    lb.calibrate(model, batches[0][0], 0.5)
    nets: dict[str, torch.nn.Module] = {"lambent": model}
    for way in ways:
        nets[way] = ConvBPTT(filters, 4, 128, 10, compiled=way == "PyTorch, compiled")
        weights = model[0].weight, model[1].weight.T, model[2].weight.T
        nets[way].load_state_dict(dict(zip(nets[way].state_dict(), weights, strict=True)))
    optimizers = {way: torch.optim.Adam(net.parameters(), 1e-5, fused=True) for way, net in nets.items()}
    seconds: dict[str, list[float]] = {way: [] for way in nets}
    losses: dict[str, float] = {}
    for events, labels in batches:
        for way, net in nets.items():
            start = time.process_time()
            loss = torch.nn.functional.cross_entropy(net(events if net is model else events.to_dense(1.0)), labels)
            optimizers[way].zero_grad()
            loss.backward()
            optimizers[way].step()
            seconds[way].append(time.process_time() - start)
            losses.setdefault(way, loss.item())
    rows = []
    for way, taken in seconds.items():
        step, own = (statistics.median(x[1:]) for x in (taken, seconds["lambent"]))  # the first compiles
        row = {"case": way, "ms per step": 1e3 * step, "s per epoch": step * len(data) / BATCH}
        rows.append(row | {"times lambent's": step / own, "first loss": losses[way]})
    return rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--kernels", nargs="+", default=["trained", "frozen"], choices=["trained", "frozen"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("runs/conv_mnist"))
    parser.add_argument("--rival", action="store_true", help="time steps against PyTorch, on one thread")
    args = parser.parse_args()
    held, ways, steps = 5000, ["PyTorch", "PyTorch, compiled"], 21
    if args.smoke:
        args.folder = args.out = Path(tempfile.mkdtemp())
        args.epochs, args.filters, held, ways, steps = 1, 4, 10, ways[:1], 2  # compiling takes a while
        scrawl(args.folder)
    elif args.folder is None:
        parser.error("needs the folder of MNIST's files")
    if args.rival or args.smoke:
        torch.set_num_threads(1)
        data = read(args.folder, "train", t_late=18.0).with_duration(DURATION)
        show("conv_mnist", rivals(data, args.filters if args.smoke else 32, ways, steps))
    if not args.rival:
        data, held_out = read(args.folder, "train", t_late=10.0).with_duration(DURATION).split(held, seed=0)
        parts = [data, held_out, read(args.folder, "t10k", t_late=10.0).with_duration(DURATION)]
        for seed in args.seeds:
            for kernels in args.kernels:
                folder = args.out / f"{kernels}{seed}"
                show("conv_mnist", [case(parts, seed, kernels, args.filters, args.epochs, folder)])


if __name__ == "__main__":
    main()
