"""`lambent export --format lava` and what other commands say of Lava; that Lava agrees, tests/hardware/loihi2 show."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lambent as lb
from lambent import cli
from lambent.hardware.loihi2 import load_lava, load_netx

Command = Callable[..., tuple[int, str, str]]
SETTINGS = ("--hidden", "8", "--epochs", "1", "--initial-spikes", "1", "--rate-lower", "0.2", "--shift", "0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recurrent run with delays, exported and evaluated."""
    folder = tmp_path_factory.mktemp("lava")
    lb.data.write_shd(folder / "train.h5", lb.data.yin_yang(200, seed=0))
    lb.data.write_shd(folder / "test.h5", lb.data.yin_yang(60, seed=1))
    with pytest.MonkeyPatch.context() as patch:
        for words in (
            ("train", folder / "train.h5", "--out", folder / "run", *SETTINGS),
            ("export", folder / "run"),
            ("evaluate", folder / "run", folder / "test.h5", "--chip"),
        ):
            patch.setattr(sys, "argv", ["lambent", *map(str, words)])
            with pytest.raises(SystemExit) as stop:
                cli.main()
            assert not stop.value.code
    return folder / "run"


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_the_program_is_the_exported_network(run: Command, folder: Path) -> None:
    before = (folder / "run.net").read_bytes(), (folder / "evaluation.npz").read_bytes()
    code, out, _ = run("export", folder, "--format", "lava", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1]) == {"path": str(folder / "lava"), "weight_bits": [8, 8]}
    assert out.splitlines()[0] == f"wrote {folder / 'lava'}: weights of 8 bits"
    assert f"python {folder / 'lava' / 'network.py'} INPUT.npz OUT.npz" in out
    assert ((folder / "run.net").read_bytes(), (folder / "evaluation.npz").read_bytes()) == before
    program, network = load_lava(folder / "lava"), load_netx(folder / "run.net")
    with np.load(folder / "lava" / "example.npz") as example:
        for own in (program, network):
            recording = own.run(example["spikes"][None])
            np.testing.assert_array_equal(recording.voltage[-1][0], example["v_1"])
            np.testing.assert_array_equal(recording.spikes[0][0], example["s_0"])
            np.testing.assert_allclose(own.logits(example["spikes"][None])[0], example["scores"])
    assert run("report", folder)[0] == 0
    page = (folder / "report.html").read_text()
    assert "On the chip" in page
    assert "not verified yet; in Lava" in page


def test_other_bits_elsewhere_leave_the_run_alone(run: Command, folder: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, out, _ = run("export", folder, "--format", "lava", "--weight-bits", "4", "--out", tmp_path / "four")
    assert (code, out.splitlines()[0]) == (0, f"wrote {tmp_path / 'four'}: weights of 4 bits")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert np.abs(load_lava(tmp_path / "four").layers[1].weight).max() <= 7 * 16  # type: ignore[attr-defined]


def test_another_network_is_said_to_be_one(run: Command, folder: Path) -> None:
    """What was made of the one before goes, and nothing else."""
    run("export", folder, "--format", "lava")
    (folder / "lava" / "input.npz").write_text("mine")
    code, out, _ = run("export", folder, "--weight-bits", "3")
    assert code == 0
    assert f"{folder / 'run.net'} is another network than before; gone, as of that one: evaluation.npz" in out
    assert [path.name for path in (folder / "lava").iterdir()] == ["input.npz"]
    assert not (folder / "evaluation.npz").exists()
    code, out, _ = run("export", folder, "--format", "lava", "--weight-bits", "3")
    assert (code, out.splitlines()[0]) == (0, f"wrote {folder / 'lava'}: weights of 3 bits")


def test_an_evaluation_of_the_float_model_outlives_exports(run: Command, trained: Path, folder: Path) -> None:
    """What `lambent train --test` evaluates is the model, whatever is exported of it, first or again."""
    for name in ("run.net", "export.json"):
        (folder / name).unlink()
    run("evaluate", folder, trained.parent / "test.h5")  # as train --test leaves it
    run("report", folder)
    for bits in ("8", "3"):
        code, out, _ = run("export", folder, "--weight-bits", bits)
        assert code == 0
        assert "another network" not in out
        assert (folder / "evaluation.npz").exists()
        assert (folder / "report.html").exists()


def test_who_can_run_it_is_said(run: Command, folder: Path, tmp_path: Path) -> None:
    code, out, _ = run("export", folder)
    assert code == 0
    assert "Lava (--format lava): runs it" in out
    assert "Lava's NetX reader: would not run it as meant: layer/1/delay: " in out
    assert "for that train with --delay 0 or with --no-recurrent" in out
    code, _, err = run("export", folder, "--lava-compatible")
    assert code == 1
    assert "train with --delay 0 or with --no-recurrent" in err
    assert "--format lava" in err
    train = folder.parent / "train.h5"
    lb.data.write_shd(train, lb.data.yin_yang(60, seed=0))
    for settings, said in (
        (
            (),
            "Loihi 2: will run in Lava, as a program (lambent export RUN --format lava), but not through Lava's NetX "
            "reader, which has no delays of recurrent layers",
        ),
        (("--no-recurrent",), "Loihi 2: will run in Lava, as a program (lambent export RUN --format lava) and through"),
        (
            ("--reset", "subtract"),
            "Loihi 2 resets to 0: no export with reset subtract; for that train with --reset zero",
        ),
    ):
        code, out, _ = run("train", train, "--out", tmp_path / "other", "--overwrite", *SETTINGS, *settings)
        assert code == 0
        assert said in out


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"weight_bits": 8}, "weight_bits must be a list of numbers, got 8"),
        ({"also": 5}, "also must be lists of file names, got 5"),
        ({"also": {"lava": "network.npz"}}, "also must be lists of file names"),
        ({"also": {"../elsewhere": ["a"]}}, "also must be lists of file names"),
        ({"also": {"lava": ["../config.toml"]}}, "also must be lists of file names"),
    ],
)
def test_a_damaged_export_is_named(run: Command, folder: Path, about: dict[str, object], message: str) -> None:
    known = json.loads((folder / "export.json").read_text())
    del known["crc"]
    (folder / "export.json").write_text(json.dumps(known | about))
    code, _, err = run("export", folder, "--format", "lava", "--weight-bits", "4")
    assert code == 1
    assert f"{folder / 'export.json'}: damaged: {message}" in err
    assert (folder / "config.toml").exists()


def test_a_damaged_run_can_be_replaced(run: Command, folder: Path, tmp_path: Path) -> None:
    lb.data.write_shd(tmp_path / "train.h5", lb.data.yin_yang(60, seed=0))
    run("export", folder, "--format", "lava")
    (folder / "config.toml").write_text("damaged [")
    assert run("train", tmp_path / "train.h5", "--out", folder, "--overwrite", *SETTINGS)[0] == 0
    assert not (folder / "lava").exists()
