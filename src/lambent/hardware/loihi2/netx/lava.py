"""What Lava's own reader makes of a network, where that is not what the file says.

Lava (lava-nc 0.10, lava-dl 0.6) scales a layer's weights to 8 bits with one shared exponent, drops the bits that
are zero everywhere and shifts back. In some cases it arrives at other weights; of some layers it drops what it
does not know, without a word. lambent does what the file says; `misread_by_lava` tells where Lava would not.

One difference shows only in a run, at sums no real network reaches. Lava's reader scales weights up to 8 bits before
they are added in 32 bits, so graded sums wrap by so much earlier than the sums themselves would; a program
(`lambent.hardware.loihi2.save_lava`) does without.
"""

from __future__ import annotations

import numpy as np

from lambent.hardware.loihi2.layers.base import Layer
from lambent.hardware.loihi2.layers.conv import ConvLayer
from lambent.hardware.loihi2.layers.dense import Loihi2Layer
from lambent.hardware.loihi2.layers.input import InputLayer
from lambent.hardware.loihi2.network import Loihi2Network
from lambent.hardware.loihi2.neurons import CUBA, Graded, ResonateAndFire, SigmaDelta
from lambent.hardware.loihi2.readout import Average


def misread_by_lava(network: Loihi2Network) -> list[str]:
    """What Lava would get wrong in a file of `network`, and why; each entry starts with the layer."""
    reasons = []
    unary = not network.message_bits
    for layer in network.layers:
        reasons += [f"{layer.name}/{reason}" for reason in _reasons(layer, unary)]
        unary = not layer.neuron.graded
    if isinstance(network.readout, Average):
        reasons.append("average: Lava has no such layer")
    return reasons


def _reasons(layer: Layer, unary_input: bool) -> list[str]:
    found = []
    neuron = layer.neuron
    if isinstance(layer, Loihi2Layer):
        found += _dense_reasons(layer)
        if layer.weight_rec is not None and neuron.graded and unary_input:
            found.append("weight_rec: Lava takes the units' own graded spikes for plain ones, as the input's are")
    if isinstance(layer, ConvLayer):
        if layer.kind == "pool":
            found.append("type: Lava has no pool layers")
        if layer.weight_imag is not None:
            found.append("weight/imag: Lava has no complex convolutions")
        if np.any(layer.delay):
            found.append("delay: Lava drops the delays of conv layers")
    if isinstance(layer, InputLayer) and len(layer.shape) == 2:
        found.append("shape: Lava cannot flatten units in two dimensions")
    if isinstance(layer, InputLayer) and isinstance(neuron, CUBA) and np.any(np.asarray(neuron.i_decay) != 4096):
        found.append("neuron/iDecay: Lava adds an input to the voltage, as if iDecay were 4096")
    if isinstance(neuron, Graded) and neuron.message_bits != type(neuron)().message_bits:
        found.append("neuron/messageBits: Lava cannot read it")
    if isinstance(neuron, SigmaDelta) and np.ndim(neuron.v_th_mant):
        found.append("neuron/vThMant: Lava has one threshold for all sigma-delta units")
    if isinstance(neuron, ResonateAndFire):
        found.append("neuron: Lava computes sinDecay and cosDecay anew from a period, often one less")
    return found


def _dense_reasons(layer: Loihi2Layer) -> list[str]:
    found = []
    if np.any(layer.delay_rec):
        found.append("delay_rec: Lava drops the delays of recurrent synapses; mlGeNN writes and lambent reads them")
    if layer.weight_rec is not None and np.any(layer.delay):
        found.append(
            "delay: Lava gives recurrent synapses the same delays, and drops the exponent of the weights; train with "
            "--delay 0 or with --no-recurrent"
        )
    if layer.weight_imag is not None:
        if np.any(layer.delay):
            found.append("delay: Lava drops the delays of complex weights")
        parts = {"weight/real": [layer.weight], "weight/imag": [layer.weight_imag]}
    else:
        parts = {"weight": [layer.weight] + ([] if layer.weight_rec is None else [layer.weight_rec])}
    for dataset, matrices in parts.items():
        if not any(m.any() for m in matrices):
            found.append(f"{dataset}: Lava cannot read weights that are all zero")
        elif not all(np.array_equal(a, b) for a, b in zip(matrices, read_weights(matrices), strict=True)):
            found.append(f"{dataset}: Lava rounds or clips them to other weights")
    return found


def read_weights(matrices: list[np.ndarray]) -> list[np.ndarray]:
    """What Lava makes of `matrices` that share an exponent, float64; they are not all zero.

    The exponent follows from the largest weight, the number of bits from those that are zero in all weights.
    Each matrix is then clipped to 8 bits and cut to that number of bits by its own signs.
    """
    low, high = min(m.min() for m in matrices), max(m.max() for m in matrices)
    signed = bool(low < 0 <= high)
    if signed:
        room = min(127 / high if high else np.inf, 128 / -low)
    else:
        room = 255 / high if high > 0 else 256 / -low
    exponent = int(np.floor(np.log2(room))) + signed
    used = np.bitwise_or.reduce([np.bitwise_or.reduce(np.abs(m), axis=None) for m in matrices])
    idle = min(8, int(used & -used).bit_length() - 1)  # bits that are zero in all weights
    bits = 8 - exponent - (idle - signed)
    return [_stored(m.astype(np.int64) << exponent, bits) / (1 << exponent) for m in matrices]


def _stored(weight: np.ndarray, bits: int) -> np.ndarray:
    """`weight` as the fixed-point Dense keeps it, in `bits` bits of its own sign mode."""
    mixed = bool(weight.min() < 0 < weight.max())
    sign = -1 if weight.max() <= 0 and weight.min() < 0 else 1
    cut = 8 - bits + mixed
    if cut < 0:  # a negative shift in Lava, which numpy makes 0
        return np.zeros_like(weight)
    clipped = np.clip(sign * weight, -256 * mixed, 255)
    return sign * (clipped >> cut << cut)
