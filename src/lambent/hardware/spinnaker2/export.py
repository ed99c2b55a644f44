"""What py-spinnaker2 would make of a network, and a NIR file for it.

py-spinnaker2's `lif` has integer weights of -15 to 15 and delays of 0 to 7 steps, one number for both signs of current;
it reads NIR graphs of CubaLIF nodes (`s2_nir`), with exponential Euler steps by its default:

    I += (1 - exp(-dt / tau_syn)) w_in w        V[n] = exp(-dt / tau_mem) V[n-1] + (1 - exp(-dt / tau_mem)) r I

which is this model's recurrence, where r and w_in undo the two factors and the threshold makes up for it.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from lambent.connections.connections import delay_steps
from lambent.hardware.spinnaker2.network import Spinnaker2Network, check_network
from lambent.hardware.spinnaker2.rounding import rounded
from lambent.layers import Spiking
from lambent.layers.chain import check_chain
from lambent.machine.files import replacing
from lambent.machine.showing import text_table
from lambent.nir.package import nir_package

LARGEST, LONGEST = 15, 7
"""Of py-spinnaker2's `lif`: the largest weight, as an integer, and the longest delay in steps."""
_NEVER = 1e9  # a threshold


@dataclass(frozen=True)
class LayerLoss:
    """What a layer would lose in py-spinnaker2's `lif`.

    Attributes:
        name: of the layer.
        rms_error: root mean square error of its weights as integers of -15 to 15, relative to their root mean square.
        zeroed: share of the weights that are not 0 and would become 0.
        clipped: share that would be cut.
        scale: what the integer 1 is worth, in thresholds.
        notes: what else would not be as it is here.
    """

    name: str
    rms_error: float
    zeroed: float
    clipped: float
    scale: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportCheck:
    """What all layers would lose; `str()` gives a table.

    Attributes:
        layers: one each.
        rounded: whether the weights that it is held against are integers themselves, as of an export.
    """

    layers: tuple[LayerLoss, ...]
    rounded: bool = False

    @property
    def lossless(self) -> bool:
        """Whether nothing would be lost."""
        return all(not x.notes and x.rms_error == 0 for x in self.layers)

    def __str__(self) -> str:
        rows = [
            (
                x.name,
                f"{100 * x.rms_error:.2f} %",
                f"{100 * x.zeroed:.1f} %",
                f"{100 * x.clipped:.1f} %",
                f"{x.scale:.4g}",
            )
            for x in self.layers
        ]
        table = text_table(("layer", "rms error", "become 0", "clipped", "integer 1"), rows, 1)
        notes = [f"{x.name}: {note}" for x in self.layers for note in x.notes]
        against = ", against those of the export, which were rounded before" if self.rounded else ""
        return "\n".join([f"weights as integers of -{LARGEST} to {LARGEST}{against}", table, *notes])


def check_export(network: Spinnaker2Network) -> ExportCheck:
    """What would be lost if the network's weights became py-spinnaker2's integers of -15 to 15.

    >>> network = lb.hardware.spinnaker2.to_chip(torch.nn.Sequential(lb.LIF(5, 30), lb.LIF(30, 3)))
    >>> len(lb.hardware.spinnaker2.check_export(network).layers)
    2
    """
    check_network(network)
    found = []
    for layer in network.layers:
        weights = layer.matrix.astype(np.float64) * layer.scale
        integers, scale = rounded(layer, LARGEST)
        off = integers * scale - weights
        size = max(float((weights**2).sum()), 1e-300)
        notes = []
        if not layer.spiking:
            notes.append("lif units spike: a readout needs a threshold that is never reached, and voltages recorded")
        if layer.recurrent:
            notes.append("recurrent connections are a projection of their own, whose weights share this scale")
        found.append(
            LayerLoss(
                name=layer.name,
                rms_error=float(np.sqrt((off**2).sum() / size)),
                zeroed=float(((integers == 0) & (weights != 0)).sum() / max(1, int((weights != 0).sum()))),
                clipped=float((np.abs(weights) > (LARGEST + 0.5) * scale).mean()),
                scale=scale,
                notes=tuple(notes),
            )
        )
    return ExportCheck(tuple(found), network.integers)


def delays_lost(model: nn.Module) -> list[str]:
    """Layers of a float model whose delays py-spinnaker2's `lif` does not have, and by how much; empty if none."""
    modules, dt = check_chain(model)
    lost = []
    for i, module in enumerate(modules):
        for name in ("delay", "recurrent_delay") if isinstance(module, Spiking) else ():
            delay = getattr(module, name)
            if delay is not None and (longest := int(delay_steps(delay, dt).max())) > LONGEST:
                lost.append(f"layer {i}: {name} of up to {longest} steps, lif has {LONGEST}")
    return lost


def nir_for_py_spinnaker2(network: Spinnaker2Network, path: str | os.PathLike[str]) -> None:
    """Write the network as the NIR graph that py-spinnaker2's `s2_nir` reads, with integer weights of -15 to 15.

    One CubaLIF node a layer, recurrent connections as edges of the same graph, and for a readout a threshold that is
    never reached. r and w_in undo the factors of its exponential Euler steps; tell it dt in seconds and
    ResetMethod.ZERO. In which order it updates current and voltage within a step was not compared.

    Raises:
        ImportError: the package nir is missing.
    """
    nir = nir_package()
    dt = network.dt / 1000
    nodes: dict[str, Any] = {"input": nir.Input(np.array([network.n_in]))}
    edges: list[tuple[str, str]] = []
    last = "input"
    for i, layer in enumerate(network.layers):
        integers, scale = rounded(layer, LARGEST)
        name, tau_mem, tau_syn = f"lif_{i}", layer.tau_mem / 1000, layer.tau_syn / 1000
        gain = -np.expm1(-dt / tau_mem)
        nodes[f"linear_{i}"] = nir.Linear(integers[: layer.n_in].T.astype(np.float32))
        nodes[name] = nir.CubaLIF(
            tau_syn=tau_syn,
            tau_mem=tau_mem,
            r=1 / gain,
            w_in=-1 / np.expm1(-dt / tau_syn),
            v_leak=np.zeros(layer.n_out),
            v_threshold=1 / (gain * scale) if layer.spiking else np.full(layer.n_out, _NEVER),
            v_reset=np.zeros(layer.n_out),
        )
        edges += [(last, f"linear_{i}"), (f"linear_{i}", name)]
        if layer.recurrent:
            nodes[f"recurrent_{i}"] = nir.Linear(integers[layer.n_in :].T.astype(np.float32))
            edges += [(name, f"recurrent_{i}"), (f"recurrent_{i}", name)]
        last = name
    nodes["output"] = nir.Output(np.array([network.layers[-1].n_out]))
    file = io.BytesIO()
    nir.write(file, nir.NIRGraph(nodes, [*edges, (last, "output")], type_check=False))
    with replacing(path) as temporary:
        temporary.write_bytes(file.getbuffer())
