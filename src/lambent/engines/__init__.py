"""How time passes. Every engine is a module with the same two functions:

spikes(events, neuron, inputs, recurrent, dt, payload=None) -> Events
    The spikes of a layer of units (`lambent.neurons`) that `inputs` (`lambent.connections`) connect to `events` and
    `recurrent` (or None) to each other. Differentiable in the event times and every parameter; the counts of what
    comes out are differentiable too, and so are values, of `events` and, with a `payload` (`lambent.neurons.payload`),
    of the spikes that come out. Looks at all values first (`lambent.engines.checks`). Parameters are tensors with
    one entry per unit, as layers make them.
levels(events, neuron, inputs, dt) -> Tensor (batch, steps, out)
    What units that never spike come to after each step, such as the voltages of leaky integrators.

Continuous time has no steps: `exact` has `spikes`, and in place of levels the times of their `peaks`.
"""

from __future__ import annotations

from types import ModuleType

import torch

from lambent.engines.exact import cpu as exact
from lambent.engines.grid import cpu as grid_cpu


def engine_for(device: torch.device, dt: float | None) -> ModuleType:
    """The engine that runs tensors of `device` with time step `dt` [ms].

    Raises:
        NotImplementedError: there is no engine for this device yet.
        ImportError: CUDA tensors, and Triton is not installed.
    """
    if device.type == "cpu":
        return exact if dt is None else grid_cpu
    if device.type == "cuda" and dt is not None:
        try:
            from lambent.engines.grid import gpu as grid_gpu
        except ImportError as e:
            raise ImportError("CUDA tensors need Triton: pip install 'lambent[gpu]', or use CPU tensors") from e
        return grid_gpu
    raise NotImplementedError(f"no engine runs on {device.type} with dt={dt} yet; use CPU tensors")
