"""`predict`: answers to whole data sets."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

import lambent as lb
from lambent.training import predict


def model(*last: torch.nn.Module) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(lb.LIF(5, 20), *last)


DATA = lb.data.yin_yang(230, seed=0)  # three batches


def test_a_set_and_a_loader_give_the_same() -> None:
    network = model(lb.LIReadout(20, 3))
    scores, labels = predict(network, DATA)
    assert not scores.requires_grad
    assert scores.shape == (230, 3)
    assert torch.equal(labels, torch.as_tensor(DATA.labels))
    again, same = predict(network, DataLoader(DATA, batch_size=100))
    assert torch.equal(again, scores)
    assert torch.equal(same, labels)


def test_dropout_is_off_and_modes_are_as_before() -> None:
    network = model(lb.EventDropout(0.5), lb.LIReadout(20, 3))
    network[0].eval()  # kept so by its user
    assert torch.equal(predict(network, DATA)[0], predict(network, DATA)[0])
    assert [module.training for module in network] == [False, True, True]
    with pytest.raises(TypeError, match="with a length"):
        predict(network, iter([]))
    assert network.training


def test_spikes_and_sets_without_targets() -> None:
    spikes, targets = predict(model(), lb.data.SpikeDataset.from_events(DATA.batch(range(120))[0]))
    assert targets is None
    assert len(spikes) == 120


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        predict(model(), [])
