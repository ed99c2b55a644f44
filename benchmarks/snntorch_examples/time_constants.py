"""Time constants for each unit, as in examples/time_constants.py, in snnTorch."""

import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(24, 100)
        self.lif1 = snn.Leaky(beta=torch.exp(-1 / (5 * 80 ** torch.rand(100))), learn_beta=True)
        self.fc2 = nn.Linear(100, 4)
        self.lif2 = snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
        return mem2


def main(data, small, seed):
    torch.manual_seed(seed)
    (spikes, labels), (test_spikes, test_labels) = data(100 if small else 1500, seed), data(500, seed + 1000)
    spikes = spikes.transpose(0, 1).float()
    net = Net()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    for _ in range(2 if small else 20):
        for batch in torch.randperm(len(labels)).split(32):
            loss = loss_fn(net(spikes[:, batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return (net(test_spikes.transpose(0, 1).float()).argmax(1) == test_labels).float().mean().item()
