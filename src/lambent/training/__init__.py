"""Training runs: settings, model, loop and the folder they write."""

from lambent.layers.calibration import calibrate
from lambent.training.config import Config
from lambent.training.fit import fit
from lambent.training.history import History
from lambent.training.loop import train
from lambent.training.model import build_model
from lambent.training.run import Run
from lambent.training.scoring import forward, predict
from lambent.training.trainer import Trainer

__all__ = [
    "Config",
    "History",
    "Run",
    "Trainer",
    "build_model",
    "calibrate",
    "fit",
    "forward",
    "predict",
    "train",
]
