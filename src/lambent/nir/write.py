"""`export_nir`: a model as a NIR graph in a file."""

from __future__ import annotations

import io
import os

from torch import nn

from lambent.layers.chain import check_chain
from lambent.machine.files import replacing
from lambent.machine.hdf5 import seal
from lambent.neurons.integrator import Integrator
from lambent.neurons.lif import LIF
from lambent.nir.generic import generic_graph
from lambent.nir.package import nir_package
from lambent.nir.targets import READERS, target_graph

TARGETS = ("generic", *READERS)


def export_nir(model: nn.Module, path: str | os.PathLike[str], target: str = "generic") -> None:
    """Write `model` as a NIR file, whole or not at all.

    "generic" says what the model is in NIR's own terms, and is what `import_nir` reads back exactly. Other frameworks
    each read a part of NIR only and step through it by rules of their own; for these three there are graphs with which
    they take lambent's steps, spike for spike but for rounding (`benchmarks/nir_equality.py`); docs/nir.md shows how
    they are run.

    * "norse": recurrent layers, bias and a readout, whose voltages are the output; no delays.
    * "snntorch": the same, for units that reset to zero.
    * "sinabs": layers without recurrence or delays that reset by subtraction, bias and a readout.

    In the generic graph layer i becomes `linear_i` and `lif_i` (CubaLIF) or, of `LI` and `LIReadout`, `li_i` (CubaLI),
    whose voltages the next `Linear` takes. A recurrent layer is a
    subgraph with the nodes input, lif, w_rec and output, as snnTorch writes it. Times are in seconds;
    `lambent.nir.package` says how weights relate. Delays become `Delay` nodes before the weights, one pair of both for
    every delay that an input has on its way to different units; they are rounded to steps, as the layer rounds them.
    Convolutions and pools become `Conv1d`, `Conv2d`, `SumPool2d` and `AvgPool2d`, with a `Flatten` before what takes
    no map; sparse connections, and in the graphs for others all, become `Linear` with zeros.

    NIR has no word for the step, for reset "subtract", for the reduction of a readout, for `min_slope` and
    `max_delay` and for fractions of a step in delays. They are kept as metadata, which `import_nir` reads and
    other frameworks ignore: these reset to zero and give voltages. Which parameters are trained is not kept.

    Args:
        model: a `torch.nn.Sequential` of layers of LIF units and, in the generic graph, `LI`, with or without a final
            `LIReadout`.
        path: the file to write.
        target: who is to read it: "generic", "norse", "snntorch" or "sinabs".

    Raises:
        ImportError: the package nir is missing; `pip install 'lambent[nir]'`.
        TypeError: the model is no Sequential or holds another kind of layer, or of units.
        ValueError: layers that do not fit each other, values that are not finite, or what the target cannot run;
            names the layer.
        OSError: the file cannot be written.

    >>> import lambent as lb
    >>> model = torch.nn.Sequential(lb.LIF(3, 4, recurrent=True), lb.LIReadout(4, 2))
    >>> lb.export_nir(model, "model.nir", target="norse")
    """
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    nir = nir_package()
    layers, dt = check_chain(model, (LIF, Integrator), "NIR has no node for them")
    graph = generic_graph(layers, dt) if target == "generic" else target_graph(layers, dt, target)
    file = io.BytesIO()  # HDF5 that cannot write, as on a full disk, may take the process with it
    nir.write(file, graph)
    seal(file)
    with replacing(path) as temporary:
        temporary.write_bytes(file.getbuffer())
