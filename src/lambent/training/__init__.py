"""Training runs: settings, model, loop and the folder they write."""

from lambent.layers.calibration import calibrate
from lambent.training.config import Config
from lambent.training.loop import train
from lambent.training.model import build_model
from lambent.training.run import Run
from lambent.training.scoring import forward, predict
from lambent.training.trainer import Trainer

__all__ = ["Config", "Run", "Trainer", "build_model", "calibrate", "forward", "predict", "train"]
