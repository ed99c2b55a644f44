"""Population codes, as in examples/population_code.py, in snnTorch."""

import snntorch as snn
import snntorch.functional as SF
import torch
from snntorch import spikegen
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 100)
        self.lif1 = snn.Leaky(beta=0.95)
        self.fc2 = nn.Linear(100, 30)
        self.lif2 = snn.Leaky(beta=0.95)

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


def encode(points):
    centres = torch.linspace(-0.5, 8.5, 10) / 8
    response = torch.exp(-0.5 * ((points[:, :, None] - centres) / (0.125 / 1.5)) ** 2).flatten(1)
    early = spikegen.latency(response, num_steps=31, threshold=0.1, normalize=True, linear=True, clip=True)
    return torch.cat([early, torch.zeros(29, *early.shape[1:])])


def main(data, small, seed):
    torch.manual_seed(seed)
    (points, labels), (test_points, test_labels) = data(200 if small else 2000, seed), data(1000, seed + 1000)
    spikes = encode(points)
    net = Net()
    loss_fn = SF.ce_count_loss(population_code=True, num_classes=3)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(2 if small else 30):
        for batch in torch.randperm(len(points)).split(32):
            loss = loss_fn(net(spikes[:, batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return SF.accuracy_rate(net(encode(test_points)), test_labels, population_code=True, num_classes=3)
