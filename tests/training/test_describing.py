"""Hidden layers in words."""

from __future__ import annotations

import pytest
import torch

import lambent as lb
from lambent.runs.train import with_fine_steps
from lambent.training import Config, build_model
from lambent.training.model import check_layers


def model(*lines, n_units=40, **settings):
    return build_model(Config(layer=lines, **settings), n_units, 3)


@pytest.mark.parametrize(
    ("lines", "settings", "shapes"),
    [
        (("256 recurrent",), {}, [(40, 256)]),
        (("20", "dense 10 recurrent delay 0"), {}, [(40, 20), (20, 10)]),
        (("conv 8 5 stride 2 padding 2", "conv 4 3"), {}, [(8, 1, 5), (4, 8, 3)]),
        (("conv 4 3x3", "pool 2", "16"), {"input_shape": "5x8"}, [(4, 1, 3, 3), (), (12, 16)]),
        (("conv 4 3 groups 2", "16"), {"input_shape": "2x4x5"}, [(4, 1, 3, 3), (24, 16)]),
        (("sparse 50 density 0.1 recurrent",), {}, [(200,)]),
        (
            ("adaptive 12 tau_adapt 200 beta 0.3", "adlif 11", "refractory 10 t_ref 3"),
            {},
            [(40, 12), (12, 11), (11, 10)],
        ),
        (("resonator 9 period 40 recurrent",), {}, [(40, 9)]),
        (("conv 2 7 adaptive",), {}, [(2, 1, 7)]),
    ],
)
def test_networks_are_built_and_learn(lines, settings, shapes):
    made = model(*lines, **{"delay": 3.0} | settings)
    assert [tuple(layer.weight.shape) for layer in made[:-1]] == shapes
    events = lb.Events.from_dense(torch.rand(4, 30, 40) < 0.3, 1.0, batch_first=True)
    lb.calibrate(made, events, spikes=2)
    torch.nn.functional.cross_entropy(made(events), torch.tensor([0, 1, 2, 0])).backward()
    for layer in made[:-1]:
        assert not isinstance(layer.weight, torch.nn.Parameter) or layer.weight.grad.isfinite().all()


def test_what_lines_say():
    made = model("adaptive 12 tau_mem 30 delay 0", "conv 2 3 delay 5", tau_spread=0.0, delay=20.0, dt=1.0)
    assert made[0].delay is None
    assert made[0].tau_mem.unique().tolist() == [30.0]
    assert 0 < made[1].delay.max() <= 5
    assert made[1].tau_mem.unique().tolist() == [10.0]
    spread = model("conv 2 3", "resonator 50 period 12", dt=1.0, tau_spread=0.5)
    assert len(spread[0].tau_mem.unique()) == 2  # one for each channel
    assert len(spread[1].period.unique()) == 50
    assert made[0].recurrent is None


@pytest.mark.parametrize(
    ("n_units", "kernel", "stride", "places"), [(140, 15, 4, 32), (700, 77, 21, 30), (20, 2, 1, 19), (5, 1, 1, 5)]
)
def test_the_usual_network_scales_with_its_inputs(n_units, kernel, stride, places):
    conv, *hidden = build_model(Config(), n_units, 3)[:-1]
    assert conv.weight.shape == conv.delay.shape == (16, 1, kernel)
    assert conv.connections.geometry.stride[-1] == stride
    assert conv.out_features == 16 * places
    assert conv.delay.max() <= 60
    assert [layer.weight.shape[1] for layer in hidden] == [256, 256]
    for layer in hidden:
        assert 60 < layer.delay.max() <= 240
        assert layer.recurrent is not None


def test_hidden_in_place_of_the_usual_network():
    for settings in ({"hidden": 256}, {"input_shape": "4x10"}, {"layer": ("256 recurrent",)}):
        made = build_model(Config(**settings), 40, 3)
        assert [tuple(layer.weight.shape) for layer in made] == [(40, 256), (256, 3)]
    assert len(build_model(Config(layers=3, recurrent=False), 40, 3)) == 5
    assert len(build_model(Config(hidden=16, layers=2), 40, 3)) == 3


@pytest.mark.parametrize(
    ("line", "settings", "message"),
    [
        ("conv 16% 3", {}, "only what a convolution's kernel is like can be a share"),
        ("25%", {}, "share"),
        ("conv 2 120%", {}, "a share up to 100 %"),
        ("conv 2 x%", {}, "unknown"),
        ("conv 2 3x%", {}, "sizes must be a share"),
        ("conv 2 10%", {"input_shape": "4x10"}, "sizes in % are shares of the length of a signal"),
        ("conv 2 3 stride 0%", {}, "stride"),
    ],
)
def test_shares_that_are_none(line, settings, message):
    with pytest.raises(ValueError, match=message):
        model(line, **settings)


def test_widths():
    assert Config(hidden="64,32").widths == Config(hidden=[64, 32]).widths == (64, 32)
    assert Config(hidden="64").hidden == 64
    assert Config(hidden=64, layers=2).widths == (64, 64)
    made = build_model(Config(hidden="20,10"), 40, 3)
    assert [layer.out_features for layer in made] == [20, 10, 3]
    assert made[1].recurrent is not None


def test_settings_come_back_from_toml(tmp_path):
    config = Config(layer=("conv 4 3x3 'x'"[:10], "16 recurrent"), input_shape="5x8")
    for kept in (config, Config(hidden="64,32")):
        (tmp_path / "c.toml").write_text(kept.to_toml())
        assert Config.from_toml(tmp_path / "c.toml") == kept


@pytest.mark.parametrize("given", [{"hidden": 64}, {"layers": 2}, {"recurrent": False}])
def test_layers_are_said_in_one_way(given):
    """Else one of both would be passed over without a word."""
    with pytest.raises(ValueError, match=f"layer says all of the hidden layers; drop {next(iter(given))} = "):
        Config(layer=("16",), **given)


def test_older_runs_noted_a_width_that_they_did_not_have(tmp_path):
    (tmp_path / "c.toml").write_text('hidden = 256\nlayer = ["16"]\n')
    assert Config.from_toml(tmp_path / "c.toml") == Config(layer=("16",))
    (tmp_path / "c.toml").write_text('hidden = 64\nlayer = ["16"]\n')
    with pytest.raises(ValueError, match="drop hidden = 64"):
        Config.from_toml(tmp_path / "c.toml")


def test_rewiring_needs_sparse_layers():
    with pytest.raises(ValueError, match="rewire is of sparse layers"):
        check_layers(Config(rewire=0.1), 40)
    check_layers(Config(rewire=0.1, layer=("16", "sparse 16 density 0.5")), 40)


def test_a_map_is_followed_before_data_are_read():
    with pytest.raises(ValueError, match=r"layer 'conv 4 9x9': .*larger than"):
        Config(layer=("conv 4 3x3 stride 2", "conv 4 9x9"), input_shape="12x12")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a number of units, such as 256 recurrent"),
        ("lif", "needs a number of units"),
        ("conv 16", "needs channels and a kernel"),
        ("conv 4x4 5", "needs channels and a kernel"),
        ("pool", "needs a window"),
        ("sparse 256", "needs a density"),
        ("256 density 0.1", "density is of sparse"),
        ("sparse 256 density 0", r"density must lie in \(0, 1\]"),
        ("256 128", "needs a number of units, such as 256 recurrent, and no more sizes"),
        ("256 tau_mem 0", "tau_mem must be a positive number, got '0'"),
        ("256 tau_mem -1", "tau_mem must be a positive number, got '-1'"),
        ("256 tau_mem 0.5", "tau_mem must be at least 4, at dt 4, got 0.5"),
        ("resonator 9 period 3", "period must be at least 16, at dt 4, got 3"),
        ("256 delay 9999", "delay must be at most 248 ms, got 9999"),
        ("256 tau_adapt=200", "values follow behind a space"),
        ("64,32", "is one layer; for several give --layer again, or --hidden 64,32"),
        ("256 delay -1", "delay must be a number from 0 on, got '-1'"),
        ("sparse 256 density 2", r"density must lie in \(0, 1\]"),
        ("sparse 256 density -1", r"density must lie in \(0, 1\]"),
        ("256 tau_mem 10 tau_mem 20", "says tau_mem twice"),
        ("256 recurrent recurrent", "says recurrent twice"),
        ("lif lif 256", "says lif twice"),
        ("256 payload_bits 17", "payload_bits must be a whole number from 0 to 16, got '17'"),
        ("256 payload_bits 1.5", "payload_bits must be a whole number"),
        ("256 recurent 1", "did you mean 'recurrent'"),
        ("256 tau_men 10", "did you mean 'tau_mem'"),
        ("dense conv 16 5", "is dense or conv"),
        ("lif adaptive 16", "is lif or adaptive"),
        ("conv 16 5 recurrent", "only dense and sparse layers are recurrent"),
        ("256 beta 2", "'beta' is unknown; words are dense, sparse"),
        ("256 stride 2", "'stride' is unknown"),
        ("256 tau_mem", "'tau_mem' lacks its value"),
        ("256 tau_mem slow", "tau_mem must be a positive number, got 'slow'"),
        ("256 tau_mem nan", "tau_mem must be a positive number"),
        ("conv 16 5xx", "sizes must be whole numbers"),
        ("256 reset maybe", 'reset must be "zero" or "subtract"'),
        ("256 recurent", "'recurent' is unknown"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Config(layer=[text])


@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        (("conv 4 3x3",), {}, "its inputs do not lie in a map; --input-shape"),
        (("pool 2",), {}, "its inputs do not lie in a map"),
        (("conv 4 50",), {}, "larger than the 40"),
        (("16", "conv 4 3x3"), {}, "layer 'conv 4 3x3': its inputs do not lie in a map"),
        (("conv 4 3 groups 3",), {}, "multiple of groups"),
        (("16",), {"input_shape": "5x9"}, "input_shape 5x9 has 45 units, the data have 40"),
        (("16",), {"input_shape": "wide"}, "input_shape must be whole numbers"),
        (("0",), {}, "at least one unit"),
        (("10000000",), {}, "weights are too many"),
    ],
)
def test_what_does_not_fit_is_refused(lines, settings, message):
    with pytest.raises(ValueError, match=message):
        model(*lines, **settings)


@pytest.mark.parametrize(
    ("settings", "longest"), [({}, 30.0), ({"layer": ("8 delay 200",)}, 30.0), ({"dt": 0.2}, 12.4)]
)
def test_delays_leave_spikes_inside_the_sample(settings, longest):
    """Short samples, in which the usual delays would carry every spike past the end; and fine steps."""
    made = build_model(Config(**settings), 5, 3, 60.0)
    delays = [layer.delay.max() for layer in made[:-1] if layer.delay is not None]
    assert delays
    assert 0.8 * longest < max(delays) <= longest


def test_short_samples_have_finer_steps():
    data = lb.data.yin_yang(6, seed=0)
    assert [with_fine_steps(Config(dt=dt), data).dt for dt in (4.0, 0.5)] == [1.0, 0.5]
    assert with_fine_steps(Config(), data.with_duration(200.0)).dt == 4.0
    assert with_fine_steps(Config(), data.with_duration(61.0)).dt == 1.0
