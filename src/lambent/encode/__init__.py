"""Recordings, values and signals as spikes.

Recordings: `Cochlea`. Values (batch, features) in [0, 1]: `latency`, `rate`, `phase`, `burst`, `population`. Signals
(batch, channels, steps): `delta`, `step_forward`, `moving_window`, `bsa`. Each gives `Events`; where an inverse exists
it is called ``decode_`` and the same name, and takes the same numbers. `Encoder` makes a module of one.
"""

from lambent.audio.cochlea import Cochlea
from lambent.audio.reading import read_audio
from lambent.encode.bsa import bsa, decode_bsa
from lambent.encode.burst import burst, decode_burst
from lambent.encode.contrast import decode_delta, decode_step_forward, delta, moving_window, step_forward
from lambent.encode.encoder import Encoder
from lambent.encode.latency import decode_latency, latency
from lambent.encode.phase import decode_phase, phase
from lambent.encode.population import decode_population, population
from lambent.encode.rate import decode_rate, rate

__all__ = [
    "Cochlea",
    "Encoder",
    "bsa",
    "burst",
    "decode_bsa",
    "decode_burst",
    "decode_delta",
    "decode_latency",
    "decode_phase",
    "decode_population",
    "decode_rate",
    "decode_step_forward",
    "delta",
    "latency",
    "moving_window",
    "phase",
    "population",
    "rate",
    "read_audio",
    "step_forward",
]
