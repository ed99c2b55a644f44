"""Has Triton compile what the engine launches for every pair of `test_every_kind`, on `gpu_kernels`' driver."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import torch
from test_every_kind import ON_GPU, events, layer, leaves
from test_graded import PAYLOAD

from gpu_kernels import loaded
from lambent.engines.grid import gpu


def single(value):
    """Units or connections in float32, as they mostly are."""
    if value is None:
        return None
    values = {name: getattr(value, name) for name in value.parameters}
    return value.with_values(**{name: x.float() for name, x in values.items() if x is not None})


def kernels_of(pair, deterministic=False, graded=False):
    """The kernels that were loaded for a layer."""
    torch.use_deterministic_algorithms(deterministic)
    (neuron, inputs, own), _ = leaves(*map(single, layer(*pair)))
    x = events()
    if graded:
        x = x.with_values(torch.ones_like(x.times).requires_grad_())
    with loaded(90) as kernels:
        if neuron.spiking:
            gpu.spikes(x, neuron, inputs, own, 1.0, PAYLOAD if graded else None).counts().sum().backward()
        else:
            gpu.levels(x, neuron, inputs, 1.0).sum().backward()
    return [name for name, _ in kernels]


if __name__ == "__main__":
    pairs = [*ON_GPU, *(("Integrator", inputs) for inputs in ("Dense, delays", "Sparse", "Conv2d"))]
    ordered = [("LIF", "Dense, delays", "Sparse"), ("LIF", "Conv2d")]
    with ProcessPoolExecutor() as pool:
        running = [pool.submit(kernels_of, pair) for pair in pairs]
        running += [pool.submit(kernels_of, pair, deterministic=True) for pair in ordered]
        running += [pool.submit(kernels_of, pair, deterministic=True, graded=True) for pair in ordered]
        for pair, kernels in zip([*pairs, *ordered, *ordered], running, strict=True):
            print(*pair, *kernels.result(), sep="; ")
