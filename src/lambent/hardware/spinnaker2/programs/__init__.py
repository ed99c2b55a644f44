"""What runs on the elements: each program is a class with `tick(inbox) -> outbox`, float32 and a count of its cycles.

`Source` and `Loss` share the head of a group, `Forward` and `Backward` the element of a slice (`tile.Tile`), `Update`
has its own. They are the specification; `lambent.hardware.spinnaker2.kernels` computes the same numbers faster.
"""

from lambent.hardware.spinnaker2.programs.backward import Backward
from lambent.hardware.spinnaker2.programs.forward import Forward
from lambent.hardware.spinnaker2.programs.loss import Loss
from lambent.hardware.spinnaker2.programs.source import Source
from lambent.hardware.spinnaker2.programs.tile import Tile
from lambent.hardware.spinnaker2.programs.update import Update

__all__ = ["Backward", "Forward", "Loss", "Source", "Tile", "Update"]
