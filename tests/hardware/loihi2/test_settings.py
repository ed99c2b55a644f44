"""What Loihi 2 says of settings, before anything is trained."""

from __future__ import annotations

import pytest

from lambent.hardware.loihi2.chip import CHIP
from lambent.training.config import Config


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"layer": ("256 recurrent",)}, "has no delays of recurrent layers"),
        ({"layer": ("256",)}, "will run in Lava, as a program"),
        ({"layer": ("adaptive 64", "256")}, "no export of layer 'adaptive 64': the chip has no adaptive units"),
        ({"layer": ("adlif 64",)}, "no adlif units; use lif or resonator"),
        ({"layer": ("refractory 64 recurrent",)}, "no refractory units"),
        ({"layer": ("resonator 64 recurrent",)}, "not connected among themselves"),
        ({"layer": ("resonator 64",)}, "but not through Lava's NetX reader"),
        ({"layer": ("conv 8 21 stride 7",)}, "will be a dense one with zeros"),
        ({"layer": ("conv 8 21 stride 7 delay 0",)}, "will run in Lava, as a program"),
        ({"layer": ("conv 8 21 stride 7",), "delay": 0.0}, "will run in Lava, as a program"),
        ({"layer": ("conv 4 3 delay 0", "pool 2"), "input_shape": "28x28"}, "has no pools"),
        ({"layer": ("64 payload_bits 4",)}, "no export of layer '64 payload_bits 4': only spikes without values"),
        ({"layer": ("64 reset subtract",)}, "resets to 0: no export with reset subtract"),
        ({"layer": ("resonator 64",), "reset": "subtract"}, "will run in Lava"),
    ],
)
def test_advice(settings, says):
    assert says in CHIP.advice(Config(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": ("adaptive 64",)}, "qat_bits: layer 'adaptive 64': the chip has no adaptive units"),
        ({"layer": ("resonator 64 recurrent",)}, "qat_bits: layer 'resonator 64 recurrent': .*among themselves"),
        ({"layer": ("64", "64 reset subtract")}, "reset must be zero with qat_bits"),
        ({"layer": ("64", "64"), "qat_bits": "4,4"}, "qat_bits: weight_bits must be one number or one for each of 3"),
    ],
)
def test_what_cannot_be_trained_for(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(**{"qat_bits": "4"} | settings)


def test_what_can():
    Config(qat_bits="4,5,6,7", layer=("conv 4 3x3", "pool 2", "sparse 64 density 0.1 recurrent"), input_shape="28x28")
    Config(qat_bits="4", layer=("resonator 64",), reset="subtract")
