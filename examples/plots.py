"""Pictures: spikes, one sample in every layer, voltages and learning curves, as PNG files in the working folder.

Draws raster.png, layers.png, voltages.png and learning.png of a network that hears spoken commands, in about 15 s. In a
notebook the figures appear by themselves.

    python examples/plots.py
"""

import sys

import matplotlib
import torch

import lambent as lb

small = "--smoke" in sys.argv
torch.manual_seed(0)
matplotlib.use("agg")  # files, no windows

train, test = lb.data.keywords()
if small:
    train = train.subset(range(100))
model = torch.nn.Sequential(
    lb.LIF(140, 64, delay=120 * torch.rand(140, 64), dt=2.0),
    lb.LIF(64, 64, recurrent=True, dt=2.0),
    lb.LIReadout(64, 10, scale=30, dt=2.0),
)
lb.calibrate(model, train.batch(range(100))[0], spikes=5.0)
history = lb.fit(model, train, valid=0.1, epochs=2 if small else 8, lr=1e-2)

events, labels = test.batch(range(10))
word = test.class_names[labels[3]]

axes = events.plot(sample=3)  # matplotlib axes: change what you like
axes.set_title(f'the word "{word}"')
axes.figure.savefig("raster.png", dpi=150)

panels = lb.plot.layers(model, events, sample=3, true=int(labels[3]))
panels[0].figure.savefig("layers.png", dpi=150)

run = lb.record(model, events)  # run.spikes, run.current, run.voltage, of each layer (batch, units, steps)
axes = lb.plot.voltages(run, layer=1, sample=3, units=[0, 1, 2])
axes.axhline(1.0, linestyle=":", color="grey")  # the threshold
axes.figure.savefig("voltages.png", dpi=150)

panels = history.plot()
panels[0].figure.savefig("learning.png", dpi=150)
print("wrote 4 pictures: raster.png, layers.png, voltages.png, learning.png")
