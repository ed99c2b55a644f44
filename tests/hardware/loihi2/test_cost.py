"""The cost model: events counted the slow way, the formula by hand, the fit, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lambent.hardware.loihi2 import Cost, Loihi2Layer, Loihi2Network, Parameters, Recording, estimate_cost, map_to_cores
from lambent.hardware.loihi2.calibration import fit, published_points
from lambent.hardware.loihi2.cost import default_parameters, mean_cost, published

SIMPLE = Parameters(
    synapse_energy=2.0,
    unit_energy=3.0,
    spike_energy=5.0,
    hop_energy=7.0,
    event_energy_scale=0.5,
    step_energy=11.0,
    synapse_time=13.0,
    unit_time=17.0,
    step_time=19.0,
    chip_power=23.0,
    core_power=29.0,
)


@pytest.fixture(scope="module")
def network():
    """Large enough for several cores: 3 for the hidden layer, 1 for the readout."""
    rng = np.random.default_rng(0)
    hidden, back = rng.integers(-127, 128, (256, 700)), rng.integers(-127, 128, (256, 256))
    values = {"i_decay": 700, "v_decay": 300}
    return Loihi2Network(
        700,
        [
            Loihi2Layer("layer/1", "dense_rec", hidden, back, v_th_mant=1500, **values),
            Loihi2Layer("layer/2", "dense", rng.integers(-127, 128, (5, 256)), v_th_mant=131072, **values),
        ],
    )


@pytest.fixture(scope="module")
def run(network):
    return network.run(np.random.default_rng(1).random((2, 700, 25)) < 0.02, ("spikes",))


def test_events_and_formula_by_hand(network, run):
    mapping = map_to_cores(network)
    cost = estimate_cost(network, run, mapping, parameters=SIMPLE)
    assert mapping.n_cores == 4
    operations = spikes = 0
    time = 25 * 19.0
    for b in range(2):
        offsets, inputs = run.inputs[b]
        for t in range(25):
            arriving = offsets[t + 1] - offsets[t]
            assert len(set(inputs[offsets[t] : offsets[t + 1]])) == arriving
            fired = int(run.spikes[0][b, :, t].sum())
            operations += (arriving + fired) * 256 + fired * 5
            spikes += 3 * arriving + 4 * fired
            loads = [(arriving + fired) * n * 13 + n * 17 for n in (86, 85, 85)] + [fired * 5 * 13 + 5 * 17]
            time += max(loads) / 2
    counts = cost.counts
    assert counts.steps == 25
    assert counts.cores == 4
    assert counts.synaptic_operations == operations / 2
    assert counts.unit_updates == 261 * 25
    assert counts.spikes == spikes / 2
    assert run.spikes[0].any()
    dynamic = 0.5e-9 * (operations * 2 / 2 + 261 * 25 * 3 + spikes * 5 / 2 + counts.hops * 7) + 25 * 11e-6
    latency = time * 1e-6
    static = (23 + 4 * 29) * 1e-3 * latency
    assert cost.latency == pytest.approx(latency)
    assert cost.dynamic_energy == pytest.approx(dynamic)
    assert cost.static_energy == pytest.approx(static)
    assert cost.energy == pytest.approx(static + dynamic)
    assert cost.energy_delay_product == pytest.approx((static + dynamic) * latency)
    assert sum(cost.parts.values()) == pytest.approx(dynamic)


def test_the_mapping_in_order_is_the_default(network, run):
    cost = estimate_cost(network, run)
    assert cost == estimate_cost(network, run, map_to_cores(network))
    assert cost.as_dict()["modelled"] is True
    assert str(cost).startswith("modelled for Loihi 2")


def test_fewer_messages_cost_less(network, run):
    """A better placement lowers what spikes cost and nothing that it does not touch."""
    pytest.importorskip("pymetis")
    light = Loihi2Network(700, [replace_bits(layer) for layer in network.layers])
    runs = light.run(np.random.default_rng(1).random((2, 700, 25)) < 0.02, ("spikes",))
    before, after = map_to_cores(light), map_to_cores(light, runs, partition=True)
    assert after.n_cores < before.n_cores
    a, b = (estimate_cost(light, runs, mapping) for mapping in (before, after))
    assert b.parts["spikes"] < a.parts["spikes"]
    assert b.parts["units"] == a.parts["units"]
    assert b.static_energy / b.latency < a.static_energy / a.latency


def replace_bits(layer):
    """The layer with weights of 4 bits."""
    rounded = {k: getattr(layer, k) // 16 * 16 for k in ("weight", "weight_rec") if getattr(layer, k) is not None}
    return replace(layer, **rounded)


def test_silence_costs_steps_and_units_only(network):
    cost = estimate_cost(network, network.run(np.zeros((1, 700, 10), int), ("spikes",)))
    assert cost.counts.synaptic_operations == cost.counts.spikes == cost.counts.hops == 0
    assert cost.parts["steps"] > 0
    assert cost.parts["units"] > 0


def test_the_mean_of_batches_is_that_of_all(network):
    spikes = np.random.default_rng(2).random((5, 700, 20)) < 0.02
    mapping = map_to_cores(network)

    def cost(batch):
        return estimate_cost(network, network.run(batch, ("spikes",)), mapping)

    whole, mean = cost(spikes), mean_cost([(2, cost(spikes[:2])), (3, cost(spikes[2:]))])
    for key in ("energy", "latency", "dynamic_energy", "static_energy", "energy_delay_product"):
        assert getattr(mean, key) == pytest.approx(getattr(whole, key)), key
    assert mean.parts == pytest.approx(whole.parts)
    assert vars(mean.counts) == pytest.approx(vars(whole.counts))
    assert Cost.from_dict(json.loads(json.dumps(whole.as_dict()))) == whole
    kept = json.loads(json.dumps(whole.as_dict()))
    for name, bad in (
        ("energy", {"energy": "1"}), ("latency", {"latency": True}), ("units", {"parts": {"units": None}}),
        ("cores", {"counts": kept["counts"] | {"cores": []}}), ("iterable", {"parts": 3}), ("missing", {"counts": {}}),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=name):
            Cost.from_dict(kept | bad)
    with pytest.raises(ValueError, match="no costs"):
        mean_cost([])
    with pytest.raises(ValueError, match="differ in steps"):
        mean_cost([(1, whole), (1, cost(spikes[:, :, :9]))])


def test_parameters_are_those_of_the_fit():
    """`cost.toml` holds what the published figures give, to its four digits, and a source for each."""
    fitted, kept = fit(published_points()), default_parameters()
    for name, value in vars(fitted).items():
        assert getattr(kept, name) == pytest.approx(value, rel=1e-3), name
    for name, table in published()["parameters"].items():
        assert table["source"], name
        assert table["what"], name


def test_published_figures_are_met():
    """Energy, dynamic energy and latency: where they were fitted, and within what is claimed where left out."""
    points = published_points()
    for point in points:
        others = fit([other for other in points if other is not point])
        for parameters, energy, dynamic, latency in (
            (default_parameters(), 0.03, 0.05, 0.06),
            (others, 0.06, 0.14, 0.08),
        ):
            cost = point.cost(parameters)
            assert cost.energy == pytest.approx(point.figures["energy"], rel=energy)
            assert cost.dynamic_energy == pytest.approx(point.figures["dynamic"], rel=dynamic)
            assert cost.latency == pytest.approx(point.figures["latency"], rel=latency)


def test_own_parameters(tmp_path):
    path = tmp_path / "own.toml"
    lines = [f"[parameters.{name}]\nvalue = {value}\n" for name, value in vars(SIMPLE).items()]
    path.write_text("".join(lines))
    assert Parameters.from_toml(path) == SIMPLE
    for text, message in [
        ("".join(lines[1:]), "synapse_energy.value is missing"),
        ("".join(lines) + "[parameters.colour]\nvalue = 1\n", "parameters.colour is unknown"),
        ("".join(lines).replace("= 11.0", "= -1"), "step_energy must be a finite number"),
        ("".join(lines).replace("= 11.0", "= nan"), "step_energy must be a finite number"),
        ("".join(lines).replace("= 11.0", "= 'x'"), "step_energy must be a finite number"),
        ("no toml", "own.toml: "),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            Parameters.from_toml(path)
    with pytest.raises(OSError, match="nothing"):
        Parameters.from_toml(tmp_path / "nothing.toml")


def test_what_does_not_fit_together(network, run):
    small = Loihi2Network(3, [Loihi2Layer("layer/1", "dense", np.ones((4, 3), int))])
    with pytest.raises(ValueError, match="the run is of layers"):
        estimate_cost(small, run)
    with pytest.raises(ValueError, match="the mapping is of 3 inputs"):
        estimate_cost(network, run, map_to_cores(small))
    with pytest.raises(ValueError, match="no spikes"):
        estimate_cost(network, Recording())
    with pytest.raises(ValueError, match="input of 0 of 2 samples"):
        estimate_cost(network, Recording(spikes=run.spikes))
