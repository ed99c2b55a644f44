"""Checkpoints that are damaged, or of something else: one line, and never the end of the process."""

from __future__ import annotations

import math

import pytest
import torch

import lambent as lb
from lambent.training import Config
from lambent.training.trainer import Trainer


@pytest.fixture
def trainer():
    config = Config(hidden=4, epochs=2, shift=0, blend=0.0, valid=0.0)
    model = torch.nn.Sequential(lb.LIF(5, 4), lb.LIReadout(4, 3))
    trainer = Trainer(model, config, lb.data.yin_yang(40, seed=0))
    trainer.step(*trainer.data.data.batch(range(32)))
    return trainer


def first(checkpoint):
    return checkpoint["optimizer"]["state"][0]


CHANGES = {
    "no tensor": (lambda c: c["model"].update({"0.weight": 3}), "0.weight is int"),
    "model's shape": (lambda c: c["model"].update({"0.weight": torch.zeros(4, 5)}), r"0\.weight is .*\(4, 5\)"),
    "model's type": (lambda c: c["model"].update({"0.weight": torch.zeros(5, 4).double()}), "float64"),
    "other names": (lambda c: c["model"].update({"x": torch.zeros(4)}), "other values"),
    "a list": (lambda c: c.update({"model": []}), "list|other values|str"),
    "average's shape": (lambda c: first(c).update(exp_avg=torch.zeros(1)), r"exp_avg of parameter 0"),
    "square's shape": (lambda c: first(c).update(exp_avg_sq=torch.zeros(4, 5)), r"exp_avg_sq of parameter 0"),
    "average's type": (lambda c: first(c).update(exp_avg=torch.zeros(5, 4).half()), "float16"),
    "step's shape": (lambda c: first(c).update(step=torch.zeros(3)), "step of parameter 0"),
    "no average": (lambda c: first(c).pop("exp_avg"), "not those of AdamW"),
    "other parameter": (lambda c: c["optimizer"]["state"].update({9: {}}), "no parameter 9"),
    "groups": (lambda c: c["optimizer"]["param_groups"].pop(), "number of groups"),
    "order": (lambda c: c["optimizer"]["param_groups"][0].update(params=[1, 0]), "other groups"),
    "betas": (lambda c: c["optimizer"]["param_groups"][0].update(betas=(0.9, "x")), "betas"),
    "rate": (lambda c: c["optimizer"]["param_groups"][0].update(lr=math.nan), "lr is nan"),
    "epoch": (lambda c: c["state"].update(epoch=-1), "makes no sense"),
    "epoch's type": (lambda c: c["state"].update(epoch="1"), "makes no sense"),
    "batch": (lambda c: c["state"].update(batch=99, sums={"samples": 1, "seconds": 1.0}), "makes no sense"),
    "sums": (lambda c: c["state"].update(batch=1, sums={}), "makes no sense"),
    "score": (lambda c: c["state"].update(best_score=math.nan), "makes no sense"),
    "best score": (lambda c: c["state"].update(best_score=math.inf), "makes no sense"),
    "top score": (lambda c: c["state"].update(top_score="0.9"), "makes no sense"),
    "unknown": (lambda c: c["state"].update(x=1), "is missing"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_fit_is_refused(trainer, change):
    checkpoint = trainer.checkpoint()
    checkpoint = {key: dict(value) if isinstance(value, dict) else value for key, value in checkpoint.items()}
    make, message = CHANGES[change]
    make(checkpoint)
    with pytest.raises((ValueError, AttributeError, TypeError, KeyError, RuntimeError), match=message):
        trainer.restore(checkpoint)


def test_what_fits_is_taken(trainer):
    checkpoint = trainer.checkpoint()
    trainer.restore(checkpoint)
    assert trainer.checkpoint()["state"] == checkpoint["state"]
