"""Measuring this machine, with counters that are made up, and without any."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

import lambent as lb
from lambent.hardware import host_energy
from lambent.hardware.host_energy import HostCost, NoMeterError, Nvml, Rapl, measure_host

EVENTS = lb.Events.from_lists([[1.0, 3.0], [2.0]], [[0, 1], [2]], 3, 10.0)


def model():
    return torch.nn.Sequential(lb.LIF(3, 4), lb.LIReadout(4, 2))


def zone(root, name, kind, energy, full=1000):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(kind + "\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{full}\n")
    return folder / "energy_uj"


def test_rapl_sums_packages_and_memory_and_follows_wraps(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0", 990)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 5)
    cores = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    meter = Rapl(tmp_path)
    assert meter.joules() == 0
    package.write_text("9\n")  # past 1000 and on
    memory.write_text("15\n")
    cores.write_text("500\n")  # part of the package
    assert meter.joules() == pytest.approx(30e-6)
    assert meter.joules() == pytest.approx(30e-6)
    package.write_text("10\n")
    assert meter.joules() == pytest.approx(31e-6)


def test_rapl_that_is_not_there(tmp_path):
    with pytest.raises(NoMeterError, match="no RAPL counters under"):
        Rapl(tmp_path)
    zone(tmp_path, "intel-rapl:0", "package-0", 1).unlink()
    with pytest.raises(NoMeterError, match="not readable"):
        Rapl(tmp_path)


def test_without_a_counter_there_is_time_only(monkeypatch, tmp_path):
    monkeypatch.setattr(host_energy.Rapl.__init__, "__defaults__", (tmp_path,))
    cost = measure_host(model(), EVENTS, seconds=0.01)
    assert cost.latency > 0
    assert cost.batch == 2
    assert cost.energy is cost.energy_delay_product is cost.idle_power is None
    assert "no RAPL counters" in str(cost)
    assert cost.as_dict()["measured"] is True
    assert HostCost.from_dict(cost.as_dict()) == cost
    for name, value in (("latency", "1"), ("latency", None), ("batch", True), ("device", 3), ("energy", [])):
        with pytest.raises(ValueError, match=f"{name} is "):
            HostCost.from_dict(cost.as_dict() | {name: value})


def test_idle_power_is_subtracted(monkeypatch):
    """A machine that takes 10 W at rest and 25 W at work spends 15 W on the model."""
    now = SimpleNamespace(time=0.0, energy=0.0)

    def passes(seconds, watts):
        now.time += seconds
        now.energy += watts * seconds

    class Machine:
        name = "made up"

        def joules(self):
            return now.energy

    monkeypatch.setattr(host_energy, "Rapl", Machine)
    monkeypatch.setattr(
        host_energy, "time", SimpleNamespace(perf_counter=lambda: now.time, sleep=lambda s: passes(s, 10.0))
    )
    cost = measure_host(lambda events: passes(0.5, 25.0), EVENTS, seconds=2.0)
    assert cost.idle_power == pytest.approx(10)
    assert cost.latency == pytest.approx(500)
    assert cost.energy == pytest.approx(1e3 * 15 * 0.5 / 2)
    assert cost.energy_delay_product == pytest.approx(cost.energy * cost.latency)
    assert "made up" in str(cost)


def test_nvml(monkeypatch):
    class NVMLError(Exception):
        pass

    spent = {"GPU-7": 1500}

    def total(handle):
        if handle not in spent:
            raise NVMLError("Not Supported")
        return spent[handle]

    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=total,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=device.index))
    assert Nvml(torch.device("cuda", 7)).joules() == 1.5
    with pytest.raises(NoMeterError, match="no energy counter: Not Supported"):
        Nvml(torch.device("cuda", 1))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NoMeterError, match=r"lambent\[energy\]"):
        Nvml(torch.device("cuda", 7))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="no samples"):
        measure_host(model(), EVENTS[:0])
    with pytest.raises(ValueError, match="seconds must be positive"):
        measure_host(model(), EVENTS, seconds=0.0)


@pytest.mark.gpu
def test_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    cost = measure_host(model().cuda(), EVENTS.to("cuda"), seconds=0.1)
    assert cost.latency > 0
