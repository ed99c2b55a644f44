"""Claim: Norse, snnTorch and sinabs run what `export_nir` writes for them as lambent does.

Random networks of one and two hidden layers, with and without recurrence, with and without a readout, at steps of
0.1 and 1 ms, read by each framework's own reader: spikes here and there (of readouts: the voltages' largest difference,
relative to the largest voltage), and the share of all (step, unit) that are different. Frameworks that are not
installed are named and left out:

    pip install --no-deps norse snntorch sinabs nirtorch pbr
    python benchmarks/nir_equality.py [--seeds 5]
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

import lambent as lb
from _common import arguments, show

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "nir"))
from frameworks import WHY_NOT, is_installed, network, random_inputs, run

SIZES = (100, 80, 60, 10)


def compare(target: str, model: nn.Sequential, dt: float, reset: str, seed: int, folder: Path) -> dict[str, Any]:
    """What both make of the same spikes; there all is earlier by a step for each layer."""
    inputs, events = random_inputs(SIZES[0], dt, seed=seed)
    path = folder / "model.nir"
    lb.export_nir(model, path, target)
    there = run(target, path, inputs, dt, reset)[:, : -len(model)]
    with torch.no_grad():
        out = model(events)
    here = (out.to_dense(dt) if isinstance(out, lb.Events) else out)[:, len(model) :]
    if isinstance(model[-1], lb.LIReadout):
        return {"voltages": ((there - here).abs().max() / here.abs().max()).item()}
    return {"here": int(here.sum()), "there": int(there.sum()), "moved": (there != here).double().mean().item()}


def rows(targets: list[str], seeds: int, steps: tuple[float, ...]) -> list[dict[str, Any]]:
    """A row for each framework, reset, recurrence and step, over all seeds."""
    found = []
    for target, reset, recurrent, dt in itertools.product(targets, ("zero", "subtract"), (False, True), steps):
        if (target, reset) in (("snntorch", "subtract"), ("sinabs", "zero")) or (target == "sinabs" and recurrent):
            continue  # refused
        total: dict[str, Any] = {"here": 0, "there": 0, "moved": 0.0, "voltages": 0.0}
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                for sizes, readout in ((SIZES[:-1], False), (SIZES, True)):
                    model = network(sizes, dt, recurrent=recurrent, reset=reset, readout=readout, seed=seed)
                    one = compare(target, model, dt, reset, seed, Path(folder))
                    for name, value in one.items():
                        worst = name in ("moved", "voltages")
                        total[name] = max(total[name], value) if worst else total[name] + value
        found.append(
            {
                "case": target,
                "reset": reset,
                "recurrent": recurrent,
                "dt": dt,
                "spikes here": total["here"],
                "spikes there": total["there"],
                "off [%]": 100 * abs(total["there"] / total["here"] - 1),
                "moved, worst [%]": 100 * total["moved"],
                "voltages off, worst [%]": 100 * total["voltages"],
            }
        )
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="networks of each kind")
    args = parser.parse_args()
    targets = [target for target in ("norse", "snntorch", "sinabs") if is_installed(target)]
    for target in ("norse", "snntorch", "sinabs"):
        if target not in targets:
            print(f"left out: {WHY_NOT.format(target)}", file=sys.stderr)
    if not targets:
        show("nir_equality", [{"case": "skipped", "why": WHY_NOT.format("Norse, snnTorch or sinabs")}])
    else:
        show("nir_equality", rows(targets, 1 if args.smoke else args.seeds, (1.0,) if args.smoke else (0.1, 1.0)))


if __name__ == "__main__":
    main()
