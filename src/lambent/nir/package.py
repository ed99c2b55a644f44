"""The `nir` package, which is optional, and what both directions agree on.

NIR describes units in continuous time, in seconds, and says nothing of a step. Frameworks with steps take a
spike for a pulse of height 1 that lasts one step, an impulse of area dt, and so does lambent:

    tau_syn dI/dt = -I + w_in sum_k w dt delta(t - t_k)      so an event adds w w_in dt / tau_syn to I
    tau_mem dV/dt = (v_leak - V) + r I

With r = 1, v_leak = bias and w_in = tau_syn / dt that is `lambent.LIF`. What NIR has no word for goes into
metadata whose keys start with `PREFIX`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

PREFIX = "lambent_"


def nir_package() -> ModuleType:
    """The `nir` package.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import nir
    except ImportError as error:
        raise ImportError("NIR files need the nir package: pip install 'lambent[nir]'") from error
    return nir


def recurrent_graph(unit: Any, size: int, nodes: dict[str, Any], loop: Sequence[tuple[str, str]]) -> Any:
    """A subgraph of `unit`, named lif, and of `nodes` that lead from it back to it on the edges `loop`.

    The edge out of the loop stands last, where nirtorch, which goes along edges as they stand, needs it.
    """
    nir = nir_package()
    ends = {"input": nir.Input(np.array([size])), "lif": unit, "output": nir.Output(np.array([size]))}
    return nir.NIRGraph(ends | nodes, [("input", "lif"), *loop, ("lif", "output")])
