"""Clicks one after the other, as in examples/delays.py, in snnTorch, which has no delays."""

import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(2, 60)
        self.lif1 = snn.Leaky(beta=0.8)
        self.fc2 = nn.Linear(60, 6)
        self.lif2 = snn.Leaky(beta=0.95, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        voltages = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            voltages.append(mem2)
        return torch.stack(voltages).mean(0)


def frames(times):
    x = torch.zeros(160, *times.shape)
    return x.scatter(0, torch.tensor(times).long().unsqueeze(0), 1.0)


def main(data, small, seed):
    torch.manual_seed(seed)
    (times, labels), (test_times, test_labels) = data(100 if small else 1000, seed), data(500, seed + 1000)
    spikes = frames(times)
    net = Net()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(2 if small else 30):
        for batch in torch.randperm(len(labels)).split(32):
            loss = loss_fn(net(spikes[:, batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return (net(frames(test_times)).argmax(1) == test_labels).float().mean().item()
