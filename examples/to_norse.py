"""To Norse by way of a NIR file: train here, run there, compare spike for spike.

A 5-120-30 network on Yin-Yang, ten output units for each class. Norse takes an Euler step, 1 - dt / tau, where lambent
has the exact exp(-dt / tau), so the nodes of the file get the constants with which Norse computes the same.

Needs Norse and nir: pip install 'lambent[nir]' norse

Reaches test accuracy 0.93 here and in Norse, where at least 98.7 % of all spike counts are the same (with
the constants of the file as they are, accuracy drops to 0.75); half a minute on two cores.

    python examples/to_norse.py
"""

import sys

import numpy as np
import torch

import lambent as lb

small = "--smoke" in sys.argv
torch.manual_seed(0)
try:
    import nir
    import norse.torch as norse
except ImportError:
    print("skipped: this example needs Norse and nir; pip install 'lambent[nir]' norse")
    sys.exit(0 if small else 1)


def loss(spikes, labels):
    return lb.losses.count_cross_entropy(spikes, labels, population=10)


def accuracy(counts, labels):
    return (lb.losses.population_mean(counts, 10).argmax(1) == labels).float().mean()


train, test = lb.data.yin_yang(300 if small else 3000, seed=0), lb.data.yin_yang(1000, seed=1)
model = torch.nn.Sequential(lb.LIF(5, 120), lb.LIF(120, 30))
lb.calibrate(model, train.batch(range(100))[0], spikes=1.5)
metrics = {"accuracy": lambda spikes, labels: accuracy(spikes.counts(), labels)}
lb.fit(model, train, loss=loss, metrics=metrics, epochs=2 if small else 30, lr=1e-2)
lb.export_nir(model, "yin_yang.nir")

graph, dt = nir.read("yin_yang.nir"), 1e-3  # NIR counts in seconds
for node in graph.nodes.values():
    if isinstance(node, nir.CubaLIF):
        mem, syn = np.exp(-dt / node.tau_mem), np.exp(-dt / node.tau_syn)  # what is left after a step
        gain = node.tau_syn * (mem - syn) / (node.tau_mem - node.tau_syn)
        node.tau_mem, node.tau_syn = dt / (1 - mem), dt / (1 - syn)
        node.r, node.w_in = gain / (1 - mem), 1 / (1 - syn)
in_norse = norse.from_nir(graph, dt=dt)

events, labels = test.batch(range(len(test)))
dense, state, counts = events.to_dense(1.0), None, 0  # (samples, steps, units)
with torch.no_grad():
    for step in range(dense.shape[1]):
        spikes, state = in_norse(dense[:, step], state)
        counts = counts + spikes
here = model(events).counts()
there = f"in Norse {accuracy(counts, labels):.3f}; {(here == counts).float().mean():.1%} of spike counts equal"
print(f"test accuracy {accuracy(here, labels):.3f}, {there}")
