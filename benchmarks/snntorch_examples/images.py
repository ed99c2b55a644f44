"""Images, as in examples/images.py, in snnTorch."""

import snntorch as snn
import snntorch.functional as SF
import torch
from snntorch import spikegen
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(256, 100)
        self.lif1 = snn.Leaky(beta=0.95)
        self.fc2 = nn.Linear(100, 5)
        self.lif2 = snn.Leaky(beta=0.95)

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


def main(data, small, seed):
    torch.manual_seed(seed)
    (images, labels), (test_images, test_labels) = data(200 if small else 3000, seed), data(500, seed + 1000)
    spikes, test_spikes = (
        spikegen.latency(x, num_steps=51, normalize=True, linear=True) for x in (images, test_images)
    )
    net = Net()
    loss_fn = SF.ce_count_loss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(2 if small else 20):
        for batch in torch.randperm(len(images)).split(32):
            loss = loss_fn(net(spikes[:, batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return SF.accuracy_rate(net(test_spikes), test_labels)
