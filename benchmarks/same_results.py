"""Claim: two checkouts compute the same: spikes bit for bit, all else to rounding.

240 random networks of `LIF` and every `LIReadout` (both resets, delays, recurrence, trained time constants, float32 and
float64), each checkout in a process of its own. The other checkout is this one unless told otherwise.

    python benchmarks/same_results.py [--against CHECKOUT]
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import lambent as lb
from _common import arguments, show

HERE = Path(__file__).resolve().parents[1]
INPUTS, HIDDEN = 20, 33


def network(seed: int, dtype: torch.dtype, reset: str, delays: str, recurrent: bool) -> dict[str, dict[str, Any]]:
    """Spikes, outputs and gradients of one."""
    torch.manual_seed(seed)
    dt = (1.0, 0.5)[seed % 2]
    events = lb.Events.from_dense((torch.rand(6, int(80 / dt), INPUTS) < 0.1).int(), dt, dtype)
    options: dict[str, Any] = {"tau_mem": torch.rand(HIDDEN) * 20 + 5, "tau_syn": torch.rand(HIDDEN) * 5 + 2}
    if delays:
        options["delay"] = torch.rand(INPUTS, HIDDEN) * 20
    if delays == "both":
        options["recurrent_delay"] = torch.rand(HIDDEN, HIDDEN) * 20
    threshold = torch.rand(HIDDEN) * 0.5 + 0.7
    layer = lb.LIF(INPUTS, HIDDEN, recurrent=recurrent, threshold=threshold, reset=reset, dt=dt, **options).to(dtype)
    torch.manual_seed(seed + 1)  # checkouts may draw other weights by default
    with torch.no_grad():
        layer.weight.normal_().mul_(4 * threshold * INPUTS**-0.5)
        if layer.recurrent_weight is not None:
            layer.recurrent_weight.normal_().mul_(0.25 * threshold * HIDDEN**-0.5)
    for parameter in (layer.tau_mem, layer.tau_syn, layer.threshold):
        parameter.requires_grad_(seed % 3 != 0)
    times = events.times.clone().requires_grad_()
    hidden = layer(lb.Events(times, events.units, events.offsets, INPUTS, events.duration))
    outputs, leaves = {}, {"times": times, **dict(layer.named_parameters())}
    for reduce in ("mean", "exp_mean", "last", "max", "none"):
        linear = reduce not in ("max", "none")
        readout = lb.LIReadout(HIDDEN, 5, reduce=reduce, dt=dt, count_gradient=float(linear)).to(dtype)
        outputs[reduce] = readout(hidden)
        leaves |= {f"{reduce}.{name}": p for name, p in readout.named_parameters()}
    loss = sum((x * torch.arange(x.numel(), dtype=dtype).sin().view_as(x)).sum() for x in outputs.values())
    (loss + 0.1 * lb.losses.rate_penalty(hidden, 2, 5) + 0.01 * hidden.times.sum()).backward()
    return {
        "spikes": {"times": hidden.times.detach(), "units": hidden.units, "counts": hidden.counts().detach()},
        "outputs": {name: x.detach() for name, x in outputs.items()},
        "gradients": {name: x.grad for name, x in leaves.items() if x.grad is not None},
    }


def networks(seeds: int) -> list[dict[str, dict[str, Any]]]:
    kinds = [("", False), ("", True), ("in", False), ("in", True), ("both", True)]
    all_of = itertools.product(range(seeds), (torch.float32, torch.float64), ("zero", "subtract"), kinds)
    return [network(seed, dtype, reset, *kind) for seed, dtype, reset, kind in all_of]


def of_checkout(checkout: Path, *options: str) -> list[dict[str, dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.pt")
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(checkout / "src"), str(HERE / "benchmarks")])}
        subprocess.run([sys.executable, __file__, "--save", path, *options], check=True, env=env)
        return torch.load(path)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--against", type=Path, default=HERE, metavar="CHECKOUT", help="another checkout")
    parser.add_argument("--save", type=Path, help="only compute, with the lambent that is imported, and save")
    args = parser.parse_args()
    if args.save:
        torch.save(networks(1 if args.smoke else 12), args.save)
        return
    options = ["--smoke"] * args.smoke
    pairs = list(zip(of_checkout(HERE, *options), of_checkout(args.against.resolve(), *options), strict=True))
    rows = []
    for dtype in (torch.float32, torch.float64):
        row: dict[str, Any] = {"case": str(dtype).removeprefix("torch.")}
        chosen = [(a, b) for a, b in pairs if a["spikes"]["times"].dtype == dtype]
        row |= {"networks": len(chosen), "n_spikes": sum(len(a["spikes"]["times"]) for a, _ in chosen)}
        for what in ("spikes", "outputs", "gradients"):
            assert all(a[what].keys() == b[what].keys() for a, b in chosen)
            both = [(a[what][name], b[what][name]) for a, b in chosen for name in a[what]]
            row[f"{what} bit-equal"] = sum(torch.equal(x, y) for x, y in both) / len(both)
            if what != "spikes":
                row[f"{what} differ by"] = max(float((x - y).abs().max() / y.abs().max().clamp(1e-12)) for x, y in both)
        rows.append(row)
    show("same_results", rows)


if __name__ == "__main__":
    main()
