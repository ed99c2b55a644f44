"""Time of a training step with a neuron that is a user's text, against LIF, on the packaged words.

Networks alike but for the neuron, 140-256(recurrent)-10, a batch of 32 words at steps of 1 ms, calibrated to the same
activity; forward, backward and Adam. Rounds go through all of them in turn, so that other work on the machine hits all.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

import lambent as lb
from _common import arguments, show
from lambent.neurons import AdaptiveLIF, AdLIF, Equations, Neuron, RefractoryLIF, Resonator

SYNAPSE = "di/dt = -i / tau_syn;"
TIMES = {"tau_mem": 20.0, "tau_syn": 5.0, "theta": 1.0}
LEVEL: dict[str, Any] = {"spike": "v > theta", "input": "i", **TIMES}
NEURONS: dict[str, Neuron] = {
    "LIF": lb.neurons.LIF(),
    "equations: LIF": Equations(f"{SYNAPSE} dv/dt = (i - v) / tau_mem", reset="v = 0", **LEVEL),
    "AdaptiveLIF": AdaptiveLIF(),
    "equations: AdaptiveLIF": Equations(
        f"{SYNAPSE} dv/dt = (i - v) / tau_mem; dh/dt = -h / tau_adapt", reset="v = 0; h += 1",
        **LEVEL | {"spike": "v > theta + beta * h"}, beta=0.5, tau_adapt=100.0,
    ),
    "AdLIF": AdLIF(),
    "equations: AdLIF": Equations(
        f"{SYNAPSE} dv/dt = (i - v - w) / tau_mem; dw/dt = (a * v - w) / tau_adapt", reset="v = 0; w += b",
        **LEVEL, a=0.5, b=0.5, tau_adapt=100.0,
    ),
    "Resonator": Resonator(),
    "RefractoryLIF": RefractoryLIF(),
    "equations: quadratic": Equations(f"{SYNAPSE} dv/dt = (i - v + v ** 2 / 2) / tau_mem", reset="v = 0", **LEVEL),
    "equations: exponential": Equations(
        f"{SYNAPSE} dv/dt = (i - v + sharp * exp((v - 0.8) / sharp)) / tau_mem", reset="v = 0", **LEVEL, sharp=0.2
    ),
}  # fmt: skip


def training_step(neuron: Neuron, size: int) -> Any:
    """A function that takes one step of training, and the model."""
    train, _ = lb.data.keywords()
    events, labels = train.batch(range(32))
    torch.manual_seed(0)
    dense = lb.connections.Dense
    layer = lb.Spiking(neuron, dense(train.n_units, size), dense(size, size), dt=1.0)
    model = torch.nn.Sequential(layer, lb.LIReadout(size, 10, scale=30, dt=1.0))
    lb.calibrate(model, events, 10.0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        lb.losses.readout_cross_entropy(model(events), labels).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    neurons = {name: NEURONS[name] for name in (["LIF", "equations: LIF"] if args.smoke else NEURONS)}
    steps = {name: training_step(neuron, 16 if args.smoke else 256) for name, neuron in neurons.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()  # which compiles
    for _ in range(1 if args.smoke else args.rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    rows = []
    for name, taken in times.items():
        fastest, middle = min(taken), statistics.median(taken)
        against = {"fastest": fastest / min(times["LIF"]), "median": middle / statistics.median(times["LIF"])}
        rows.append({"neuron": name, "ms": 1e3 * fastest, "median ms": 1e3 * middle}
                    | {f"of LIF's {what}": x for what, x in against.items()})  # fmt: skip
    show("own_neuron", rows)


if __name__ == "__main__":
    main()
