"""The time of a spike as the answer, as in examples/own_loss.py, in snnTorch, which has steps of 1 ms."""

import snntorch as snn
import snntorch.functional as SF
import torch
from snntorch import spikegen
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(10, 100)
        self.lif1 = snn.Leaky(beta=0.95)
        self.fc2 = nn.Linear(100, 1)
        self.lif2 = snn.Leaky(beta=0.95)

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


def encode(x):
    centres = torch.linspace(-0.5, 8.5, 10) / 8
    response = torch.exp(-0.5 * ((x - centres) / (0.125 / 0.7)) ** 2)
    early = spikegen.latency(response, num_steps=41, threshold=0.1, normalize=True, linear=True, clip=True)
    return torch.cat([early, torch.zeros(19, *early.shape[1:])])


def main(data, small, seed):
    torch.manual_seed(seed)
    (x, wanted), (test_x, test_wanted) = data(1000, seed), data(500, seed + 1000)
    spikes = encode(x)
    net = Net()
    loss_fn = SF.mse_temporal_loss(target_is_time=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    for _ in range(2 if small else 50):
        for batch in torch.randperm(len(x)).split(50):
            loss = loss_fn(net(spikes[:, batch]), wanted[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        found = net(encode(test_x))
    times = torch.where(found.any(0), found.argmax(0), len(found))
    return (times - test_wanted).abs().mean().item()
