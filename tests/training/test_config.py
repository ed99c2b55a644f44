"""Settings: TOML round trip and what is refused."""

from __future__ import annotations

import tomllib
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.layers.readout import REDUCTIONS
from lambent.training import Config


@settings(deadline=None)
@given(
    hidden=st.integers(1, 10_000),
    lr=st.floats(1e-9, 10),
    reset=st.sampled_from(["zero", "subtract"]),
    recurrent=st.booleans(),
)
def test_round_trip(tmp_path_factory, hidden, lr, reset, recurrent):
    config = Config(hidden=hidden, lr=lr, reset=reset, recurrent=recurrent)
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(config.to_toml())
    assert Config.from_toml(path) == config
    assert set(tomllib.loads(config.to_toml())) == {f.name for f in fields(Config)}


def test_groups():
    """Their titles are comments of the file, each once, and the keys of one stand together."""
    lines = Config().to_toml().splitlines()
    titles = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    assert titles == list(dict.fromkeys(f.metadata["group"] for f in fields(Config)))


def test_choices():
    for f in fields(Config):
        if f.metadata["choices"]:
            assert f.default in f.metadata["choices"]
            with pytest.raises(ValueError, match=f"{f.name} must be one of .*, got 'other'"):
                Config(**{f.name: "other"})
    reduce = next(f for f in fields(Config) if f.name == "reduce")
    assert {*reduce.metadata["choices"], "none"} == set(REDUCTIONS)


def test_partial_file_takes_defaults(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("hidden = 64\ntau_mem = 10\n")
    assert Config.from_toml(path) == Config(hidden=64, tau_mem=10.0)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("", None),
        ("qat_bits = 4", 4),
        ('qat_bits = "4"', 4),
        ("qat_bits = [4, 8, 8, 6]", (4, 8, 8, 6)),
        ('hidden = 64\nqat_bits = "4,8"', (4, 8)),
    ],
)
def test_bits(tmp_path, text, bits):
    path = tmp_path / "c.toml"
    path.write_text(text)
    config = Config.from_toml(path)
    assert config.weight_bits() == bits
    assert config.all_epochs == (100 if bits is None else 108)
    path.write_text(config.to_toml())
    assert Config.from_toml(path) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden = 3", "unknown key 'hiden'"),
        ("hidden = 0", "hidden must be at least 1"),
        ("hidden = 1.5", "hidden must be of type int"),
        ("lr = -1.0", "lr must be positive"),
        ("lr = nan", "lr must be positive"),
        ("dt = 1e300", r"dt must be at most 1e\+30"),
        ("duration = 1e39", r"duration must be at most 1e\+30"),
        ('reduce = "none"', "reduce"),
        ('schedule = "linear"', "schedule"),
        ("rate_lower = 20", "rate_upper"),
        ("shift = 1.5", "shift must be a share below 1, or a whole number, got 1.5"),
        ("stretch = -1", "stretch must be 0 or more"),
        ("mask = 1", r"mask must be in \[0, 1\)"),
        ("valid = 1.0", "valid"),
        ("qat_bits = 9", "qat_bits: weight_bits must be whole numbers from 2 to 8, got 9"),
        ('qat_bits = "4,"', "qat_bits: bits must be a number such as 4"),
        ("qat_bits = [4, 4]", "qat_bits: .* one for each of 4 layers"),
        ("qat_bits = 4.0", "qat_bits must be of type str"),
        ("qat_bits = 4\nqat_epochs = 0", "qat_epochs must be at least 1"),
        ('qat_bits = 4\nreset = "subtract"', "reset must be zero with qat_bits"),
        ("epochs = 0", "epochs must be at least 1"),
        ("hidden = ", "not a TOML file"),
        ("hidden = " + "[" * 9000, "not a TOML file"),
        ("hidden = " + "9" * 5000, "not a TOML file"),
        (".".join("a" * 30_000), "59,999 bytes are no settings"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        Config.from_toml(path)
    assert "c.toml" in str(error.value)
