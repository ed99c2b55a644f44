"""Fine-tuning, as in examples/fine_tuning.py, in snnTorch."""

import math

import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(144, 64)
        self.lif1 = snn.RLeaky(beta=0.95, linear_features=64)
        self.fc2 = nn.Linear(64, 4)
        self.lif2 = snn.Leaky(beta=0.95, reset_mechanism="none")

    def forward(self, x):
        (spk1, mem1), mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        voltages = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), spk1, mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            voltages.append(mem2)
        return torch.stack(voltages).mean(0)


def frames(recordings):
    x = torch.zeros(100, len(recordings), 12, 12)
    for i, events in enumerate(recordings):
        t, row, column = (torch.tensor(events[field].astype(int)) for field in "tyx")
        x[t, i, row, column] = 1.0
    return x.flatten(2)


def fit(net, recordings, directions, epochs, lr):
    spikes = frames(recordings)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(epochs):
        for batch in torch.randperm(len(directions)).split(32):
            loss = loss_fn(net(spikes[:, batch]), directions[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main(data, small, seed):
    torch.manual_seed(seed)
    net = Net()
    fit(net, *data(100 if small else 2000, 0.0, seed), 2 if small else 15, 3e-3)
    net.fc2 = nn.Linear(64, 4)
    few = data(16, math.pi / 4, seed)
    net.fc1.requires_grad_(False)
    net.lif1.requires_grad_(False)
    fit(net, *few, 2 if small else 60, 1e-3)
    net.requires_grad_(True)
    fit(net, *few, 2 if small else 60, 1e-3)

    test, directions = data(500, math.pi / 4, seed + 1000)
    with torch.no_grad():
        return (net(frames(test)).argmax(1) == directions).float().mean().item()
