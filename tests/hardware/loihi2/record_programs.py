"""Record what Lava computes for a random network of every kind of layer, so that it is known where Lava is not.

    python tests/hardware/loihi2/record_programs.py        # needs Lava, see lava_side.py

recordings/programs/NAME.npz is the network.npz of a program, NAME.run.npz its input and what Lava made of it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from lava_side import EVERY_KIND, SIGNS, random_case, run_in_lava

from lambent.hardware.loihi2.lava import values_of

FOLDER = Path(__file__).parent / "recordings" / "programs"


def main() -> None:
    rng, signs = np.random.default_rng(2026), [*SIGNS]
    cases = [random_case(rng, *kind, signs[i % len(signs)]) for i, kind in enumerate(EVERY_KIND)]
    with tempfile.TemporaryDirectory() as folder:
        found = run_in_lava(cases, Path(folder))
    FOLDER.mkdir(exist_ok=True)
    for (kind, units), case, out in zip(EVERY_KIND, cases, found, strict=True):
        np.savez_compressed(FOLDER / f"{kind}_{units}.npz", **values_of(case.network))
        np.savez_compressed(FOLDER / f"{kind}_{units}.run.npz", spikes=case.spikes, **out)


if __name__ == "__main__":
    main()
