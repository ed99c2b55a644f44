"""Graphs of Lava's processes, written by hand, and what Lava computes with them. Runs in Lava's Python.

    python lava_graphs.py OUT [--saved FOLDER ...] [--netx FILE:BITS ...]

OUT/NAME.npz is what graph.py makes of each graph in `GRAPHS`, OUT/NAME.run.npz what Lava's fixed-point models compute,
as record.py writes it; OUT/refused.json what graph.py says to each in `REFUSED`. FOLDER/back.npz gets what it makes of
the processes that FOLDER/network.py builds, OUT/netx_FILE.npz what it makes of a file that Lava's NetX reader has read.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
from lava.magma.core.learning.learning_rule import LoihiLearningRule
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense, LearningDense
from lava.proc.io.reset import Reset
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF, LIFRefractory, LIFReset, TernaryLIF
from lava.proc.monitor.process import Monitor
from lava.proc.rf.process import RF
from lava.proc.rf_iz.process import RF_IZ
from lava.proc.sdn.process import ActivationMode, Delta, Sigma, SigmaDelta
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

FOLDER = Path(__file__).resolve().parents[3] / "src" / "lambent" / "hardware" / "loihi2" / "lava"
STEPS = 24


def module(path: Path) -> types.ModuleType:
    """A Python file by itself."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    made = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = made
    spec.loader.exec_module(made)
    return made


graph = module(FOLDER / "graph.py")
network = module(FOLDER / "network.py")

rng = np.random.default_rng(0)


def ints(low, high, *shape):
    """Random whole numbers, both ends included."""
    return rng.integers(low, high + 1, shape)


def source(*shape, high=1):
    """A source of random spikes, or of values up to +-`high`."""
    return Source(data=ints(0 if high == 1 else -high, high, *shape, STEPS))


def lif(*shape, **values):
    """Units that spike now and then."""
    return LIF(shape=shape, **{"du": 1500, "dv": 300, "vth": 90, **values})


def joined(first, *rest):
    """Connect processes, one after the other; returns all."""
    port = first.s_out
    for process in rest:
        target = process.s_in if hasattr(process, "s_in") else process.a_in
        (port if port.shape == target.shape else port.reshape(target.shape)).connect(target)
        port = process.a_out if hasattr(process, "a_out") else process.s_out
    return [first, *rest]


def dense(n_out, n_in, low=-90, high=120, **values):
    """All to all."""
    return Dense(weights=ints(low, high, n_out, n_in), **values)


# -- graphs that are understood: the units, from the input on ---------------------------------------------------------


def two_layers():
    """Exponents and fewer bits; a monitor and a sink beside."""
    first = dense(5, 6, weight_exp=1, num_weight_bits=6)
    _, _, one, _, two = joined(
        source(6), first, lif(5), dense(3, 5, num_weight_bits=7), lif(3, bias_mant=3, bias_exp=6)
    )
    Monitor().probe(one.v, STEPS)
    Monitor().probe(one.s_out, STEPS)
    two.s_out.connect(Sink(shape=(3,), buffer=STEPS).a_in)
    return [one, two]


def recurrent():
    """Delays on both ways, biases by unit."""
    units = lif(5, bias_mant=ints(-9, 9, 5) * 2, bias_exp=np.array([6, 7, 5, 6, 8]), vth=120)
    into = DelayDense(weights=ints(-90, 120, 5, 4), delays=ints(0, 9, 5, 4))
    own = DelayDense(weights=ints(-60, 40, 5, 5), delays=3, sign_mode=SignMode.MIXED)
    joined(source(4), into, units)
    joined(units, own)[1].a_out.connect(units.a_in)
    return [units]


def sums():
    """Several processes with synapses between the same units."""
    units, before = lif(4), source(6)
    for synapses in (
        dense(4, 6, 0, 255, sign_mode=SignMode.EXCITATORY, weight_exp=-1, num_weight_bits=7),
        dense(4, 6, -120, 0),
        Sparse(weights=csr_matrix(ints(-40, 40, 4, 6) * ints(0, 1, 4, 6))),
    ):
        before.s_out.connect(synapses.s_in)
        synapses.a_out.connect(units.a_in)
    return [units]


def convolution():
    """An image, groups, and the image flattened as it lies in Lava."""
    conv = Conv(weight=ints(-60, 90, 4, 3, 2, 1), input_shape=(6, 5, 2), stride=(1, 2), padding=(2, 1), groups=2)
    units, end = lif(*conv.output_shape), lif(3)
    joined(source(6, 5, 2), conv, units)
    last = dense(3, units.s_out.size)
    units.s_out.flatten().connect(last.s_in)
    last.a_out.connect(end.a_in)
    return [units, end]


def transposed():
    """The image is turned before it is flattened."""
    conv = Conv(weight=ints(-60, 90, 2, 2, 3, 2), input_shape=(5, 6, 2), dilation=(2, 1))
    units, end = lif(*conv.output_shape, bias_mant=ints(-4, 4, *conv.output_shape), bias_exp=6), lif(3)
    joined(source(5, 6, 2), conv, units)
    last = dense(3, units.s_out.size)
    units.s_out.transpose((1, 2, 0)).flatten().connect(last.s_in)
    last.a_out.connect(end.a_in)
    return [units, end]


def image_of_dense():
    """Units behind a Dense may lie in an image, too."""
    units, end, first = lif(3, 2, 2, vth=ints(50, 120, 3, 2, 2)), lif(3), dense(12, 4)
    source(4).s_out.connect(first.s_in)
    first.a_out.reshape((2, 3, 2)).transpose((1, 0, 2)).connect(units.a_in)
    last = dense(3, 12)
    units.s_out.flatten().connect(last.s_in)
    last.a_out.connect(end.a_in)
    own = dense(12, 12, -30, 30)
    units.s_out.transpose().flatten().connect(own.s_in)
    own.a_out.reshape((3, 2, 2)).connect(units.a_in)
    return [units, end]


def sigma_delta():
    """Graded spikes from the input to the sums at the end."""
    exps = {"spike_exp": 6, "state_exp": 6}
    first, second = Delta(shape=(4,), vth=3, **exps), SigmaDelta(shape=(5,), vth=9, bias=ints(-40, 40, 5), **exps)
    last, bits = Sigma(shape=(3,)), {"num_message_bits": 24}
    joined(source(4, high=30), first, dense(5, 4, **bits), second, Sparse(weights=ints(-9, 9, 3, 5), **bits), last)
    return [first, second, last]


def graded_input():
    """Values from a source."""
    return [joined(source(4, high=12), dense(3, 4, num_message_bits=8), lif(3, vth=700))[2]]


def resonators():
    """Complex weights."""
    units = RF(shape=(4,), period=7, alpha=0.05, state_exp=6, decay_bits=12, vth=2)
    before = source(5)
    for port in (units.a_real_in, units.a_imag_in):
        synapses = dense(4, 5)
        before.s_out.connect(synapses.s_in)
        synapses.a_out.connect(port)
    return [units, joined(units, dense(2, 4), lif(2))[2]]


def resonators_of_images():
    """Real weights only."""
    conv = Conv(weight=ints(-60, 90, 2, 2, 2, 1), input_shape=(4, 3, 1))
    units = RF_IZ(shape=conv.output_shape, period=9, alpha=0.03, state_exp=6, decay_bits=12, vth=80)
    source(4, 3, 1).s_out.connect(conv.s_in)
    conv.a_out.connect(units.a_real_in)
    return [units]


def sparse_delays():
    """Synapses that are not there have no delay."""
    there = ints(0, 1, 4, 6)
    into = DelaySparse(weights=csr_matrix(ints(-90, 120, 4, 6) * there), delays=csr_matrix(ints(0, 9, 4, 6) * there))
    return [joined(source(6), into, lif(4))[2]]


def turned_input():
    """The image that goes into the convolution counts, not the shape of its source."""
    conv, before = Conv(weight=ints(-60, 90, 2, 2, 3, 2), input_shape=(5, 4, 2)), source(4, 5, 2)
    units = lif(*conv.output_shape)
    before.s_out.transpose((1, 0, 2)).connect(conv.s_in)
    conv.a_out.connect(units.a_in)
    return [units]


def driven():
    """Numbers go into the first units."""
    first = lif(2, 3, 2, du=4095, bias_mant=5, bias_exp=7)
    last = dense(3, 12)
    source(2, 3, 2, high=90).s_out.connect(first.a_in)
    first.s_out.flatten().connect(last.s_in)
    return [first, joined_behind(last, lif(3))]


def joined_behind(synapses, units):
    """Units behind synapses; returns the units."""
    synapses.a_out.connect(units.a_in)
    return units


GRAPHS = [
    two_layers, recurrent, sums, convolution, transposed, image_of_dense, sigma_delta, graded_input, resonators,
    resonators_of_images, sparse_delays, turned_input, driven,
]  # fmt: skip


# -- graphs that are refused, and the end of the message --------------------------------------------------------------


def before(units, synapses=None):
    """Units behind a source and synapses."""
    n = units.a_in.size
    return joined(source(n), synapses or dense(n, n), units)


def branch():
    first = before(lif(2))[2]
    joined(first, dense(2, 2), lif(2, name="left"))
    return joined(first, dense(3, 2), lif(3, name="right"))


def skip():
    first = before(lif(2, name="first"))
    second = joined(first[2], dense(2, 2), lif(2, name="second"))[2]
    joined(first[0], dense(2, 2))[1].a_out.connect(second.a_in)
    return second


def two_inputs():
    units = before(lif(2))[2]
    joined(source(2), dense(2, 2))[1].a_out.connect(units.a_in)
    return units


def concatenated():
    units, last = before(lif(2))[2], dense(2, 4)
    units.s_out.concat_with([source(2).s_out], axis=0).connect(last.s_in)
    return units


def reset():
    units = before(lif(2, name="units"))[2]
    Reset(interval=4).connect_var(units.v)
    return units


def loop():
    first, second = lif(2, name="one"), lif(2, name="two")
    joined(first, dense(2, 2), second)
    return joined(second, dense(2, 2), first)


def behind_dense():
    return joined(before(lif(3, 2, 1))[2], Conv(weight=ints(0, 9, 1, 2, 2, 1), input_shape=(3, 2, 1)), lif(2, 1, 1))


def conv_and(other):
    conv, units, before = Conv(weight=ints(0, 9, 1, 2, 2, 1), input_shape=(3, 2, 1)), lif(2, 1, 1), source(3, 2, 1)
    joined(before, conv, units)
    joined(before, other, units)
    return units


def turned_output():
    conv, units = Conv(weight=ints(0, 9, 1, 2, 1, 1), input_shape=(3, 2, 1)), lif(2, 2, 1)
    source(3, 2, 1).s_out.connect(conv.s_in)
    conv.a_out.transpose((1, 0, 2)).connect(units.a_in)
    return units


def turned_between():
    one, two = (Conv(weight=ints(0, 9, 1, 1, 1, 1), input_shape=(2, 2, 1)) for _ in range(2))
    units, last = lif(2, 2, 1), lif(2, 2, 1)
    joined(source(2, 2, 1), one, units)
    units.s_out.transpose((1, 0, 2)).connect(two.s_in)
    return joined_behind(two, last)


def own_synapses(units, synapses):
    joined(units, synapses)[1].a_out.connect(getattr(units, "a_in", None) or units.a_real_in)
    return units


def rf(**values):
    units = RF(shape=(2,), period=7, alpha=0.05, **{"state_exp": 6, "decay_bits": 12, **values})
    return joined(source(2), dense(2, 2))[1].a_out.connect(units.a_real_in) or units


def sigma_delta_units(**values):
    return SigmaDelta(shape=(2,), **{"vth": 1, "spike_exp": 6, "state_exp": 6, **values})


def graded_into_plain():
    return joined(before(sigma_delta_units())[2], dense(2, 2, name="plain"), lif(2))


def learning():
    rule = LoihiLearningRule(dw="x0*y0", x1_impulse=16, x1_tau=10, y1_impulse=16, y1_tau=10)
    return before(lif(2), LearningDense(weights=ints(0, 9, 2, 2), learning_rule=rule))


def odd_delays():
    units, first = lif(2), source(2)
    for delay in (1, 2):
        joined(first, DelayDense(weights=ints(1, 9, 2, 2), delays=delay))[1].a_out.connect(units.a_in)
    return units


def delayed(delay, **values):
    return before(lif(2), DelayDense(weights=ints(1, 9, 2, 2), delays=np.full((2, 2), delay), **values))


def biased(**values):
    return joined(source(2), lif(2, **values))


MIXED = np.array([[3, -4], [5, 6]])

REFUSED = {
    "LIFReset": lambda: before(LIFReset(shape=(2,), reset_interval=4)),
    "LIFRefractory": lambda: before(LIFRefractory(shape=(2,), refractory_period=4)),
    "TernaryLIF": lambda: before(TernaryLIF(shape=(2,))),
    "learning": learning,
    "branch": branch,
    "skip": skip,
    "two_inputs": two_inputs,
    "concatenated": concatenated,
    "reset": reset,
    "loop": loop,
    "behind_dense": behind_dense,
    "two_convolutions": lambda: conv_and(Conv(weight=ints(0, 9, 1, 2, 2, 1), input_shape=(3, 2, 1))),
    "convolution_and_dense": lambda: conv_and(dense(2, 6)),
    "turned_output": turned_output,
    "turned_between": turned_between,
    "conv_exponent": lambda: joined(
        source(2, 1, 1), Conv(weight=ints(0, 9, 1, 1, 1, 1), input_shape=(2, 1, 1), weight_exp=1), lif(2, 1, 1)
    ),
    "recurrent_resonators": lambda: own_synapses(rf(), dense(2, 2)),
    "no_units": lambda: joined(source(2), dense(2, 2)),
    "no_units_behind": lambda: joined(before(lif(2))[2], dense(2, 2, name="loose")),
    "no_synapses": lambda: joined(before(lif(2, name="first"))[2], lif(2)),
    "no_units_between": lambda: joined(source(2), dense(2, 2), dense(2, 2), lif(2)),
    "sigma_delta_first": lambda: joined(source(2), sigma_delta_units()),
    "delta_behind": lambda: before(Delta(shape=(2,), vth=1, spike_exp=6, state_exp=6)),
    "resonators_first": lambda: RF(shape=(2,), period=7, alpha=0.05),
    "fractions": lambda: before(lif(2), Dense(weights=0.5 * MIXED)),
    "floating_point": lambda: before(lif(2, du=0.1)),
    "high_threshold": lambda: before(lif(2, vth=1 << 18)),
    "wide_weights": lambda: before(lif(2), dense(2, 2, 200, 200, weight_exp=1)),
    "rounded_sums": lambda: before(lif(2), Dense(weights=2 * MIXED, weight_exp=-2)),
    "many_bits": lambda: before(lif(2), dense(2, 2, 1, 9, num_weight_bits=9)),
    "not_at_rest": lambda: before(lif(2, v=3)),
    "small_bias": lambda: before(lif(2, bias_mant=3, bias_exp=5)),
    "large_bias": lambda: before(lif(2, bias_mant=300, bias_exp=16)),
    "activation": lambda: before(sigma_delta_units(act_mode=ActivationMode.UNIT)),
    "cumulative": lambda: before(sigma_delta_units(cum_error=True)),
    "state_exp": lambda: before(sigma_delta_units(state_exp=5)),
    "spike_exp": lambda: before(sigma_delta_units(spike_exp=5)),
    "decay_bits": lambda: rf(decay_bits=11),
    "threshold_between": lambda: rf(vth=1.5),
    "graded_into_plain": graded_into_plain,
    "odd_delays": odd_delays,
    "long_delay": lambda: delayed(63),
    "lost_delay": lambda: delayed(5, max_delay=4),
    "biases_of_the_input": lambda: biased(du=4095, bias_mant=np.array([1, 2]), bias_exp=6),
    "bias_of_the_input": lambda: biased(bias_mant=1, bias_exp=6),
    "no_process": lambda: 3,
    "no_processes": lambda: [3],
}
"""Graphs that lambent has no network for."""


# -- what is done with them -------------------------------------------------------------------------------------------


def run(units):
    """What went in, and what all units did: spikes and states in lambent's order."""
    start = next(p for p in graph._everything(units) if type(p).__name__ == "RingBuffer" and not list(p.in_ports))
    data = start.data.init
    if list(start.s_out.out_connections[0].shape) != list(start.s_out.shape):  # transposed before it goes in
        data = data.transpose(1, 0, 2, 3)
    recorded = {"spikes": network.from_lava_order(np.moveaxis(data, -1, 0), data.shape[:-1])}
    monitors = []
    for i, own in enumerate(units):
        u, v = network.STATES[type(own)]
        for name, variable in (("s", "s_out"), ("u", u), ("v", v)):
            monitors.append((f"{name}_{i}", Monitor(), own, variable))
            monitors[-1][1].probe(getattr(own, variable), STEPS)
    units[0].run(condition=RunSteps(num_steps=STEPS), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    for name, monitor, own, variable in monitors:
        found = np.asarray(monitor.get_data()[own.name][variable])
        recorded[name] = network.from_lava_order(found, own.s_out.shape)
    units[0].stop()
    return {name: x.astype(np.int32) for name, x in recorded.items()}


def refusal(make):
    """What graph.py says to a graph."""
    try:
        graph.values_of(make())
    except ValueError as error:
        return str(error)
    return "taken"


def read_netx(path, bits):
    """Lava's NetX network; its reader imports two modules that need torch, which others may stand in for."""
    try:
        importlib.import_module("torch")
    except ImportError:
        folder = Path(importlib.util.find_spec("lava.lib.dl").submodule_search_locations[0])
        for name in ("netx", "slayer", "slayer.neuron", "slayer.neuron.rf"):
            sys.modules.setdefault(f"lava.lib.dl.{name}", types.ModuleType(f"lava.lib.dl.{name}"))
        sys.modules["lava.lib.dl.netx"].__path__ = [str(folder / "netx")]
        sys.modules["lava.lib.dl.slayer.neuron.rf"].neuron_params = resonator_parameters
    reader = importlib.import_module("lava.lib.dl.netx.hdf5")
    return reader.Network(net_config=str(path), input_message_bits=bits)


def resonator_parameters(parameters):
    """lava.lib.dl.slayer.neuron.rf.neuron_params."""
    sin, cos = parameters["sinDecay"] / 4096, parameters["cosDecay"] / 4096
    return {"period": 2 * np.pi / np.arctan2(sin, cos), "decay": 1 - np.sqrt(sin**2 + cos**2)}


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--saved", type=Path, nargs="*", default=[])
    parser.add_argument("--netx", nargs="*", default=[])
    args = parser.parse_args()
    for make in GRAPHS:
        units = make()
        np.savez_compressed(args.out / f"{make.__name__}.npz", **graph.values_of(units[-1]))
        np.savez_compressed(args.out / f"{make.__name__}.run.npz", **run(units))
    (args.out / "refused.json").write_text(json.dumps({name: refusal(make) for name, make in REFUSED.items()}))
    for folder in args.saved:
        saved = network.Network(network.arrays(folder / "network.npz"))
        shape = saved.in_shape if len(saved.in_shape) == 1 else saved.in_shape[::-1]
        units, _ = network.build(saved, Source(data=np.zeros((*shape, 1), int)).s_out)
        np.savez_compressed(folder / "back.npz", **graph.values_of(units))
    for argument in args.netx:
        name, _, bits = argument.rpartition(":")
        path = Path(name)
        np.savez_compressed(args.out / f"netx_{path.stem}.npz", **graph.values_of(read_netx(path, int(bits))))


if __name__ == "__main__":
    main()
