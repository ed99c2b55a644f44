"""Weights at the ends of their range, against a plain transcription of what Lava does to them, and against Lava.

Two steps: Lava's NetX reader scales a layer's weights up to 8 bits and finds how many of them are used
(`optimize_weight_bits`), and its fixed-point synapses clip and cut what they are given to so many bits by sign mode
(`clip_weights`, `truncate_weights`) and shift sums by the exponent.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from fake_lava import Dense
from lava_side import HERE, LAVA, WHY_NOT

from lambent.hardware.loihi2.lava.graph import _weights
from lambent.hardware.loihi2.netx.lava import read_weights

Weights = tuple[int, ...]

POWERS = [1 << k for k in range(9)]
EXTREMES = sorted(
    {sign * (p + d) for p in POWERS for d in (-1, 0, 1) for sign in (-1, 1) if -256 <= sign * (p + d) <= 255}
)
MIXED, EXCITATORY, INHIBITORY = 1, 2, 3


def allowed(weights: Weights) -> bool:
    """Whether a layer may have such weights."""
    low, high = min(weights), max(weights)
    return low >= -256 and high <= 254 if low < 0 < high else low >= -255


ALONE = [w for n in (1, 2) for w in itertools.combinations_with_replacement(EXTREMES, n) if any(w) and allowed(w)]
"""One or two weights of every size."""
WITH_MORE = [(*w, x) for w in ALONE[::7] for x in (0, 2, -4, 64, -64) if allowed((*w, x))]
RECURRENT = [(a, b) for a in ALONE[::11] for b in ALONE[::13] if allowed((*a, *b))]
"""Those of a weight and a weight_rec, which share an exponent."""


def optimised(weights: Weights) -> tuple[int, int]:
    """Exponent and number of bits that the reader finds."""
    low, high = min(weights), max(weights)
    mixed = low < 0 <= high  # of one sign only without zeros, where they are negative
    if mixed:
        scale = min(Fraction(127, high) if high else math.inf, Fraction(-128, low))
    else:
        scale = Fraction(-256, low) if high < 0 else Fraction(255, high)
    scale_bits = math.floor(math.log2(scale)) + mixed
    zeros = 8
    while zeros > 0 and any(w % 2**zeros for w in weights):
        zeros -= 1
    return -scale_bits, 8 - scale_bits - (zeros - mixed)


def sign_of(weights: Weights) -> int:
    """The sign mode that synapses take where they are given none."""
    return EXCITATORY if min(weights) >= 0 else INHIBITORY if max(weights) <= 0 else MIXED


def kept(weights: Weights, sign: int, bits: int) -> Weights:
    """What synapses hold of `weights`: clipped to 8 bits, cut to `bits` bits."""
    cut = 8 - bits + (sign == MIXED)
    found = []
    for w in weights:
        size = -w if sign == INHIBITORY else w
        size = max(-256 if sign == MIXED else 0, min(255, size))
        size = 0 if cut < 0 else (size >> cut) << cut  # numpy's shifts by less than nothing leave nothing
        found.append(-size if sign == INHIBITORY else size)
    return tuple(found)


def read(matrices: list[Weights]) -> list[list[Fraction]]:
    """What becomes of matrices that share an exponent, as one spike finds them."""
    exponent, bits = optimised(tuple(itertools.chain(*matrices)))
    scaled = [tuple(w << -exponent for w in matrix) for matrix in matrices]
    return [[Fraction(w, 1 << -exponent) for w in kept(m, sign_of(m), bits)] for m in scaled]


def test_what_the_reader_makes_of_extreme_weights() -> None:
    cases = [[w] for w in ALONE + WITH_MORE] + [list(pair) for pair in RECURRENT]
    exact = 0
    for case in cases:
        found = read_weights([np.array([w]) for w in case])
        wanted = read(case)
        assert [m.ravel().tolist() for m in found] == wanted, case
        exact += wanted == [list(m) for m in case]
    assert len(cases) > 3000
    assert 0.2 * len(cases) < exact < 0.9 * len(cases)  # there are cases of both kinds


@pytest.mark.parametrize("weight", [-128, -64, -32, -16, -8, -4, -2, -1])
def test_a_power_of_two_alone_in_its_sign_is_clipped(weight: int) -> None:
    """Scaled to 256 it has no place in 8 bits; 255 is cut further to the bits that the weight uses."""
    (found,) = read_weights([np.array([[weight]])])
    assert found.item() != weight


@pytest.mark.parametrize("sign", [0, MIXED, EXCITATORY, INHIBITORY])
def test_what_synapses_hold_for_every_sign_mode_number_of_bits_and_exponent(sign: int) -> None:
    """As `from_lava` reads them: it refuses where sums would be rounded."""
    for bits, exponent in itertools.product(range(1, 9), (-9, -3, -1, 0, 1, 5)):
        for weights in ALONE[:: 3 if sign else 1]:
            held = kept(weights, sign or sign_of(weights), bits)
            process = Dense(np.array([weights]), num_weight_bits=bits, weight_exp=exponent, sign_mode=sign or None)
            if exponent < 0 and any(w % (1 << -exponent) for w in held):
                with pytest.raises(ValueError, match="rounds sums of weights"):
                    _weights(process)
            else:
                wanted = [w * 2**exponent for w in held]
                assert _weights(process).ravel().tolist() == wanted, (weights, bits, exponent)


_IN_LAVA = """
import importlib.util, json, sys
from pathlib import Path
import lava
import numpy as np
from lava.utils.weightutils import SignMode, clip_weights, determine_sign_mode, truncate_weights
sys.path.append(sys.argv[1])
from network import held_by_synapses

# by its file, as its package wants torch
places = [Path(x) / "lib" / "dl" / "netx" / "utils.py" for x in lava.__path__]
spec = importlib.util.spec_from_file_location("netx_utils", next(x for x in places if x.exists()))
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

def held(weights, sign, bits):
    return truncate_weights(clip_weights(weights, sign, num_bits=8), sign, bits)

given = json.load(sys.stdin)
read = []
for case in given["read"]:
    together, bits, exponent, _ = utils.optimize_weight_bits(np.hstack([np.array([m]) for m in case]))
    parts = np.split(together, np.cumsum([len(m) for m in case])[:-1], axis=1)
    read.append([(held(m, determine_sign_mode(m), bits) / 2.0**-exponent).ravel().tolist() for m in parts])
kept = [
    [held(np.array([w]), SignMode(sign), bits).ravel().tolist() for bits in range(1, 9) for sign in (1, 2, 3)]
    for w in given["kept"]
]
sums = [
    [int(sum(held(m, sign, 8).astype(int) * 2.0**e for m, e, sign in held_by_synapses(np.array([w]), bits))[0, i])
     for bits in (0, 16) for i in range(len(w))]
    for w in given["kept"]
]
print(json.dumps({"read": read, "kept": kept, "sums": sums}))
"""


@pytest.mark.skipif(LAVA is None, reason=WHY_NOT)
def test_the_transcription_against_lava() -> None:
    """And that programs for Lava hold every extreme weight exactly."""
    cases = [[w] for w in ALONE + WITH_MORE] + [list(pair) for pair in RECURRENT]
    program = HERE.parents[2] / "src" / "lambent" / "hardware" / "loihi2" / "lava"
    assert LAVA is not None
    done = subprocess.run(
        [LAVA, "-W", "ignore", "-c", _IN_LAVA, program],
        input=json.dumps({"read": cases, "kept": ALONE}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    for case, theirs in zip(cases, found["read"], strict=True):
        assert theirs == read(case), case
    for weights, theirs, sums in zip(ALONE, found["kept"], found["sums"], strict=True):
        assert [tuple(x) for x in theirs] == [kept(weights, s, bits) for bits in range(1, 9) for s in (1, 2, 3)], (
            weights
        )
        assert sums == [*weights, *weights], weights
