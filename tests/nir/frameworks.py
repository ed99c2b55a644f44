"""Norse, snnTorch and sinabs, where they are installed, on NIR files.

They are no dependencies: `pip install --no-deps norse snntorch sinabs nirtorch pbr` puts them beside lambent, and
leaves out what this does not need.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nir
import torch
from torch import Tensor

import lambent as lb

WHY_NOT = "needs {}: pip install --no-deps norse snntorch sinabs nirtorch pbr"


def is_installed(target: str) -> bool:
    """Whether what reads files for `target` is there."""
    return all(find_spec(name) for name in (target, "nirtorch"))


def run(target: str, path: Path, inputs: Tensor, dt: float, reset: str = "zero") -> Tensor:
    """What the framework's own reader makes of a file, run on `inputs` (batch, steps, units) with steps of `dt` [ms].

    Returns:
        (batch, steps, units): spikes, or voltages of a readout.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # theirs
        net = _READ[target](nir.read(path), len(inputs), dt, reset)
        if target == "sinabs":  # layer after layer, over all steps
            return net(inputs.flatten(0, 1))[0].unflatten(0, inputs.shape[:2])
        outputs, state = [], None
        for step in inputs.unbind(1):
            out, state = net(step, state)
            outputs.append(out)
        return torch.stack(outputs, 1)


def _norse(graph: Any, batch: int, dt: float, reset: str) -> Any:
    import norse.torch

    resets = norse.torch.functional.reset
    method = resets.reset_subtract if reset == "subtract" else resets.reset_value
    return norse.torch.from_nir(graph, dt=dt / 1000, reset_method=method)


def _snntorch(graph: Any, batch: int, dt: float, reset: str) -> Any:
    from snntorch.import_nir import import_from_nir

    with contextlib.redirect_stdout(io.StringIO()):
        return import_from_nir(graph)


def _sinabs(graph: Any, batch: int, dt: float, reset: str) -> Any:
    import sinabs.nir

    net = sinabs.nir.from_nir(graph, batch_size=batch)
    for module in net.modules():
        if isinstance(module, sinabs.layers.LIF) and not isinstance(module, sinabs.layers.ExpLeak):
            module.spike_fn = sinabs.activation.SingleSpike  # else a unit may spike several times in a step
    return net


_READ: dict[str, Callable[[Any, int, float, str], Any]] = {"norse": _norse, "snntorch": _snntorch, "sinabs": _sinabs}


def random_inputs(n_units: int, dt: float, duration: float = 100.0, seed: int = 0) -> tuple[Tensor, lb.Events]:
    """Spikes of 50 Hz of three samples, dense (3, steps, units) and as events."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(3, round(duration / dt), n_units, generator=generator) < 0.05 * dt
    return dense.float(), lb.Events.from_dense(dense.int(), dt=dt)


def network(
    sizes: tuple[int, ...], dt: float, *, recurrent: bool, reset: str = "zero", readout: bool = True, seed: int = 0
) -> torch.nn.Sequential:
    """A network of units of all kinds of time constants and thresholds, which spike often."""
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for n, m in zip(sizes[:-2] if readout else sizes[:-1], sizes[1:], strict=False):
        taus: dict[str, Any] = {"tau_mem": 10 + 20 * torch.rand(m), "tau_syn": 3 + 5 * torch.rand(m)}
        layer = lb.LIF(n, m, recurrent=recurrent, reset=reset, threshold=0.5 + torch.rand(m), dt=dt, **taus)
        with torch.no_grad():
            layer.weight.mul_(3.0)
        layers.append(layer)
    if readout:
        layers.append(lb.LIReadout(sizes[-2], sizes[-1], reduce="none", scale=2.0, dt=dt))
    return torch.nn.Sequential(*layers)
