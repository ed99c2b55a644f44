"""`network.py --hardware` where there is no chip: its adapters hand spikes on, and the model of the chip runs.

python lava_hardware.py FOLDER OUT.npz          in Lava's Python; FOLDER holds network.py and input.npz
"""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
from lava.magma.core import run_configs
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Adapter(AbstractProcess):
    """Between a CPU and a chip."""

    def __init__(self, shape, num_message_bits=0):
        super().__init__(shape=shape, num_message_bits=num_message_bits)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


@implements(proc=Adapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyAdapter(PyLoihiProcessModel):
    """Hands on what it gets, in the same step."""

    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        """One step."""
        self.out.send(self.inp.recv())


class Power:
    """Lava's profiler of power, in watts."""

    def __init__(self, num_steps):
        self.total_power, self.static_total_power = np.full(num_steps, 1.5), 0.5


class Time:
    """Lava's profiler of time, in microseconds."""

    avg_time_per_step = 10.0


def module(name, **values):
    """Stands in for a module of Intel's extension."""
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(values)
    return sys.modules[name]


spike = module("lava.proc.embedded_io.spike", PyToNxAdapter=Adapter, PyToN3ConvAdapter=Adapter, NxToPyAdapter=Adapter)
module("lava.proc.embedded_io", spike=spike)
module("lava.utils.loihi2_profiler", Loihi2Power=Power, Loihi2ExecutionTime=Time)
run_configs.Loihi2HwCfg = lambda callback_fxs=None: run_configs.Loihi2SimCfg(select_tag="fixed_pt")

folder = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location("network", folder / "network.py")
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
network = program.Network(program.arrays(folder / "network.npz"))
np.savez(sys.argv[2], **program.run_on_hardware(network, program.arrays(folder / "input.npz")["spikes"]))
