"""Sparse connections in the two forms that kernels get."""

from __future__ import annotations

import pytest
import torch

import lambent as lb


@pytest.mark.parametrize("density", [0.1, 0.6])
def test_the_form_that_kernels_get_changes_no_result(monkeypatch, density):
    """Dense with zeros where that is faster, else entry by entry; also where a pair is connected twice."""
    g = torch.Generator().manual_seed(0)
    indices = torch.stack([torch.randint(n, (int(600 * density),), generator=g) for n in (30, 20)])
    events = lb.Events.from_dense((torch.rand(3, 40, 30, generator=g) < 0.1).int(), 1.0, torch.float64)
    results = []
    for largest, form in ((0, "Sparse"), (2**24, "Dense")):
        monkeypatch.setattr("lambent.connections.sparse._LARGEST", largest)
        weight = torch.linspace(-1, 9, indices.shape[1], dtype=torch.float64) * 0.1 / density
        layer = lb.Spiking(lb.neurons.LIF(), lb.connections.Sparse(30, 20, indices=indices, weight=weight)).double()
        assert type(layer.connections.in_kernels()).__name__ == form
        out = layer(events)
        ((out.counts() ** 2).sum() + torch.sin(out.times).sum()).backward()
        results.append((out.times, out.units, layer.weight.grad))
    assert len(results[0][0]) > 50
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b)


def test_a_density_is_a_number():
    with pytest.raises(TypeError, match=r"density must be a number, got '0.1'"):
        lb.connections.Sparse(3, 2, density="0.1")
