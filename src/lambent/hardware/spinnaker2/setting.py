"""The setting of Bena et al. (arXiv 2412.15021), of their off-chip twin: Yin-Yang on 5-120-3 units in 27 steps of 1 ms.

They train for 40 epochs of 60,000 points in batches of 22, with Adam at 1.9e-3, times 0.95 after each epoch, and a
weight decay of 6.5e-7: the defaults of `train_on_chip` with rule "bena2024".
"""

from __future__ import annotations

import math

import numpy as np
import torch

from lambent.data import SpikeDataset, yin_yang
from lambent.hardware.spinnaker2.convert import to_chip, to_torch
from lambent.layers import LIF

STEPS, BATCH = 27, 22


def bena2024_data(n: int, seed: int) -> SpikeDataset:
    """Points of the Yin-Yang sign: values are spikes at steps 2 to 26, rounded, and the bias is one at step 0."""
    return yin_yang(n, seed, t_early=2.5, t_late=26.5, t_bias=0.0, duration=float(STEPS))


def bena2024_model(seed: int) -> torch.nn.Sequential:
    """Their network with their initial weights, N(3.2, 3.2) / sqrt(5) and N(5.2, 2.8) / sqrt(120) in the chip's units.

    >>> model = lb.hardware.spinnaker2.bena2024_model(seed=0)
    >>> data = lb.hardware.spinnaker2.bena2024_data(220, seed=1)
    >>> done = lb.hardware.spinnaker2.train_on_chip(model, data, rule="bena2024", epochs=1)
    >>> done.placement.n_cores
    68
    """
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(LIF(5, 120), LIF(120, 3))
    drawn = []
    for layer, mean, spread in zip(to_chip(model).layers, (3.2, 5.2), (3.2, 2.8), strict=True):
        weights = torch.normal(mean, spread, layer.matrix.shape, generator=generator)
        drawn.append(weights.numpy() / np.float32(math.sqrt(layer.n_in)))
    return to_torch(to_chip(model).with_matrices(drawn), model)
