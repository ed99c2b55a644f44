"""A neuron of your own, sparse connections, delays between units, and layers that also hear what came before.

The neuron is a LIF unit that a spike takes to -1 instead of 0: only what is different from LIF is written down, here
in 12 lines, and the compiled engine runs it. One in five pairs of units is connected, and every layer hears the
input and all layers before it. Spoken commands, as in keywords.py.

Reaches test accuracy 0.95 in two minutes on two cores, ten seconds of them to compile the neuron.

    python examples/own_neuron_sparse.py
"""

import sys

import torch

import lambent as lb
from lambent.neurons.lif import LIFUnits

small = "--smoke" in sys.argv
torch.manual_seed(0)


class DeepResetUnits(LIFUnits):
    @staticmethod
    def reset(x, p):  # the state (current, voltage) after a spike
        return x[0], 0.0 * x[1] - 1.0

    @staticmethod
    def jump(a, pull, push, marks, p):  # its adjoint: dV/dt after the spike over dV/dt before, which is marks[0]
        ratio = 1 + (p.threshold + 1.0) / (p.tau_mem * marks[0])
        return a[0], a[1] * ratio - pull / marks[0] + push


class DeepReset(lb.neurons.LIF):
    def on_grid(self, dt, dtype):
        return DeepResetUnits(*super().on_grid(dt, dtype))


def layer(n_in, n_out):
    n = n_in * n_out // 5
    inputs = lb.connections.Sparse(n_in, n_out, density=0.2, delay=120 * torch.rand(n))  # [ms]
    recurrent = lb.connections.Sparse(n_out, n_out, density=0.2, delay=10.0)
    return lb.Spiking(DeepReset(tau_mem=20.0, tau_syn=5.0), inputs, recurrent, dt=2.0)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([layer(140, 100), layer(240, 100), layer(340, 100)])
        self.readout = lb.LIReadout(440, 10, scale=30, dt=2.0)

    def forward(self, events):
        for layer in self.layers:
            events = lb.Events.merge([events, layer(events)])  # units side by side
        return self.readout(events)


train, test = lb.data.keywords()
if small:
    train = train.subset(range(100))
model = Network()
lb.calibrate(model, train.batch(range(100))[0], spikes=5.0)
lb.fit(model, train, epochs=2 if small else 12, lr=1e-2)

scores, labels = lb.training.predict(model, test)
print(f"test accuracy {(scores.argmax(1) == labels).float().mean():.3f}")
