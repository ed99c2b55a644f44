"""Regression, as in examples/regression.py, in snnTorch."""

import snntorch as snn
import torch
from snntorch import spikegen
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(1, 100)
        self.lif1 = snn.RLeaky(beta=0.9, linear_features=100)
        self.fc2 = nn.Linear(100, 20)
        self.lif2 = snn.Leaky(beta=0.9, reset_mechanism="none")
        self.fc3 = nn.Linear(20, 1)

    def forward(self, x):
        (spk1, mem1), mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        voltages = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), spk1, mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            voltages.append(mem2)
        return self.fc3(torch.stack(voltages).mean(0))


def main(data, small, seed):
    torch.manual_seed(seed)
    (waves, frequency), (test_waves, test_frequency) = data(200 if small else 2000, seed), data(500, seed + 1000)
    spikes, test_spikes = (
        spikegen.delta(x.permute(2, 0, 1), threshold=0.1, padding=True, off_spike=True) for x in (waves, test_waves)
    )
    net = Net()
    loss_fn = nn.MSELoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(2 if small else 20):
        for batch in torch.randperm(len(waves)).split(32):
            loss = loss_fn(net(spikes[:, batch]), (frequency[batch] - 15) / 5)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return (15 + 5 * net(test_spikes) - test_frequency).abs().mean().item()
