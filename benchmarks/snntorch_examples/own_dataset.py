"""Your own recordings, as in examples/own_dataset.py, in snnTorch, which has no delays."""

import numpy as np
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class Recordings(Dataset):
    def __init__(self, folder):
        self.files = sorted(folder.glob("*.npz"))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        recording = np.load(self.files[i])
        x = torch.zeros(100, 144)
        x[torch.from_numpy(recording["times"]).long(), torch.from_numpy(recording["pixels"])] = 1.0
        return x, int(recording["direction"])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(144, 64)
        self.lif1 = snn.Synaptic(alpha=0.82, beta=0.95)
        self.fc2 = nn.Linear(64, 8)
        self.lif2 = snn.Leaky(beta=0.95, reset_mechanism="none")

    def forward(self, x):
        (syn1, mem1), mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        voltages = []
        for step in range(x.shape[1]):
            spk1, syn1, mem1 = self.lif1(self.fc1(x[:, step]), syn1, mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            voltages.append(mem2)
        return torch.stack(voltages).mean(0)


def main(data, small, seed):
    torch.manual_seed(seed)
    train, test = map(Recordings, data(small, seed))
    loader = DataLoader(train, batch_size=32, shuffle=True)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(2 if small else 20):
        for x, labels in loader:
            lost = 0.8 * torch.rand(len(x), 1, 1)
            alive = torch.rand(len(x), 1, 144) >= lost
            loss = F.cross_entropy(net(x * alive), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        x, labels = next(iter(DataLoader(test, batch_size=len(test))))
        return (net(x).argmax(1) == labels).float().mean().item()
