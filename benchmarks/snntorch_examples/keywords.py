"""Spoken commands, as in examples/keywords.py, in snnTorch: no delays, spikes counted in bins of 10 ms."""

import math

import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn
from torch.nn import functional as F

DT = 10.0  # [ms]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        syn, mem = math.exp(-DT / 5), math.exp(-DT / 20)
        self.fc1 = nn.Linear(140, 128)
        grad = surrogate.fast_sigmoid(slope=25)
        self.lif1 = snn.RSynaptic(alpha=syn, beta=mem, linear_features=128, spike_grad=grad)
        self.fc2 = nn.Linear(128, 10)
        self.lif2 = snn.Leaky(beta=mem, reset_mechanism="none")

    def forward(self, x):
        (spk1, syn1, mem1), mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        voltages = []
        for step in x:
            spk1, syn1, mem1 = self.lif1(self.fc1(step), spk1, syn1, mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            voltages.append(mem2)
        return torch.stack(voltages).mean(0)


def frames(words):
    events, labels = words.batch(range(len(words)))
    return events.to_dense(DT).float().transpose(0, 1), labels


def main(data, small, seed):
    torch.manual_seed(seed)
    (words, labels), (test_words, test_labels) = map(frames, data(small, seed))
    net = Net()
    epochs = 2 if small else 12
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(32):
            shifted = torch.roll(words[:, batch], int(torch.randint(-2, 3, ())), 2)
            loss = F.cross_entropy(net(shifted), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()

    with torch.no_grad():
        return (net(test_words).argmax(1) == test_labels).float().mean().item()
