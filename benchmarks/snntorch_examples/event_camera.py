"""An event camera, as in examples/event_camera.py, in snnTorch."""

import snntorch as snn
import snntorch.functional as SF
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(512, 64)
        self.lif1 = snn.RLeaky(beta=0.95, linear_features=64)
        self.fc2 = nn.Linear(64, 8)
        self.lif2 = snn.Leaky(beta=0.95)

    def forward(self, x):
        (spk1, mem1), mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes = []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step), spk1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)


def frames(recordings):
    x = torch.zeros(100, len(recordings), 2, 16, 16)
    for i, events in enumerate(recordings):
        t, p, row, column = (torch.tensor(events[field].astype(int)) for field in "tpyx")
        x[t // 1000, i, p, row, column] = 1.0
    return x.flatten(2)


def main(data, small, seed):
    torch.manual_seed(seed)
    (train, directions), (test, test_directions) = data(100 if small else 1500, seed), data(300, seed + 1000)
    spikes = frames(train)
    net = Net()
    loss_fn = SF.ce_count_loss()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(2 if small else 15):
        for batch in torch.randperm(len(directions)).split(32):
            loss = loss_fn(net(spikes[:, batch]), directions[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        return SF.accuracy_rate(net(frames(test)), test_directions)
