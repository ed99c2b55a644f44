"""What `torch.func`, forward mode and second derivatives give: what is right, or an error, never zeros."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jvp, vmap

import lambent as lb


def events(units: int = 6) -> lb.Events:
    g = torch.Generator().manual_seed(3)
    return lb.Events.from_dense((torch.rand(3, 40, units, generator=g) < 0.3).int(), 1.0)


def in_forward_mode(f, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(x, torch.ones_like(x)))).tangent


WAYS = {
    "jvp": lambda f, x: jvp(f, (x,), (torch.ones_like(x),)),
    "forward mode": in_forward_mode,
    "grad": lambda f, x: grad(f)(x),
    "hessian": lambda f, x: hessian(f)(x),
    "vmap": lambda f, x: vmap(f)(torch.stack([x, x])),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dt", [1.0, None])
@pytest.mark.parametrize("trained", [True, False])
def test_layers_and_voltages_say_that_they_cannot(way, dt, trained):
    layers = {"spikes": lb.LIF(6, 5, recurrent=True, dt=dt), "max": lb.LIReadout(6, 5, dt=dt, reduce="max")}
    if dt is not None:
        layers["none"] = lb.LIReadout(6, 5, dt=dt, reduce="none")
    x = events()

    def total(out):
        return out.times.sum() + out.counts().sum() if isinstance(out, lb.Events) else out.sum()

    for layer in layers.values():
        layer.requires_grad_(trained)
        for name in ("weight", "tau_mem"):
            value = getattr(layer, name).detach()
            with pytest.raises(NotImplementedError, match="go backwards only"):
                WAYS[way](lambda v, layer=layer, name=name: total(functional_call(layer, {name: v}, (x,))), value)

        def moved(times, layer=layer):
            return total(layer(lb.Events(times, x.units, x.offsets, 6, 40.0, check=False)))

        with pytest.raises(NotImplementedError, match="go backwards only"):
            WAYS[way](moved, x.times)


@pytest.mark.parametrize("reduce", ["mean", "exp_mean", "last"])
@pytest.mark.parametrize("dt", [1.0, None])
def test_linear_readouts_are_plain_torch(dt, reduce):
    """Their derivatives, also second ones with respect to weights, are those of a backward pass."""
    layer, x = lb.LIReadout(6, 4, dt=dt, reduce=reduce).double(), events().to(torch.float64)

    def of_weight(w):
        return functional_call(layer, {"weight": w}, (x,)).pow(2).sum()

    def of_tau(tau):
        return functional_call(layer, {"tau_mem": tau}, (x,)).pow(2).sum()

    def of_times(times):
        return layer(lb.Events(times, x.units, x.offsets, 6, 40.0, check=False)).pow(2).sum()

    for f, value in ((of_weight, layer.weight), (of_tau, layer.tau_mem), (of_times, x.times)):
        leaf = value.detach().clone().requires_grad_()
        (backward,) = torch.autograd.grad(f(leaf), leaf)
        way = torch.cos(torch.arange(leaf.numel(), dtype=torch.float64)).view_as(leaf)
        _, forward = jvp(f, (leaf.detach(),), (way,))
        assert torch.allclose(forward, (backward * way).sum(), rtol=1e-6)
        assert torch.allclose(grad(f)(leaf.detach()), backward, rtol=1e-6)
    batched = vmap(of_weight)(torch.stack([layer.weight.detach(), 2 * layer.weight.detach()]))
    assert torch.allclose(batched[1], 4 * batched[0])
    assert torch.autograd.gradgradcheck(of_weight, layer.weight)


@pytest.mark.parametrize("dt", [1.0, None])
def test_there_are_no_second_derivatives_of_spikes(dt):
    layer = lb.LIF(6, 5, dt=dt)
    (first,) = torch.autograd.grad(layer(events()).times.sum(), layer.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        first.pow(2).sum().backward()


def test_transforms_around_a_layer_do_not_disturb_it():
    """Of a head alone, for one, with the layer's spikes as data."""
    layer, head = lb.LIF(6, 5), torch.nn.Linear(5, 2)
    layer.requires_grad_(False)
    x = events()
    loss = grad(lambda w: functional_call(head, {"weight": w}, (layer(x).counts(),)).sum())
    assert torch.equal(loss(head.weight.detach()), layer(x).counts().sum(0).expand(2, 5))
