"""Run NetX files on Lava's fixed-point CPU models and record everything.

    python3.10 -m venv lava && lava/bin/pip install lava-nc==0.10.0 lava-dl==0.6.0
    lava/bin/python record.py NAME.net ...

Beside each NAME.net lies NAME.npz with `input`; what Lava computes is added to it. `message_bits` of the input, if
not 0, follow the name: NAME.net:16. This is no test: Lava needs Python 3.10 and minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
from lava.lib.dl.netx import hdf5
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import RunConfig
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source

STATES = {
    "LIF": ("u", "v"),
    "SigmaDelta": ("sigma", "act"),
    "Sigma": ("sigma", "sigma"),
    "Delta": ("act", "act"),
    "RF": ("real", "imag"),
    "RF_IZ": ("real", "imag"),
}


class FixedPoint(RunConfig):
    """The fixed-point model of every process."""

    def __init__(self) -> None:
        super().__init__(custom_sync_domains=None)

    def select(self, process: object, models: list) -> object:
        """The one model for `process`."""
        return next(model for model in models if "fixed_pt" in model.tags)


def record(path: Path, message_bits: int) -> dict[str, np.ndarray]:
    """What every block sent and its two states, in every step."""
    x = np.load(path.with_suffix(".npz"))["input"].astype(np.int64)
    with h5py.File(path) as file:
        first = file["layer/0"]
        shape = tuple(first["shape"][()])
        if "neuron" in first:
            x = first["weight"][()].astype(int).item() * x + first["bias"][()].astype(int).item()
    image = len(shape) == 3
    x = x.reshape(*shape, -1).transpose(2, 1, 0, 3) if image else x  # Lava: width, height, channel
    net = hdf5.Network(net_config=str(path), input_message_bits=message_bits)
    units = net.layers[0].neuron
    driven = type(net.layers[0]).__name__ == "Input"
    by_bias = driven and type(units).__name__ == "LIF"
    if by_bias:
        units.bias_mant.init = x[..., 0].astype(np.int32)
    else:
        Source(data=x.astype(np.int32)).s_out.connect(units.a_in if driven else net.inp)
    sinks = [Sink(shape=layer.out.shape, buffer=x.shape[-1]) for layer in net.layers]
    for layer, sink in zip(net.layers, sinks, strict=True):
        layer.out.connect(sink.a_in)
    states: list[tuple[list, list]] = [([], []) for _ in net.layers]
    for t in range(x.shape[-1]):
        if by_bias and t > 0:
            units.bias_mant.set(x[..., t].astype(np.int32))
        net.run(condition=RunSteps(num_steps=1), run_cfg=FixedPoint())
        for layer, pair in zip(net.layers, states, strict=True):
            for name, values in zip(STATES[type(layer.neuron).__name__], pair, strict=True):
                values.append(np.array(getattr(layer.neuron, name).get()))
    sent = [sink.data.get() for sink in sinks]
    net.stop()

    def flat(values: np.ndarray) -> np.ndarray:
        values = values.transpose(2, 1, 0, 3) if values.ndim == 4 else values
        values = values.reshape(-1, values.shape[-1]).astype(np.int64)
        return values.astype(np.int8 if np.abs(values).max() < 128 else np.int32)

    recorded = {}
    for i, (s, (u, v)) in enumerate(zip(sent, states, strict=True)):
        recorded |= {f"s_{i}": flat(s), f"u_{i}": flat(np.stack(u, -1)), f"v_{i}": flat(np.stack(v, -1))}
    return recorded


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        name, _, bits = argument.partition(":")
        target = Path(name).with_suffix(".npz")
        np.savez_compressed(target, input=np.load(target)["input"], **record(Path(name), int(bits or 0)))
