"""A hybrid, as in examples/hybrid.py, in snnTorch: the convolution drives spiking units with a constant current."""

import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 5, stride=2)
        self.lif1 = snn.Leaky(beta=0.95)
        self.fc1 = nn.Linear(16 * 6 * 6, 100)
        self.lif2 = snn.Leaky(beta=0.95)
        self.fc2 = nn.Linear(100, 32)
        self.lif3 = snn.Leaky(beta=0.95, reset_mechanism="none")
        self.fc3 = nn.Linear(32, 8)

    def forward(self, x):
        mem1, mem2, mem3 = self.lif1.reset_mem(), self.lif2.reset_mem(), self.lif3.reset_mem()
        current = self.conv(x).flatten(1)
        voltages = []
        for _ in range(40):
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc1(spk1), mem2)
            _, mem3 = self.lif3(self.fc2(spk2), mem3)
            voltages.append(mem3)
        return self.fc3(torch.stack(voltages).mean(0).relu())


def main(data, small, seed):
    torch.manual_seed(seed)
    (images, labels), (test_images, test_labels) = data(200 if small else 2000, seed), data(500, seed + 1000)
    net = Net()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(1 if small else 15):
        for batch in torch.randperm(len(images)).split(32):
            loss = loss_fn(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return (net(test_images).argmax(1) == test_labels).float().mean().item()
