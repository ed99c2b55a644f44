"""Claim: Lava's fixed-point models and the chip model compute the same, in every entry.

Random networks of every kind of layer and units, delays on inputs and recurrence, decays and thresholds per unit, and
every sign mode with its extreme weights, written as programs for Lava (`lambent export --format lava`): entries of
spikes, current and voltage that are different. Needs Lava (tools/lava_environment.sh).

    python benchmarks/lava_equality.py [--networks 200] [--seed 0]
    python benchmarks/lava_equality.py --run RUN [--data TEST.h5] [--words 20]

With `--run` the words of a trained run instead, those of the package where no data are given: also words for which the
two answer differently.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lambent as lb
from _common import arguments, show

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "hardware" / "loihi2"))
from lava_side import EVERY_KIND, LAVA, SIGNS, WHY_NOT, Case, differences, random_case, run_in_lava

from lambent.runs.export import export_as, exported_network
from lambent.training import Run


def of_networks(seed: int) -> Iterator[tuple[str, Case]]:
    """Random networks, each kind in turn with each sign mode, and what kind they are."""
    rng = np.random.default_rng(seed)
    for (kind, units), signs in itertools.cycle(itertools.product(EVERY_KIND, SIGNS)):
        yield f"{kind}, {units}", random_case(rng, kind, units, signs)


def random_networks(n: int, seed: int) -> list[dict[str, Any]]:
    """A row for each kind of first layer."""
    rows: dict[str, dict[str, Any]] = {}
    cases = itertools.islice(of_networks(seed), n)
    for chunk in iter(lambda: list(itertools.islice(cases, 20)), []):
        with tempfile.TemporaryDirectory() as folder:
            found = run_in_lava([case for _, case in chunk], Path(folder))
        for (kind, case), out in zip(chunk, found, strict=True):
            different, entries = differences(case, out)
            row = rows.setdefault(kind, {"case": kind, "networks": 0, "spikes": 0, "entries": 0, "different": 0})
            sent = sum(int(np.count_nonzero(out[name])) for name in out if name.startswith("s_"))
            for name, value in {"networks": 1, "spikes": sent, "entries": entries, "different": different}.items():
                row[name] += value
    total = {name: sum(row[name] for row in rows.values()) for name in next(iter(rows.values())) if name != "case"}
    return [*rows.values(), {"case": "all"} | total]


def words_of_run(folder: Path, data: Path | None, n: int) -> list[dict[str, Any]]:
    """One row: words spread over the test set, so that all classes are among them."""
    run = Run(folder)
    facts = run.facts()
    if data is None:
        words = lb.data.keywords()[1]
    else:
        words = lb.data.SpikeDataset.from_shd(data, n_units=facts["n_units"])
    words = words.with_duration(facts["duration"])
    if not run.path("export.json").exists():
        export_as(run, "lava")
    network = exported_network(run)
    cases = []
    for i in np.linspace(0, len(words) - 1, min(n, len(words))).astype(int):
        events = words.batch([int(i)])[0]
        cases.append(Case(network, events.to_dense(network.dt)[0].T.clamp(max=1).int().numpy()))  # type: ignore[attr-defined]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        found = run_in_lava(cases, Path(place))
    seconds = time.perf_counter() - start
    row: dict[str, Any] = {"case": run.name, "words": len(cases), "spikes": 0, "entries": 0, "different": 0}
    answers = [network.logits(case.spikes[None]).argmax() for case in cases]
    for case, out in zip(cases, found, strict=True):
        different, entries = differences(case, out)
        row["spikes"] += sum(int(np.count_nonzero(out[name])) for name in out if name.startswith("s_"))
        row["entries"], row["different"] = row["entries"] + entries, row["different"] + different
    row["other answers"] = sum(int(a != out["scores"].argmax()) for a, out in zip(answers, found, strict=True))
    return [row | {"seconds in Lava": seconds}]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="folder of a trained run")
    parser.add_argument("--data", type=Path, help="its test words; those of the package where left out")
    parser.add_argument("--words", type=int, default=20)
    args: argparse.Namespace = parser.parse_args()
    if LAVA is None:
        if not args.smoke:
            sys.exit(WHY_NOT)
        show("lava_equality", [{"case": "skipped", "why": WHY_NOT}])
    elif args.run:
        show("lava_equality", words_of_run(args.run, args.data, args.words))
    else:
        show("lava_equality", random_networks(3 if args.smoke else args.networks, args.seed))


if __name__ == "__main__":
    main()
