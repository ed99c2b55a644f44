"""What a network on the chip is worth as a float model, from its conversion or from its file: bit for bit the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lambent as lb
from lambent.hardware.loihi2 import load_netx, save_netx
from lambent.hardware.loihi2.convert import convert
from lambent.hardware.loihi2.quantised import with_values_of


def build(seed: int, gain: float = 0.0, recurrent: bool = True, readout: bool = True, dt: float = 1.0):
    torch.manual_seed(seed)
    sizes = (12, 9, 7)
    layers: list[torch.nn.Module] = [
        lb.LIF(
            n_in, n_out, recurrent=recurrent, tau_mem=8 + 20 * torch.rand(n_out), tau_syn=3 + 5 * torch.rand(n_out),
            threshold=0.3 + torch.rand(n_out), delay=torch.rand(n_in, n_out) * 5 if n_in == 12 else None, dt=dt,
        )
        for n_in, n_out in pairwise(sizes)
    ]  # fmt: skip
    with torch.no_grad():
        layers[0].weight.mul_(10**gain)
    if readout:
        layers.append(lb.LIReadout(7, 3, tau_mem=15 + 10 * torch.rand(3), dt=dt))
    return torch.nn.Sequential(*layers), lb.Events.from_dense(torch.rand(4, 60, 12) < 0.1, dt)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 8), st.floats(-3, 5), st.booleans(), st.booleans(), st.booleans())
def test_a_file_says_as_much_as_its_conversion(tmp_path_factory, seed, bits, gain, recurrent, readout, calibrated):
    model, events = build(seed, gain, recurrent, readout, dt=0.5 if seed % 2 else 1.0)
    conversion = convert(model, bits, events if calibrated else None)
    path = tmp_path_factory.mktemp("netx") / "a.net"
    save_netx(conversion.network, path)
    wanted, got = conversion.quantised(), with_values_of(list(model), load_netx(path))
    for (name, a), (_, b) in zip(wanted.state_dict().items(), got.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_other_networks_are_refused():
    model, _ = build(0)
    network = convert(model).network
    with pytest.raises(ValueError, match="is not the network of this model"):
        with_values_of(list(model)[:-1], network)
    headless = convert(torch.nn.Sequential(*list(model)[:-1], lb.LIF(7, 3))).network
    with pytest.raises(ValueError, match="no readout of voltages"):
        with_values_of(list(model), headless)
