"""Deep R: sparse connections that training moves to where they are of use, at a constant number of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lambent.connections.sparse import Sparse
from lambent.layers.layer import Layer


class Rewiring:
    """Rewires the sparse connections of a model while it is trained (Deep R, Bellec et al. 2018, arXiv:1711.05136).

    A connection keeps the sign that it begins with. After each step of the optimiser all weights are pulled towards 0
    (L1); one that has changed its sign is taken away, and in its place a new one is made between two random units that
    are not connected, of random sign, of weight 0, with the delay of another connection and with fresh moments in the
    optimiser. Connections stay sorted by source, and as many as they were.

    There is no state but the weights, in which -0.0 and 0.0 are two: a model and an optimiser that are loaded go on as
    if they had never been saved.

    Args:
        model: with sparse connections (`lambent.connections.Sparse`), as inputs or recurrent ones of its layers.
        optimizer: of these.
        l1: how hard the pull is, as a part of the learning rate in each step.

    Raises:
        ValueError: no layer has sparse connections that are trained, or `l1` is negative or not finite.

    Example:
        >>> layer = lb.Spiking(lb.neurons.LIF(), lb.connections.Sparse(30, 20, density=0.1))
        >>> model = torch.nn.Sequential(layer, lb.LIReadout(20, 3, scale=30))
        >>> optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        >>> rewiring = lb.Rewiring(model, optimizer)
        >>> events = lb.Events.from_dense(torch.rand(8, 50, 30) < 0.1, 1.0, batch_first=True)
        >>> torch.nn.functional.cross_entropy(model(events), torch.arange(8) % 3).backward()
        >>> moved = rewiring.step()  # in place of optimizer.step(): how many connections
        >>> layer.weight.shape
        torch.Size([60])
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, l1: float = 0.02) -> None:
        if not 0 <= l1 < float("inf"):
            raise ValueError(f"l1 must be a number from 0 on, got {l1}")
        self.optimizer, self.l1 = optimizer, l1
        rates = self._rates()
        self._sides = [side for side in _sparse_sides(model) if side.weight in rates]
        if not self._sides:
            raise ValueError("no layer of the model has sparse connections whose weights the optimiser trains")

    @torch.no_grad()
    def step(self, generator: torch.Generator | None = None) -> int:
        """A step of the optimiser, the pull, and then the rewiring. Returns how many connections were moved.

        Args:
            generator: of the new places, on the CPU; torch's own where left out.
        """
        negative, rates = [torch.signbit(side.weight) for side in self._sides], self._rates()
        with torch.enable_grad():  # which optimisers decide for themselves
            self.optimizer.step()
        moved = 0
        for side, signs in zip(self._sides, negative, strict=True):
            pull = rates[side.weight] * self.l1
            side.weight.sub_(torch.where(signs, -pull, pull))
            moved += side.move(torch.signbit(side.weight) != signs, self.optimizer, generator)
        return moved

    def _rates(self) -> dict[Tensor, float]:
        """The learning rate of each parameter."""
        return {p: float(group["lr"]) for group in self.optimizer.param_groups for p in group["params"]}


class _Side:
    """Sparse connections of a layer, its inputs' or its own."""

    def __init__(self, layer: Layer, prefix: str, connections: Sparse) -> None:
        self.weight: nn.Parameter = getattr(layer, f"{prefix}weight")
        self.delay: nn.Parameter | None = getattr(layer, f"{prefix}delay")
        self.indices: Tensor = getattr(layer, f"{prefix}indices")
        self.n_in, self.n_out = connections.n_in, connections.n_out

    def move(self, gone: Tensor, optimizer: torch.optim.Optimizer, generator: torch.Generator | None) -> int:
        """Put the connections that are `gone` elsewhere; returns how many these are."""
        n, device = int(gone.sum()), gone.device
        if not n:
            return 0
        place = self.indices[0] * self.n_out + self.indices[1]
        place[gone] = _free_places(place[~gone], self.n_in * self.n_out, n, generator)
        self.weight[gone] = torch.where(torch.rand(n, generator=generator) < 0.5, -0.0, 0.0).to(self.weight)
        if self.delay is not None:
            others = torch.randint(len(place), (n,), generator=generator).to(device)
            self.delay[gone] = self.delay[others]
        order = place.argsort()
        self.indices.copy_(torch.stack([place // self.n_out, place % self.n_out])[:, order])
        for parameter in (self.weight, self.delay):
            if parameter is None:
                continue
            parameter.copy_(parameter[order])
            for value in optimizer.state.get(parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    value[gone] = 0
                    value.copy_(value[order])
        return n


def _sparse_sides(model: nn.Module) -> Iterator[_Side]:
    for layer in model.modules():
        if not isinstance(layer, Layer):
            continue
        for prefix, connections in (("", layer._connections), ("recurrent_", layer._recurrent)):
            if isinstance(connections, Sparse):
                yield _Side(layer, prefix, connections)


def _free_places(taken: Tensor, total: int, n: int, generator: torch.Generator | None) -> Tensor:
    """`n` different places below `total` that are not among `taken`, at random."""
    if 2 * len(taken) > total:
        free = torch.ones(total, dtype=torch.bool).index_fill_(0, taken.cpu(), False).nonzero().flatten()
        return free[torch.randperm(len(free), generator=generator)[:n]].to(taken.device)
    found: dict[int, Any] = {}
    while len(found) < n:
        drawn = torch.randint(total, (2 * n,), generator=generator)
        found |= dict.fromkeys(drawn[~torch.isin(drawn, taken.cpu())].tolist())
    return torch.tensor(list(found)[:n], device=taken.device)
