"""Claim: EventProp on a packet-level model of SpiNNaker2 learns what it did on the chip, and more with lambent's rule.

All figures of the chip are modelled. Parts, all where none is named:

* "gradients": the cosine of both rules' gradients to the exact engine's (continuous time), in the setting of Bena et
  al. (arXiv 2412.15021), and whether packet machine and fast path are equal bit for bit.
* "fits": the largest hidden layer of 140-hidden(recurrent)-10 on so many elements, 500 steps, for learning and for
  inference with float32 and 8-bit weights.
* "yin_yang": accuracy on 10,000 points after learning from 60,000 a pass, by seeds: "bena2024" in its own setting,
  "lambent" in the same, and in steps of 0.25 ms. Rounded to steps of 1 ms the points can be told apart by 96.97 % at
  most; the row "bound" works that out. With it packets a sample, ticks and energy of a pass, and seconds of the model.
* "keywords": the packaged keywords, 140-128(recurrent)-10 without delays in steps of 2 ms; half as many epochs again.

    python benchmarks/spinnaker2.py [gradients] [fits] [yin_yang] [keywords] [--seeds 5] [--epochs 40] [--jobs 2]
"""

from __future__ import annotations

import copy
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from multiprocessing import get_context
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console

import lambent as lb
from _common import arguments, show
from lambent.hardware import spinnaker2 as s2
from lambent.hardware.spinnaker2.constants import default_constants
from lambent.hardware.spinnaker2.fast import FastMachine, spikes_of
from lambent.hardware.spinnaker2.rounding import convert
from lambent.machine.denormals import denormals_flushed
from lambent.runs.train import train_run
from lambent.training import Config, Run

PARTS = ("gradients", "fits", "yin_yang", "keywords")
SETTINGS = (("bena2024", 1.0), ("lambent", 1.0), ("lambent", 0.25))
"""Rule and step [ms]."""
KEYWORDS: dict[str, Any] = {"hidden": 128, "dt": 2.0, "delay": 0.0, "initial_spikes": 10.0, "rate_lower": 2.0}
KEYWORDS |= {"stretch": 0.0, "mask": 0.0, "mask_time": 0.0, "dilate": 0.1, "shift_time": 40.0, "chip": "spinnaker2"}
KEYWORDS |= {"tau_mem": 20.0, "tau_syn": 5.0, "tau_spread": 0.5, "readout_tau_mem": 20.0}
"""Chosen on held-out words to train on: without delays less augmentation learns more."""


def finer(dt: float, seed: int) -> torch.nn.Sequential:
    """The network of Bena et al. in other steps, with slopes of at least 0.3 threshold / tau_mem."""
    model = torch.nn.Sequential(lb.LIF(5, 120, dt=dt, min_slope=0.3), lb.LIF(120, 3, dt=dt, min_slope=0.3))
    model.load_state_dict(dict(s2.bena2024_model(seed).state_dict()))  # the values alone
    return model


def points(n: int, seed: int, dt: float) -> lb.data.SpikeDataset:
    """Theirs in steps of 1 ms, and times as they are otherwise."""
    if dt == 1.0:
        return s2.bena2024_data(n, seed)
    return lb.data.yin_yang(n, seed, t_early=2.0, t_late=26.0, t_bias=0.0, duration=27.0)


# -- gradients ----------------------------------------------------------------------------------------------------


def gradients() -> list[dict[str, Any]]:
    """Cosines to the exact engine's gradient, of the same spikes' times rounded to steps."""
    events, labels = s2.bena2024_data(22, 0).batch(range(22))
    rows = []
    for rule, dt in SETTINGS:
        model = finer(dt, 0)
        chosen = s2.Rule(rule)
        placement = s2.place(s2.to_chip(model), round(27 / dt), batch=22, training=True)
        machine, fast = s2.Machine(placement, chosen, 27.0), FastMachine(placement, chosen, 27.0)
        spikes = spikes_of(events, dt)
        with denormals_flushed():
            slow, quick = (chip.batch(spikes, labels.numpy()) for chip in (machine, fast))
        exact = torch.nn.Sequential(lb.LIF(5, 120, dt=None), lb.LIF(120, 3, dt=None)).double()
        exact.load_state_dict({k: v.double() for k, v in model.state_dict().items()})
        loss = lb.losses.first_spike_cross_entropy(exact(events), labels, 1.5, 1e-2, 100.0)
        loss.backward()
        total, at = slow.gradients.sum(0, dtype=np.float64), 0
        row = {"rule": rule, "dt": dt, "bits equal": str(bool(np.array_equal(slow.gradients, quick.gradients)))}
        for layer, on_chip in zip(exact, placement.network.layers, strict=True):
            here = total[at : at + on_chip.matrix.size].reshape(on_chip.matrix.shape) * on_chip.worth(dt)
            there, at = layer.weight.grad.numpy(), at + on_chip.matrix.size
            cosine = (here * there).sum() / np.sqrt((here**2).sum() * (there**2).sum())
            row[f"cosine {on_chip.name}"] = float(cosine)
        rows.append(row)
    return rows


# -- what fits ------------------------------------------------------------------------------------------------------


def fits(smoke: bool) -> list[dict[str, Any]]:
    """The largest hidden layers."""
    rows = []
    for elements in (8, 148) if smoke else (4, 8, 16, 32, 64, 148):
        chip = replace(default_constants(), usable=elements)

        def largest(training: bool, kind: Any, chip: Any = chip) -> int:
            low, high = 0, 8192
            while high - low > max(1, low // 100):
                middle = (low + high) // 2
                model = torch.nn.Sequential(lb.LIF(140, 1, recurrent=True, dt=2.0), lb.LIReadout(1, 10, dt=2.0))
                network = s2.to_chip(model)
                try:
                    s2.place(_widened(network, middle, kind), 500, training=training, constants=chip)
                except ValueError:
                    high = middle
                else:
                    low = middle
            return low

        rows.append(
            {
                "elements": elements,
                "learning": largest(True, np.float32),
                "inference, float32": largest(False, np.float32),
                "inference, 8 bits": largest(False, np.int8),
            }
        )
    return rows


def _widened(network: s2.Spinnaker2Network, hidden: int, kind: Any) -> s2.Spinnaker2Network:
    ones = np.ones(hidden)
    first, last = network.layers
    first = replace(first, matrix=np.zeros((140 + hidden, hidden), kind), tau_mem=ones, tau_syn=ones, threshold=ones)
    last = replace(last, n_in=hidden, matrix=np.zeros((hidden, 10), kind))
    return replace(network, layers=(first, last))


# -- Yin-Yang -------------------------------------------------------------------------------------------------------


def bound(n: int) -> float:
    """The share of points that whoever sees steps of 1 ms can get right: the commonest class of each pair of steps."""

    def cells(data: lb.data.SpikeDataset) -> np.ndarray:
        steps = np.zeros((len(data), 5), np.int64)
        rows = np.repeat(np.arange(len(data)), 5)
        steps[rows, data.units] = np.floor(data.times)
        return steps[:, 0] * 27 + steps[:, 1]

    seen, test = s2.bena2024_data(n, 1), s2.bena2024_data(n // 10, 2)
    counts = np.zeros((27 * 27, 3))
    np.add.at(counts, (cells(seen), seen.labels), 1)
    return float((counts.argmax(1)[cells(test)] == test.labels).mean())


def yin_yang(seed: int, rule: str, dt: float, epochs: int, n: int) -> dict[str, Any]:
    """Train one network."""
    torch.set_num_threads(1)
    train, test = points(n, 2 * seed, dt), points(max(100, n // 6), 2 * seed + 1, dt)
    model = s2.bena2024_model(seed) if rule == "bena2024" else finer(dt, seed)
    decay = 0.95 if rule == "bena2024" else 0.05 ** (1 / epochs)
    lr = None if rule == "bena2024" else 6e-4
    done = s2.train_on_chip(model, train, rule=rule, epochs=epochs, lr=lr, decay=decay, seed=seed)
    events, labels = train.batch(range(22))
    now = replace(done.placement, network=done.network)
    cost = s2.update_cost(now, done.rule, events, labels)
    return {
        "rule": rule,
        "dt": dt,
        "seed": seed,
        "accuracy": s2.chip_accuracy(done.network, test),
        "silent": done.history[-1]["silent"],
        "packets": cost.packets,
        "ticks": cost.ticks,
        "elements": cost.elements,
        "worst tick": cost.worst_tick,
        "mJ an update": cost.energy,
        "J an epoch": 1e-3 * cost.energy * (n // 22),
        "s an epoch": float(np.median([x["seconds"] for x in done.history])),
    }


# -- keywords -------------------------------------------------------------------------------------------------------


def keywords(seed: int, epochs: int, smoke: bool) -> dict[str, Any]:
    """Train on the packaged keywords as `lambent train --on spinnaker2` does, and test on voices never heard."""
    torch.set_num_threads(1)
    train, test = lb.data.keywords()
    if smoke:
        train, test = train.subset(range(0, len(train), 37)), test.subset(range(0, len(test), 37))
    config = Config(**KEYWORDS, epochs=epochs, seed=seed)
    with TemporaryDirectory() as folder:
        run = Run(folder)
        train_run(run, config, train, {"train": "keywords", "test": None}, Console(quiet=True), on_chip=True)
        model, update = run.model(), run.read_json("on_chip.json")
        seconds = [metrics["seconds"] for metrics in run.metrics()]
    events, _ = train.batch(range(32))
    rounded = convert(copy.deepcopy(model)).network
    cost = s2.estimate_cost(rounded, s2.run_network(rounded, events))
    return {
        "seed": seed,
        "accuracy": s2.chip_accuracy(s2.to_chip(model), test, 50),
        "8 bits": s2.chip_accuracy(rounded, test, 50),
        "elements": update["elements"],
        "groups": update["groups"],
        "bytes": update["memory"],
        "packets, learning": update["packets"],
        "mJ an update": update["energy"],
        "ms an update": update["latency"],
        "elements, 8 bits": cost.elements,
        "packets": cost.packets,
        "mJ a word": cost.energy,
        "ms a word": cost.latency,
        "s an epoch": float(np.median(seconds)),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("parts", nargs="*", default=[], metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2, help="networks trained at a time, one thread each")
    args = parser.parse_args()
    if unknown := [part for part in args.parts if part not in PARTS]:
        parser.error(f"{unknown[0]} is no part; there are {', '.join(PARTS)}")
    parts, n = args.parts or PARTS, 60_000
    if args.smoke:
        args.seeds, args.epochs, n = 1, 1, 220
    if "gradients" in parts:
        show("spinnaker2, gradients", gradients())
    if "fits" in parts:
        show("spinnaker2, fits", fits(args.smoke))
    if "yin_yang" in parts:
        cases = [(seed, *setting) for setting in SETTINGS for seed in range(args.seeds)]
        with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
            rows = []
            for row in pool.map(yin_yang, *zip(*cases, strict=True), repeat(args.epochs), repeat(n)):
                print(f"{row['rule']}, {row['dt']:g} ms, seed {row['seed']}: {100 * row['accuracy']:.2f} %", flush=True)
                rows.append(row)
        show("spinnaker2, yin_yang", rows)
        show("spinnaker2, bound", [{"dt": 1.0, "accuracy": bound(10_000 if args.smoke else 1_000_000)}])
    if "keywords" in parts:
        with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
            rows = list(pool.map(keywords, range(args.seeds), repeat(3 * args.epochs // 2), repeat(args.smoke)))
        show("spinnaker2, keywords", rows)


if __name__ == "__main__":
    main()
