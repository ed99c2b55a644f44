"""A label for every time step, as in examples/label_per_step.py, in snnTorch."""

import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(40, 100)
        self.lif1 = snn.Leaky(beta=0.9)
        self.fc2 = nn.Linear(100, 4)
        self.lif2 = snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        voltages = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            voltages.append(mem2)
        return torch.stack(voltages)


def main(data, small, seed):
    torch.manual_seed(seed)
    (spikes, labels), (test_spikes, test_labels) = data(50 if small else 400, seed), data(200, seed + 1000)
    spikes, labels = spikes.transpose(0, 1).float(), labels.T
    net = Net()
    loss_fn = nn.CrossEntropyLoss(ignore_index=-100)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    for _ in range(2 if small else 15):
        for batch in torch.randperm(labels.shape[1]).split(32):
            loss = loss_fn(net(spikes[:, batch]).flatten(0, 1), labels[:, batch].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        guess = net(test_spikes.transpose(0, 1).float()).argmax(2)
    return (guess == test_labels.T)[test_labels.T != -100].float().mean().item()
