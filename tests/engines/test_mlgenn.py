"""Spikes and gradients against what mlGeNN 2.4 recorded (`recordings`).

Traits of the recordings (found by comparing, partly named in their README): the last of T steps is not recorded, and
events that arrive in it are lost to the example but left in the synapses, where they decay into the next one; units
that spike in the last step have empty rows and columns of gradients. With delays
the leftovers also sit in delay buffers in an order not known, so only the first example can be compared.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import lambent as lb
from lambent.neurons.response import membrane_response

RECORDINGS = Path(__file__).parent / "recordings"
CASES = [
    *((name, n) for name in ("avg_rec", "exp_rec") for n in range(5)),
    *(("shd_small", n) for n in range(1)),
    ("exp_delay", 0),
]


def cosine(a, b):
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize(("name", "n"), CASES)
def test_recorded_example(name, n):
    with np.load(RECORDINGS / f"{name}.npz") as z:
        z = dict(z)
    dt, tau_m, tau_s = (float(z[k]) for k in ("dt", "tau_m", "tau_s"))
    am, as_ = np.exp(-dt / tau_m), np.exp(-dt / tau_s)
    gain = tau_s * (am - as_) / (tau_m - tau_s)
    rescale = (1 - am) * (tau_s / dt) * (1 - as_) / gain  # mlGeNN's gain / ours
    (n_in, size), steps, n_out = z["W_in"].shape, z["sins"].shape[1], z["W_out"].shape[1]

    # what the example before left in the synapses, one decay old, comes from an extra input in a step put before
    left_hidden, left_out = np.zeros(size), np.zeros(n_out)
    if n:
        last_input, last_spikes = z["sins"][n - 1][-2].astype(float), z["S"][n - 1][-2].astype(float)
        left_hidden = as_ * (last_input @ z["W_in"] + last_spikes @ z["W_rec"])
        left_out = as_ * (last_spikes @ z["W_out"])
    counts = np.zeros((1, steps + 1, n_in + 1), int)
    counts[0, 0, n_in] = 1
    counts[0, 1:, :n_in] = z["sins"][n]

    def tensor(x):
        return torch.tensor(x, dtype=torch.float64)

    delay = tensor(np.vstack([z["D_in"] * dt, np.zeros(size)])) if "D_in" in z else None
    hidden = lb.LIF(
        n_in + 1, size, recurrent=True, tau_mem=tau_m, tau_syn=tau_s, threshold=float(z["th"]), delay=delay, dt=dt
    )
    readout = lb.LIReadout(size, n_out, tau_mem=tau_m, tau_syn=tau_s, reduce="none", dt=dt)
    hidden, readout = hidden.double(), readout.double()
    hidden.weight.data = tensor(np.vstack([z["W_in"], left_hidden])) * rescale
    hidden.recurrent_weight.data = tensor(z["W_rec"]) * rescale
    readout.weight.data = tensor(z["W_out"]) * rescale

    spikes = hidden(lb.Events.from_dense(torch.tensor(counts), dt, torch.float64))
    assert np.array_equal(spikes.to_dense(dt)[0, 1:-1], z["S"][n][:-1])

    lag = torch.arange(steps, dtype=torch.float64)
    voltage = readout(spikes)[0, 1:] + tensor(left_out * rescale) * membrane_response(
        (lag[:, None] + 1) * dt, tensor(tau_m), tensor(tau_s)
    )
    weight = torch.exp(-lag / steps) if str(z["readout"]) == "exp" else torch.ones_like(lag)
    y = (weight[:, None] * voltage).mean(0)
    assert np.abs(y.detach().numpy() - z["y"][n]).max() < 2e-3 * np.abs(z["y"][n]).max()

    F.cross_entropy(y[None], torch.tensor(z["labels"][n : n + 1])).backward()
    kept = np.abs(z["dW_in"][n]).sum(0) > 0  # not the units that spike in the last step
    assert cosine(readout.weight.grad.numpy()[kept], z["dW_out"][n][kept]) >= 0.999
    assert cosine(hidden.weight.grad.numpy()[:n_in, kept], z["dW_in"][n][:, kept]) >= 0.99
    recurrent = hidden.recurrent_weight.grad.numpy()[kept][:, kept]
    assert cosine(recurrent, z["dW_rec"][n][kept][:, kept]) >= 0.99
    if delay is not None:
        assert cosine(hidden.delay.grad.numpy()[:n_in, kept], z["dD_in"][n][:, kept]) >= 0.99
