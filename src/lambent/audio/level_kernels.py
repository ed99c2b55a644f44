"""The compiled loop of a gain control over the samples of a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambent.machine.compiling import jit

STATE = np.dtype([("fresh", np.bool_), ("sample", float), ("passed", float), ("now", float), ("power", float)])
"""What a block leaves to the next: whether there was none yet, its last sample, the same past the high-pass filter, the
mean square now, and the one that the gain follows."""


@jit
def control(
    sound: NDArray[np.float64],
    state: NDArray[Any],
    highpass: float,
    blur: float,
    attack: float,
    release: float,
    faintest: float,
    heard: float,
) -> None:
    """Bring `sound` (samples,) in place to the level `heard`: by the mean square of what came before.

    A high-pass filter takes constants away first.

    Args:
        state: (1,) of `STATE`, brought to the end of the block.
        highpass: what the filter keeps of its output from sample to sample.
        blur: share of a sample's square in the mean square now.
        attack, release: share of that, where it is louder and where it is fainter, in the one that the gain follows.
        faintest: mean square below which gain no longer grows.
    """
    cell = state[0]
    if cell["fresh"] and len(sound):
        cell["sample"], cell["fresh"] = sound[0], False
    sample, passed, now, power = cell["sample"], cell["passed"], cell["now"], cell["power"]
    for i in range(len(sound)):
        passed = highpass * (passed + sound[i] - sample)
        sample = sound[i]
        gain = heard / np.sqrt(max(power, faintest))
        now += blur * (passed * passed - now)
        power += (attack if now > power else release) * (now - power)
        sound[i] = gain * passed
    cell["sample"], cell["passed"], cell["now"], cell["power"] = sample, passed, now, power
