"""What a network costs on this machine: time always, energy where the machine counts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from lambent.events import Events

POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """A counter of energy."""

    name: str

    def joules(self) -> float:
        """Energy [J] since some moment."""
        ...


class NoMeterError(Exception):
    """No counter can be read; the message says why."""


class Rapl:
    """The energy of all processor packages and their memory, as the kernel's powercap interface (RAPL) counts it.

    Read it at least every half hour: the counters wrap, and more than one turn goes unseen.

    Args:
        root: folder of the interface.

    Raises:
        NoMeterError: there are no counters or they cannot be read.
    """

    name = "RAPL (packages and memory)"

    def __init__(self, root: Path = POWERCAP) -> None:
        zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if _kind(zone) in ("package", "dram")]
        if not zones:
            raise NoMeterError(f"no RAPL counters under {root}")
        try:
            self._range = {zone: int((zone / "max_energy_range_uj").read_text()) + 1 for zone in zones}
            self._last = {zone: self._read(zone) for zone in zones}
        except (OSError, ValueError) as error:
            raise NoMeterError(f"RAPL counters are not readable: {error}") from error
        self._total = 0

    def joules(self) -> float:
        """Energy [J] since the meter was made."""
        for zone, before in self._last.items():
            self._last[zone] = now = self._read(zone)
            self._total += (now - before) % self._range[zone]
        return 1e-6 * self._total

    def _read(self, zone: Path) -> int:
        return int((zone / "energy_uj").read_text())


def _kind(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip().partition("-")[0]
    except OSError:
        return ""


class Nvml:
    """The energy of one NVIDIA GPU, as its driver counts it.

    Raises:
        NoMeterError: the package nvidia-ml-py is missing, or the GPU has no counter.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise NoMeterError("NVML needs nvidia-ml-py: pip install 'lambent[energy]'") from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            uuid = torch.cuda.get_device_properties(device).uuid
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
            self.joules()
        except pynvml.NVMLError as error:
            raise NoMeterError(f"NVML has no energy counter: {error}") from error
        self.name = "NVML (GPU alone)"

    def joules(self) -> float:
        """Energy [J] since the driver was loaded."""
        return 1e-3 * self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)


@dataclass(frozen=True)
class HostCost:
    """What a network costs on this machine, measured.

    Attributes:
        device: "cpu" or the name of the GPU.
        batch: samples at once.
        latency: of one batch [ms].
        energy: of one sample [mJ], without what the machine takes when idle; None where nothing counts it.
        energy_delay_product: energy times latency [uJ s], or None.
        idle_power: what was subtracted [W], or None.
        counter: what counted, or why nothing did.
    """

    device: str
    batch: int
    latency: float
    energy: float | None
    energy_delay_product: float | None
    idle_power: float | None
    counter: str

    def __str__(self) -> str:
        energy = "no energy"
        if self.energy is not None and self.energy_delay_product is not None:
            energy = f"{self.energy:.3g} mJ a sample, energy-delay product {self.energy_delay_product:.3g} uJ s"
        return f"measured on {self.device}, batch {self.batch}: {self.latency:.3g} ms, {energy} ({self.counter})"

    def as_dict(self) -> dict[str, Any]:
        """All values, with the label that they are measured."""
        return {"measured": True, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HostCost:
        """The cost that `as_dict` gave `values` of.

        Raises:
            KeyError, TypeError, ValueError: it gave none such.
        """
        own = {field.name: values[field.name] for field in fields(cls)}
        for name, value in own.items():
            kinds: tuple[type, ...] = (str,) if name in ("device", "counter") else (int, float)
            optional = name in ("energy", "energy_delay_product", "idle_power")
            if type(value) not in kinds and not (optional and value is None):
                raise ValueError(f"{name} is {value!r}")
        return cls(**own)


def measure_host(model: nn.Module, events: Events, *, seconds: float = 2.0) -> HostCost:
    """Run `model` on `events` over and over and measure time and, where a counter can be read, energy.

    The machine should do nothing else: its idle power is taken from a pause as long as the measurement, and
    everything above it is put down to the model. Model and events must be on the device to be measured.

    Args:
        model: the network.
        events: one batch; its size is part of the result.
        seconds: how long to run, and to pause before.

    Raises:
        ValueError: no samples, or `seconds` is not positive.
    """
    if len(events) == 0:
        raise ValueError("no samples to measure with")
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    device = events.device
    meter: Meter | None = None
    try:
        meter = Nvml(device) if device.type == "cuda" else Rapl()
        counter = meter.name
    except NoMeterError as error:
        counter = str(error)

    @torch.no_grad()
    def work() -> None:
        model(events)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work()  # compiles
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    if meter is None:
        per_batch, _ = _repeat(work, seconds)
        return HostCost(name, len(events), 1e3 * per_batch, None, None, None, counter)
    start, before = time.perf_counter(), meter.joules()
    time.sleep(seconds)
    idle = (meter.joules() - before) / (time.perf_counter() - start)
    before = meter.joules()
    per_batch, rounds = _repeat(work, seconds)
    spent = meter.joules() - before - idle * per_batch * rounds
    energy, latency = 1e3 * spent / (rounds * len(events)), 1e3 * per_batch
    return HostCost(name, len(events), latency, energy, energy * latency, idle, counter)


def _repeat(work: Callable[[], None], seconds: float) -> tuple[float, int]:
    """Mean time [s] of one call, and the number of calls in `seconds`, at least one."""
    start, rounds = time.perf_counter(), 0
    while True:
        work()
        rounds += 1
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return elapsed / rounds, rounds
