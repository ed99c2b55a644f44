"""Run folders that `save_lava` wrote, in Lava's Python: python run_in_lava.py FOLDER ...

Each holds input.npz with `spikes`, as network.py takes them, and gets out.npz. One process for all saves what Lava
takes to start.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

for folder in map(Path, sys.argv[1:]):
    spec = importlib.util.spec_from_file_location("network", folder / "network.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    network = program.Network(program.arrays(folder / "network.npz"))
    spikes = program.checked(network, program.arrays(folder / "input.npz")["spikes"], folder)
    out = program.run(network, spikes)
    scores = network.scores(out)
    np.savez_compressed(folder / "out.npz", **out, **({} if scores is None else {"scores": scores}))
