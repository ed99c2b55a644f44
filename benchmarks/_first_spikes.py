"""Training of two layers in continuous time with time-to-first-spike cross-entropy, for benchmarks."""

from __future__ import annotations

import time

import torch

import lambent as lb

TAU_MEM, TAU_SYN = 20.0, 5.0


def network(
    inputs: int, hidden: int, outputs: int, first: tuple[float, float], second: tuple[float, float]
) -> torch.nn.Sequential:
    """Two layers, with mean and standard deviation of each one's weights."""
    sizes = ((inputs, hidden), (hidden, outputs))
    model = torch.nn.Sequential(*(lb.LIF(*s, tau_mem=TAU_MEM, tau_syn=TAU_SYN, dt=None, min_slope=0.1) for s in sizes))
    with torch.no_grad():
        model[0].weight.normal_(*first)
        model[1].weight.normal_(*second)
    return model


def accuracy(model: torch.nn.Sequential, data: lb.data.SpikeDataset) -> float:
    """Share of samples in which the right unit spikes first."""
    right = 0
    with torch.no_grad():
        for events, labels in data.batches(500):
            right += int((lb.losses.first_spike_times(model(events)).argmin(1) == labels).sum())
    return right / len(data)


def train(
    model: torch.nn.Sequential,
    data: lb.data.SpikeDataset,
    epochs: int,
    batch: int,
    lr: float,
    augment: lb.data.augment.Augmentation | None = None,
    watched: lb.data.SpikeDataset | None = None,
) -> float:
    """Train with Adam and a learning rate that falls to zero; returns the minutes it took.

    Units that spike less than every other sample, and outputs that spike less than twice, are pulled up: an output that
    falls silent where it should come first costs the most. Says after each epoch how accurate it is on the `watched`
    samples, if any.
    """
    start = time.perf_counter()
    augment, random = augment or lb.data.augment.Compose([]), torch.Generator().manual_seed(torch.initial_seed())
    optimizer = torch.optim.Adam(model.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        for events, labels in data.batches(batch, shuffle=True):
            hidden = model[0](augment(events, labels, random))
            out = model[1](hidden)
            loss = lb.losses.first_spike_cross_entropy(out, labels, tau=1.0)
            loss = loss + lb.losses.rate_penalty(hidden, lower=0.5) + lb.losses.rate_penalty(out, lower=2.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if watched is not None:
            minutes = (time.perf_counter() - start) / 60
            print(f"epoch {epoch + 1}: {100 * accuracy(model, watched):.2f} %, {minutes:.1f} min", flush=True)
    return (time.perf_counter() - start) / 60
