"""From the world to spikes: recordings."""

from lambent.encode.audio import read_audio
from lambent.encode.cochlea import Cochlea

__all__ = ["Cochlea", "read_audio"]
