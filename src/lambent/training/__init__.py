"""Training runs: settings, model, loop and the folder they write."""

from typing import TYPE_CHECKING

from lambent.machine.lazy import on_demand

if TYPE_CHECKING:
    from lambent.layers.calibration import calibrate as calibrate
    from lambent.training.config import Config as Config
    from lambent.training.fitting import fit as fit
    from lambent.training.history import History as History
    from lambent.training.loop import train as train
    from lambent.training.model import build_model as build_model
    from lambent.training.rewiring import Rewiring as Rewiring
    from lambent.training.run import Run as Run
    from lambent.training.scoring import forward as forward
    from lambent.training.scoring import predict as predict
    from lambent.training.trainer import Trainer as Trainer

__getattr__, __dir__, __all__ = on_demand(
    __name__,
    {
        "calibrate": "lambent.layers.calibration",
        "Config": "lambent.training.config",
        "fit": "lambent.training.fitting",
        "History": "lambent.training.history",
        "train": "lambent.training.loop",
        "build_model": "lambent.training.model",
        "Rewiring": "lambent.training.rewiring",
        "Run": "lambent.training.run",
        "forward": "lambent.training.scoring",
        "predict": "lambent.training.scoring",
        "Trainer": "lambent.training.trainer",
    },
)
