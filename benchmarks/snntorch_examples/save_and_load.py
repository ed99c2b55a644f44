"""Saving, as in examples/save_and_load.py, in snnTorch."""

import tempfile
from pathlib import Path

import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(5, 120)
        self.lif1 = snn.Synaptic(alpha=0.82, beta=0.95)
        self.fc2 = nn.Linear(120, 3)
        self.lif2 = snn.Leaky(beta=0.95, reset_mechanism="none")

    def forward(self, x):
        (syn1, mem1), mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        voltages = []
        for step in x:
            spk1, syn1, mem1 = self.lif1(self.fc1(step), syn1, mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            voltages.append(mem2)
        return torch.stack(voltages).mean(0)


def frames(points):
    events, labels = points.batch(range(len(points)))
    return events.to_dense(1.0).float().transpose(0, 1), labels


def fit(net, spikes, labels, epochs, lr, stop, checkpoint=None):
    """Train up to epoch `stop`, from the checkpoint if there is one, and write it after every epoch."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    done = 0
    if checkpoint is not None and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        done = state["epoch"]
    for epoch in range(done, stop):
        for batch in torch.randperm(len(labels)).split(32):
            loss = F.cross_entropy(net(spikes[:, batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if checkpoint is not None:
            state = {
                "net": net.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "random": torch.get_rng_state(),
                "epoch": epoch + 1,
            }
            torch.save(state, checkpoint)


def network(seed):
    torch.manual_seed(seed)
    return Net()


def main(data, small, seed):
    train, test = map(frames, data(small, seed))
    lr = 5e-3
    folder, epochs = Path(tempfile.mkdtemp()), 8 if small else 30

    never_stopped = network(seed)
    fit(never_stopped, *train, epochs, lr, epochs)
    fit(network(seed), *train, epochs, lr, 5, folder / "checkpoint.pt")
    resumed = network(seed)
    fit(resumed, *train, epochs, lr, epochs, folder / "checkpoint.pt")
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), never_stopped.parameters(), strict=True))

    torch.save(resumed.state_dict(), folder / "yin_yang.pt")
    loaded = Net()
    loaded.load_state_dict(torch.load(folder / "yin_yang.pt", weights_only=True))
    with torch.no_grad():
        spikes, labels = test
        return (loaded(spikes).argmax(1) == labels).float().mean().item()
