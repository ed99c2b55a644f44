"""A model under Lightning's trainer: it learns, logs, stops early, checkpoints and resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import lambent as lb

lightning = pytest.importorskip("lightning")
SpikingModule = pytest.importorskip("lambent.lightning").SpikingModule
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
]
DATA = lb.data.yin_yang(300, seed=0)


def loader(shuffle: bool = False) -> torch.utils.data.DataLoader:
    return torch.utils.data.DataLoader(DATA, 50, shuffle=shuffle, collate_fn=lb.data.collate)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(lb.LIF(5, 30), lb.LIReadout(30, 3, scale=30.0))
    net[0].tau_mem.requires_grad_()
    return net


def trainer(folder: Path, **options: Any) -> Any:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return lightning.Trainer(default_root_dir=folder, accelerator="cpu", gradient_clip_val=1.0, **(quiet | options))


def test_it_learns_and_logs(tmp_path: Path) -> None:
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    module = SpikingModule(model(), lr=2e-2, lr_tau=0.5)
    before = module.model[0].tau_mem.clone()
    kept = ModelCheckpoint(tmp_path / "kept", monitor="val_accuracy", mode="max")
    run = trainer(
        tmp_path, max_epochs=4, logger=CSVLogger(tmp_path), enable_checkpointing=True,
        callbacks=[EarlyStopping("val_loss"), kept],
    )  # fmt: skip
    run.fit(module, loader(True), loader())
    table = next(tmp_path.glob("lightning_logs/*/metrics.csv")).read_text().splitlines()
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "spikes_per_unit", "silent"} <= set(table[0].split(","))
    assert not torch.equal(module.model[0].tau_mem, before)
    assert run.test(module, loader(), verbose=False)[0]["test_accuracy"] > 0.45
    scores = torch.cat(run.predict(module, loader()))
    assert scores.shape == (300, 3)
    again = SpikingModule(model())
    again.load_state_dict(torch.load(kept.best_model_path, weights_only=True)["state_dict"])


def test_settings() -> None:
    with pytest.raises(TypeError, match="no setting 'hidden'"):
        SpikingModule(model(), hidden=3)
    with pytest.raises(TypeError, match="clip is not SpikingModule's"):
        SpikingModule(model(), clip=3.0)
    with pytest.raises(ValueError, match="lr must be positive"):
        SpikingModule(model(), lr=-3.0)
