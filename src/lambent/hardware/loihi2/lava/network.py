"""A network for Loihi 2, built from the processes of Intel's Lava. Needs lava-nc 0.10 (Python 3.10) and nothing else.

    python network.py INPUT.npz OUT.npz [--hardware]
    python network.py --check                   does it compute here what example.npz says? kept in verified.json

INPUT.npz holds `spikes`, whole numbers (n_in, steps), or (samples, n_in, steps): each sample starts from rest. OUT.npz
gets, for each layer i, `s_i` what it sent and its states `u_i`, `v_i`, (n_i, steps), or (samples, n_i, steps); column t
is the state after time step t + 1. u and v are current and voltage (after the reset) of LIF units, sigma and
activation of sigma-delta units, real and imaginary part of resonate-and-fire units. `scores` are those of the classes.

The network is in network.npz beside this file, a few arrays for each layer; `Network` reads it. Whoever wants it in a
program of their own takes `build`. Units of images are numbered by channel, height and width in the files, and lie by
width, height and channel in Lava.
"""

import argparse
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

try:
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.conv.process import Conv
    from lava.proc.conv.utils import conv_to_sparse
    from lava.proc.dense.process import DelayDense, Dense
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.lif.process import LIF, LIFReset
    from lava.proc.monitor.process import Monitor
    from lava.proc.rf.process import RF
    from lava.proc.rf_iz.process import RF_IZ
    from lava.proc.sdn.process import Delta, Sigma, SigmaDelta
    from lava.proc.sparse.process import DelaySparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix
except ModuleNotFoundError as error:
    if __name__ != "__main__":
        raise
    sys.exit(
        f"needs Lava: Python 3.10 with `pip install lava-nc==0.10.0`; this is {sys.version.split()[0]}, and {error}"
    )


STATES = {
    LIF: ("u", "v"),
    LIFReset: ("u", "v"),
    SigmaDelta: ("sigma", "act"),
    Sigma: ("sigma", "sigma"),
    Delta: ("act", "act"),
    RF: ("real", "imag"),
    RF_IZ: ("real", "imag"),
}
STATE_EXP = 6  # states have 6 bits more than what arrives


class Layer:
    """The values of one layer, as attributes: kind, units, shape, weight and so on."""

    def __init__(self, values):
        self.__dict__.update(values)

    def has(self, name):
        """Whether there are such values, and not all of them 0."""
        return np.any(getattr(self, name, 0))

    @property
    def lava_shape(self):
        """(units,) or (width, height, channels)."""
        return lava_shape(self.shape)

    @property
    def sent_bits(self):
        """Bits of the values that the units' spikes carry, 0 for plain spikes."""
        return getattr(self, "message_bits", 0)

    def by_unit(self, name):
        """A parameter of the units (n,), in Lava's order."""
        return in_lava_order(getattr(self, name), self.shape).astype(np.int32)


class Network:
    """The arrays of network.npz.

    Attributes:
        layers: the layers, from the input on.
        in_shape: of the input, (units,) or (channels, height, width).
        message_bits: of the spikes of the input, 0 if they carry no value.
        reset_interval, reset_offset: layer i starts from 0 every so many steps, as in step reset_offset + i, counted
            from 0; interval 0 for never.
    """

    def __init__(self, values):
        values = dict(values)
        layers = [{} for _ in range(int(values["n_layers"]))]
        for name in [name for name in values if "/" in name]:
            i, _, key = name.partition("/")
            value = values.pop(name)
            layers[int(i)][key] = value.item() if value.ndim == 0 else value
        self.layers = [Layer(own) for own in layers]
        self.in_shape = tuple(values["in_shape"])
        self.message_bits = int(values["message_bits"])
        self.reset_interval, self.reset_offset = (
            int(values.get(name, 0)) for name in ("reset_interval", "reset_offset")
        )
        self.readout = {name: values[name] for name in values if name.startswith("readout")}

    def scores(self, out):
        """Scores of the classes from what `run` found; None if the network has no readout."""
        if not self.readout:
            return None
        last, reduce = len(self.layers) - 1, str(self.readout["readout"])
        if reduce == "average":
            s = out[f"s_{last}"]
            return s.reshape(*s.shape[:-2], int(self.readout["readout_classes"]), -1).mean(-1)
        v = out[f"v_{last}"]
        steps = v.shape[-1]
        if reduce == "exp_mean":
            v = v @ np.exp(-np.arange(steps) / steps) / steps
        elif reduce == "none":
            return v.swapaxes(-1, -2) / self.readout["readout_scale"]
        else:
            v = v[..., -1] if reduce == "last" else v.max(-1) if reduce == "max" else v.mean(-1)
        return v / self.readout["readout_scale"]

    def answer(self, out):
        """The name of the class with the highest score, if there are names."""
        scores, names = self.scores(out), self.readout.get("readout_labels", ())
        return f"; class {names[scores.argmax()]}" if len(names) and scores.ndim == 1 else ""


def lava_shape(shape):
    """(channels, height, width) as Lava has it; whatever is no image is flat."""
    return tuple(int(n) for n in shape[::-1]) if len(shape) == 3 else (int(np.prod(shape)),)


def in_lava_order(x, shape):
    """(channels * height * width, ...) as (width, height, channels, ...); what is no image stays as it is."""
    x = np.asarray(x)
    return x if len(shape) != 3 else x.reshape(*shape, *x.shape[1:]).transpose(2, 1, 0, *range(3, x.ndim + 2))


def from_lava_order(x, shape):
    """The reverse, with steps in front: (steps, width, height, channels) as (channels * height * width, steps)."""
    x = x if len(shape) != 3 else x.transpose(0, 3, 2, 1)
    return x.reshape(len(x), -1).T


# -- synapses ---------------------------------------------------------------------------------------------------------


def held_by_synapses(weight, bits):
    """`weight` as matrices that 8-bit synapses hold, which add up to it: (matrix, exponent, sign mode).

    Weights of one sign have 8 bits; those of both signs 8 bits with the sign, in steps of 2. Smaller ones are doubled,
    and what arrives is halved again, but for graded spikes, of whose sums Lava would lose a bit. Then, and for odd
    weights beyond 8 bits, it takes two matrices.
    """
    if weight.min() >= 0 or (weight.max() <= 0 and weight.min() > -256):
        return [(weight, 0, SignMode.INHIBITORY if weight.min() < 0 else SignMode.EXCITATORY)]
    if bits == 0 and weight.min() >= -128 and weight.max() <= 127:
        return [(2 * weight, -1, SignMode.MIXED)]
    odd = weight % 2
    return [(weight - odd, 0, SignMode.MIXED)] + ([(odd, 0, SignMode.EXCITATORY)] if odd.any() else [])


def connect_dense(weight, delay, bits, source, target):
    """Synapses from every unit of `source` to every unit of `target`, two ports; returns the processes."""
    made = []
    for matrix, exponent, sign in held_by_synapses(weight.astype(int), bits):
        values = {"weights": matrix, "weight_exp": exponent, "sign_mode": sign, "num_message_bits": bits}
        if np.any(delay):
            synapses = DelayDense(delays=np.array(delay, int), num_weight_bits=8, **values)
        else:
            synapses = Dense(num_weight_bits=8, **values)
        made.append(synapses)
        source.connect(synapses.s_in)
        synapses.a_out.connect(target)
    return made


def connect_conv(layer, weight, bits, source, target):
    """Synapses that share a kernel; returns the processes."""
    # torch slides a kernel (out, in, height, width) over an image, Lava folds one (out, width, height, in) with it
    kernel = weight.transpose(0, 3, 2, 1)[:, ::-1, ::-1].astype(int)
    in_shape = tuple(int(n) for n in layer.in_shape[::-1])
    stride, padding, dilation = (tuple(int(n) for n in x[::-1]) for x in (layer.stride, layer.padding, layer.dilation))
    groups = int(layer.groups)
    if not layer.sparse:
        synapses = Conv(
            weight=np.ascontiguousarray(kernel), input_shape=in_shape, stride=stride, padding=padding,
            dilation=dilation, groups=groups, num_message_bits=bits,
        )  # fmt: skip
        source.connect(synapses.s_in)
        synapses.a_out.connect(target)
        return [synapses]
    try:
        to, from_, values = conv_to_sparse(in_shape, layer.lava_shape, kernel, stride, padding, dilation, groups)
    except ValueError:  # a kernel that touches nothing but padding
        return []
    size = int(np.prod(layer.lava_shape)), int(np.prod(in_shape))
    delay = layer.by_unit("delay").ravel().astype(int)[to]
    made = []
    for own, exponent, sign in held_by_synapses(np.asarray(values, int), bits):
        synapses = DelaySparse(
            weights=csr_matrix((own, (to, from_)), size), delays=csr_matrix((delay, (to, from_)), size),
            weight_exp=exponent, sign_mode=sign, num_weight_bits=8, num_message_bits=bits,
        )  # fmt: skip
        made.append(synapses)
        source.flatten().connect(synapses.s_in)
        synapses.a_out.reshape(layer.lava_shape).connect(target)
    return made


# -- units ------------------------------------------------------------------------------------------------------------


def make_units(layer, reset_interval=0, reset_offset=0):
    """The process of the layer's units; LIF units are reset where Lava's time is the offset, modulo the interval."""
    shape = layer.lava_shape
    if layer.units == "CUBA":
        bias, exponent = layer.by_unit("bias"), np.full(shape, STATE_EXP, np.int32)
        while (wide := np.abs(bias) >= 1 << 15).any():  # a mantissa has 16 bits
            bias, exponent = np.where(wide, bias >> 1, bias), exponent + wide
        du, dv, vth = (layer.by_unit(name) for name in ("iDecay", "vDecay", "vThMant"))
        own = {"du": du - 1, "dv": dv, "vth": vth, "bias_mant": bias, "bias_exp": exponent}  # Lava adds 1 to du
        if reset_interval:
            return LIFReset(shape=shape, reset_interval=reset_interval, reset_offset=reset_offset, **own)
        return LIF(shape=shape, **own)
    if layer.units == "Sigma":
        return Sigma(shape=shape)
    if layer.units == "SigmaDelta":
        exps = {"spike_exp": STATE_EXP, "state_exp": STATE_EXP}
        if layer.kind == "input":
            units = Delta(shape=shape, vth=1, **exps)
        else:
            units = SigmaDelta(shape=shape, vth=1, bias=layer.by_unit("bias"), **exps)
        return with_values(units, vth=layer.by_unit("vThMant") << 2 * STATE_EXP)
    # Lava works sine and cosine out from a period, and rounds them: the integers themselves are put in their place
    units = (RF if layer.units == "RF_PHASE" else RF_IZ)(
        shape=shape, period=10, alpha=0, state_exp=STATE_EXP, decay_bits=12
    )
    return with_values(
        units,
        sin_decay=layer.by_unit("sinDecay"), cos_decay=layer.by_unit("cosDecay"),
        vth=layer.by_unit("vThMant") << STATE_EXP,
    )  # fmt: skip


def with_values(process, **values):
    """`process` with other values of its variables, one for each unit."""
    for name, value in values.items():
        variable = getattr(process, name)
        variable.init, variable.shape = value, value.shape
    return process


# -- networks ---------------------------------------------------------------------------------------------------------


def build(network, port):
    """Build all layers behind `port`, which sends the input; returns the units and the synapses of each layer."""
    units, synapses = [], []
    bits, shape = network.message_bits, network.in_shape
    for i, layer in enumerate(network.layers):
        own = make_units(layer, network.reset_interval, network.reset_offset + i + 1)  # Lava's time starts at 1
        made = []
        resonators = layer.units in ("RF_PHASE", "RF_IZHIKEVICH")
        ports = {"weight": own.a_real_in, "weight_imag": own.a_imag_in} if resonators else {"weight": own.a_in}
        if layer.kind == "input":
            port.connect(own.a_in)
        elif layer.kind in ("conv", "pool"):
            for name, target in ports.items():
                made += connect_conv(layer, getattr(layer, name), bits, port, target)
        else:
            source = port if len(shape) != 3 else port.flatten()
            columns = in_lava_order(np.arange(int(np.prod(shape))), shape).ravel()  # the image as Lava flattens it
            delay = layer.delay[:, columns] if layer.has("delay") else 0
            for name, target in ports.items():
                made += connect_dense(getattr(layer, name)[:, columns], delay, bits, source, target)
            if layer.kind == "dense_rec":
                made += connect_dense(layer.weight_rec, layer.delay_rec, layer.sent_bits, own.s_out, own.a_in)
        units.append(own)
        synapses.append(made)
        port, shape, bits = own.s_out, tuple(layer.shape), layer.sent_bits
    return units, synapses


def mantissas(network, spikes):
    """What goes into the first process: spikes, or the numbers that units of the input take, in Lava's order."""
    first = network.layers[0]
    x = np.asarray(spikes)
    if first.kind == "input":
        x = np.trunc(x * float(first.gain) + float(first.offset))
    return in_lava_order(x, network.in_shape).astype(np.int32)


def run(network, spikes):
    """Run one sample (n_in, steps) on Lava's models of the chip; returns s_i, u_i and v_i by name."""
    steps = spikes.shape[-1]
    units, _ = build(network, Source(data=mantissas(network, spikes)).s_out)
    monitors = []
    for i, (own, layer) in enumerate(zip(units, network.layers, strict=True)):
        u, v = STATES[type(own)]
        for name, variable in (("s", "s_out"), ("u", u), ("v", v)):
            monitor = Monitor()
            monitor.probe(getattr(own, variable), steps)
            monitors.append((f"{name}_{i}", monitor, own.name, variable, layer.shape))
    units[0].run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    out = {
        name: from_lava_order(np.asarray(monitor.get_data()[own][variable]), shape).astype(np.int32)
        for name, monitor, own, variable, shape in monitors
    }
    units[0].stop()
    return out


def run_on_hardware(network, spikes):
    """The same on Loihi 2, as Lava documents it; not tried by those who wrote it, who have no chip.

    Only what the last layer did is read: its spikes, and its states step by step. If Lava's profilers are there, a
    first run of all steps is measured.
    """
    try:
        from lava.magma.core.run_configs import Loihi2HwCfg
        from lava.proc import embedded_io as eio
        from lava.proc.io.sink import RingBuffer as Sink
    except ImportError as error:
        sys.exit(f"--hardware needs Intel's extension of Lava for Loihi ({error})")

    steps = spikes.shape[-1]
    convolves = network.layers[0].kind in ("conv", "pool")

    def ready():
        """The units of the last layer, and where their spikes end up."""
        source = Source(data=mantissas(network, spikes))
        adapter = eio.spike.PyToN3ConvAdapter if convolves else eio.spike.PyToNxAdapter
        into = adapter(shape=source.s_out.shape, num_message_bits=network.message_bits)
        source.s_out.connect(into.inp)
        units, _ = build(network, into.out)
        back = eio.spike.NxToPyAdapter(
            shape=units[-1].s_out.shape, num_message_bits=32 if network.layers[-1].sent_bits else 0
        )
        units[-1].s_out.connect(back.inp)
        sink = Sink(shape=back.out.shape, buffer=steps)
        back.out.connect(sink.a_in)
        return units[-1], sink

    try:
        from lava.utils.loihi2_profiler import Loihi2ExecutionTime, Loihi2Power
    except ImportError:
        print("no profilers (lava.utils.loihi2_profiler) in this Lava: energy and time are not measured")
    else:
        power, time = Loihi2Power(num_steps=steps), Loihi2ExecutionTime()
        last, _ = ready()
        last.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2HwCfg(callback_fxs=[power, time]))
        last.stop()
        seconds = 1e-6 * steps * time.avg_time_per_step
        total = float(np.mean(power.total_power))
        dynamic = total - float(power.static_total_power)
        print(f"time   {1e3 * seconds:.6f} ms a sample, {time.avg_time_per_step:.3f} us a step")
        print(f"energy {1e3 * total * seconds:.6f} mJ a sample, of which {1e3 * dynamic * seconds:.6f} mJ dynamic")

    last, sink = ready()
    u, v = (getattr(last, name) for name in STATES[type(last)])
    states = []
    for _ in range(steps):
        last.run(condition=RunSteps(num_steps=1), run_cfg=Loihi2HwCfg())
        states.append((np.array(u.get()), np.array(v.get())))
    found = np.moveaxis(sink.data.get(), -1, 0), *(np.stack(x) for x in zip(*states, strict=True))
    last.stop()
    i, shape = len(network.layers) - 1, network.layers[-1].shape
    return {f"{name}_{i}": from_lava_order(x, shape).astype(np.int32) for name, x in zip("suv", found, strict=True)}


# -- the command ------------------------------------------------------------------------------------------------------


def arrays(path):
    """All arrays of an .npz file; ends the program if it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        sys.exit(f"{path}: no such file")
    except Exception as error:  # whatever numpy and zipfile raise on files of other kinds
        sys.exit(f"{path}: no .npz file of arrays, or damaged ({error})")


def check(network, folder):
    """Run the sample of example.npz and compare; returns how many entries are different."""
    if not (folder / "example.npz").exists():
        sys.exit(f"{folder / 'example.npz'}: not there; lambent export --format lava writes it")
    wanted = arrays(folder / "example.npz")
    out = run(network, checked(network, wanted.pop("spikes"), "example.npz"))
    different = {name: int((out[name] != x).sum()) for name, x in wanted.items() if name != "scores"}
    if "scores" in wanted:  # sums of floating point, in whatever order
        different["scores"] = int((~np.isclose(network.scores(out), wanted["scores"], 1e-9)).sum())
    found = {"lava": version("lava-nc"), "entries": sum(x.size for x in wanted.values())}
    found["different"] = sum(different.values())
    found["network"] = hashlib.sha256((folder / "network.npz").read_bytes()).hexdigest()
    (folder / "verified.json").write_text(json.dumps(found) + "\n")
    for name, n in different.items():
        print(f"{name}: {n or 'none'} of {wanted[name].size} different")
    return found["different"]


def checked(network, spikes, where):
    """`spikes` if the network takes such; ends the program otherwise."""
    first, bits = network.layers[0], network.message_bits
    n_in, driven = int(np.prod(network.in_shape)), first.kind == "input"
    if spikes.ndim not in (2, 3) or spikes.shape[-2] != n_in or 0 in spikes.shape:
        sys.exit(f"{where}: `spikes` must be ({n_in}, steps) or (samples, {n_in}, steps), not {spikes.shape}")
    if spikes.dtype.kind not in ("biuf" if driven else "biu"):
        sys.exit(f"{where}: `spikes` must be whole numbers, not {spikes.dtype}")
    if driven:
        with np.errstate(invalid="ignore", over="ignore"):
            mantissa = np.abs(np.trunc(spikes * float(first.gain) + float(first.offset)))
        if not (mantissa < 1 << 17).all():
            sys.exit(f"{where}: {first.gain} x + {first.offset} must be finite and within +-131071 for every entry x")
        return spikes
    if bits:
        limit = min((1 << bits) - 1, (1 << 31) - 1)
        if spikes.min() < -limit or spikes.max() > limit:
            sys.exit(f"{where}: `spikes` of {bits} bits must lie within +-{limit}")
        return spikes
    if spikes.min() < 0:
        sys.exit(f"{where}: `spikes` must not be negative")
    if spikes.max() > 1:
        print(f"{where}: several spikes of a unit in one step count as one")
    return spikes != 0


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, nargs="?", help="an .npz file with `spikes`")
    parser.add_argument("output", type=Path, nargs="?", help="the .npz file to write")
    parser.add_argument("--hardware", action="store_true", help="run on Loihi 2 instead of its model")
    parser.add_argument("--check", action="store_true", help="compare with example.npz beside this file")
    args = parser.parse_args()
    folder = Path(__file__).parent
    network = Network(arrays(folder / "network.npz"))
    if args.check:
        sys.exit(1 if check(network, folder) else 0)
    if args.output is None:
        parser.error("INPUT.npz and OUT.npz are needed")
    if args.output.suffix != ".npz" or not args.output.parent.is_dir():
        sys.exit(f"{args.output}: must end in .npz and lie in a folder that is there")
    given = arrays(args.input)
    if "spikes" not in given:
        sys.exit(f"{args.input}: holds {', '.join(given) or 'nothing'}, but no `spikes`")
    spikes = checked(network, given["spikes"], args.input)
    found = []
    samples = spikes if spikes.ndim == 3 else spikes[None]
    for k, sample in enumerate(samples):
        found.append((run_on_hardware if args.hardware else run)(network, sample))
        sent = ", ".join(str(np.count_nonzero(x)) for name, x in found[-1].items() if name.startswith("s_"))
        print(f"sample {k + 1} of {len(samples)}: spikes of the layers {sent}{network.answer(found[-1])}", flush=True)
    out = {name: np.stack([x[name] for x in found]) for name in found[0]}
    scores = network.scores(out)
    if scores is not None:
        out["scores"] = scores
    if spikes.ndim == 2:
        out = {name: x[0] for name, x in out.items()}
    np.savez_compressed(args.output, **out)
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
