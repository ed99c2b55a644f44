"""PyTorch Lightning: its trainer, early stopping, checkpoints and a CSV log around a spiking model.

Needs Lightning: pip install 'lambent[lightning]'

Reaches test accuracy 0.95 in 40 s on two cores; logs/ in the working folder holds metrics.csv.

    python examples/lightning_trainer.py
"""

import sys

import torch

import lambent as lb

small = "--smoke" in sys.argv
try:
    import lightning
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    from lambent.lightning import SpikingModule
except ImportError:
    print("skipped: this example needs Lightning; pip install 'lambent[lightning]'")
    sys.exit(0 if small else 1)

lightning.seed_everything(0)
sizes = (300, 200, 200) if small else (3000, 1000, 1000)
train, valid, test = (
    torch.utils.data.DataLoader(lb.data.yin_yang(n, seed=seed), batch_size=32, shuffle=seed == 0)
    for seed, n in enumerate(sizes)
)
network = torch.nn.Sequential(lb.LIF(5, 120), lb.LIReadout(120, 3, scale=30))

best = ModelCheckpoint(monitor="val_accuracy", mode="max")
trainer = lightning.Trainer(
    max_epochs=2 if small else 30,
    gradient_clip_val=1.0,
    callbacks=[EarlyStopping("val_accuracy", mode="max", patience=8), best],
    logger=CSVLogger("logs"),
    accelerator="cpu",
)
trainer.fit(SpikingModule(network, lr=2e-2), train, valid)
metrics = trainer.test(dataloaders=test, ckpt_path="best")
print(f"test accuracy {metrics[0]['test_accuracy']:.3f}")
