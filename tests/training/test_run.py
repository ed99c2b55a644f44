"""Run folders: what makes one, what a new run removes, and damaged files, which are named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

import lambent as lb
from lambent.runs.evaluate import evaluate
from lambent.runs.evaluation import Evaluation
from lambent.runs.export import export_run
from lambent.runs.report import report_run
from lambent.training import Config, Run, build_model
from lambent.training.lock import LOCK, locked

FACTS = {"n_units": 5, "class_names": ["yin", "yang", "dot"], "duration": 60.0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """A run as training, exporting and evaluating leave it, but for the learning."""
    run = Run(tmp_path_factory.mktemp("runs") / "whole")
    config = Config(hidden=8)
    run.create(config, FACTS)
    model = build_model(config, 5, 3)
    run.save("best.pt", model.state_dict())
    run.save("checkpoint.pt", {"model": model.state_dict(), "optimizer": {}, "state": {}})
    run.write_text("metrics.jsonl", '{"epoch": 1, "seconds": 1.0}\n{"epoch": 2, "seconds": 1.0}\n')
    run.write_json("cost.json", {"error": "too large"})
    evaluate(model.eval(), data.subset(range(5)), "test").save(run.path("evaluation.npz"))
    return run


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path / "r")
    return Run(tmp_path / "r")


def test_a_whole_run_is_read(run):
    assert run.model()
    assert [m["epoch"] for m in run.metrics()] == [1, 2]
    assert run.read_json("cost.json") == {"error": "too large"}
    assert Evaluation.load(run.path("evaluation.npz")).summary()["n"] == 5


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", "{}", r"run\.json: damaged: lacks n_units, class_names, duration"),
        ("run.json", "[]", r"run\.json: damaged: must hold names and values, got list"),
        ("run.json", "", r"run\.json: damaged: Expecting value"),
        ("run.json", "\xff", r"run\.json: damaged: .* codec"),
        ("run.json", json.dumps(FACTS | {"n_units": "5"}), r"run\.json: damaged: n_units is '5'"),
        ("run.json", json.dumps(FACTS | {"class_names": [1]}), r"run\.json: damaged: class_names is \[1\]"),
        ("run.json", json.dumps(FACTS | {"duration": 0}), r"run\.json: damaged: duration is 0"),
        ("config.toml", "hidden = 9", r"best\.pt: .* they do not fit each other"),
        ("config.toml", "layers = 2\nhidden = 8", r"best\.pt: .* they do not fit each other"),
        ("best.pt", "PK", r"best\.pt: damaged checkpoint"),
    ],
)
def test_damaged_files_of_a_model(run, name, text, message):
    run.path(name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        run.model()


def test_facts_that_are_not_always_there(run):
    assert run.facts("versions")["versions"]
    with pytest.raises(ValueError, match=r"run\.json: damaged: lacks data, threads"):
        run.facts("data", "versions", "threads")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "must hold names and values, got list"),
        ({"model": 1}, "do not fit each other"),
        ({1: torch.zeros(2)}, "do not fit each other"),
    ],
)
def test_a_model_of_another_kind(run, value, message):
    run.save("best.pt", value)
    with pytest.raises(ValueError, match=rf"best\.pt: .*{message}"):
        run.model()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("export.json", "[1]", "must hold names and values"),
        ("export.json", "{}", "lacks weight_bits"),
        ("cost.json", "{}", "lacks .*latency"),
        ("host.json", "{}", "lacks costs"),
    ],
)
def test_damaged_json(run, name, text, message):
    run.path(name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}: damaged: ({message})"):
        run.read_json(name)


@pytest.mark.parametrize("number", ["9" * 5000, "1" + "0" * 30, "-1" + "0" * 30])
def test_numbers_that_are_no_numbers_of_ours(run, number):
    """Python refuses to read some, and to make floats of others."""
    run.path("export.json").write_text(f'{{"weight_bits": [{number}]}}')
    run.path("metrics.jsonl").write_text(f'{{"epoch": 1, "seconds": {number}}}\n')
    with pytest.raises(ValueError, match=r"export\.json: damaged: a number of \d+ digits"):
        run.read_json("export.json")
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 1: damaged: a number of \d+ digits"):
        run.metrics()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_an_export_does_not_wait_for_a_pipe(run):
    os.mkfifo(run.network)
    with pytest.raises(ValueError, match=r"r\.net: is a pipe or a device"):
        export_run(run)


def test_a_network_without_a_name(run):
    run.write_json("export.json", {"weight_bits": [8, 8], "file": 3})
    with pytest.raises(ValueError, match=r"export\.json: damaged: file must be a name such as run.net, got 3"):
        run.network  # noqa: B018


@pytest.mark.parametrize(
    "name", ["/tmp/other.net", "../other.net", "a/b.net", "", "..", "best.pt", "config.toml", "a\0.net"]
)
def test_a_folder_names_no_file_outside_itself(run, name):
    """Nor one of its own that is no network: whoever made the folder must not choose what is overwritten."""
    run.write_json("export.json", {"weight_bits": [8, 8], "file": name})
    with pytest.raises(ValueError, match=r"export\.json: damaged: file must be a name such as run.net, got"):
        _ = run.network


@pytest.mark.parametrize(
    "also", [[], {"lava": "x"}, {"..": ["x"]}, {"lava": ["../x"]}, {"lava": ["/etc/x"]}, {"/tmp": ["x"]}, {"lava": [1]}]
)
def test_nor_other_folders(run, also):
    run.write_json("export.json", {"weight_bits": [8, 8], "file": "r.net", "also": also})
    with pytest.raises(ValueError, match=r"export\.json: damaged: also must be lists of file names, got"):
        run.outdate()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_nor_what_a_link_in_it_leads_to(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/network.npz").touch()
    run.path("lava").symlink_to(tmp_path / "mine")
    run.write_json("export.json", {"weight_bits": [8, 8], "file": "r.net", "also": {"lava": ["network.npz"]}})
    for work in (run.outdate, run.programs):
        with pytest.raises(ValueError, match=r"lava: is a link out of the run's folder"):
            work()
    assert (tmp_path / "mine/network.npz").exists()


def test_a_report_reads_no_data_that_the_folder_names(run, tmp_path, monkeypatch):
    lb.data.write_shd(tmp_path / "secret.h5", lb.data.yin_yang(6, seed=0))
    run.write_json("run.json", run.read_json("run.json") | {"data": {"train": "", "test": str(tmp_path / "secret.h5")}})
    run.path("evaluation.npz").unlink()
    monkeypatch.setattr(lb.data.SpikeDataset, "from_shd", None)
    with pytest.raises(FileNotFoundError, match="not evaluated yet; run: lambent evaluate"):
        report_run(run)


@pytest.mark.parametrize("second", ['{"epoch": 2, "sec', '{"epoch": 2}', "3", ""])
def test_damaged_metrics(run, second):
    path = run.path("metrics.jsonl")
    path.write_text(f'{{"epoch": 1, "seconds": 1.0}}\n{second}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: damaged: "):
        run.metrics()


@pytest.mark.parametrize("size", [0, 1, 300, -30])
def test_damaged_evaluation(run, size):
    path = run.path("evaluation.npz")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"evaluation\.npz: damaged evaluation"):
        Evaluation.load(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        Evaluation.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(1 << 24, np.int64)}, "it claims to hold far more than its size"),
        ({"scores_float": np.full((5, 3), "1.0")}, "scores are no numbers"),
    ],
)
def test_an_evaluation_of_other_things(run, change, message):
    path = run.path("evaluation.npz")
    with np.load(path) as file:
        values = dict(file)
    np.savez_compressed(path, **(values | change))
    with pytest.raises(ValueError, match=rf"evaluation\.npz: damaged evaluation; evaluate again \({message}"):
        Evaluation.load(path)


def test_a_packed_model_is_not_unpacked(run):
    """A few bytes may stand for more than there is memory."""
    with zipfile.ZipFile(run.path("best.pt")) as file:
        parts = {part: file.read(part) for part in file.namelist()}
    with zipfile.ZipFile(run.path("best.pt"), "w", zipfile.ZIP_DEFLATED) as file:
        for part, content in parts.items():
            file.writestr(part, content)
    with pytest.raises(ValueError, match=r"best\.pt: damaged checkpoint: a file in it is packed"):
        run.model()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("best.pt", r"best\.pt is missing; was the run trained"),
        ("calibration.pt", r"calibration\.pt is missing$"),
        ("run.json", r"no training run here \(run\.json is missing\)"),
        ("config.toml", r"no training run here \(config\.toml is missing\)"),
    ],
)
def test_missing_files(run, name, message):
    run.path(name).unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match=message):
        run.load(name if name.endswith(".pt") else "best.pt")


def test_a_run_is_replaced_whole(run):
    for name in ("listen.html", "report.html"):
        run.path(name).touch()
    run.path("tensorboard").mkdir()
    run.path("tensorboard/events.0").touch()
    run.path("notes.txt").touch()
    run.create(Config(), FACTS)
    assert {path.name for path in run.folder.iterdir()} == {"run.json", "config.toml", "notes.txt"}


def test_a_creation_that_was_interrupted_is_repeated(tmp_path):
    run = Run(tmp_path)
    run.create(Config(), FACTS)
    run.path("config.toml").unlink()  # is written last
    assert not run.exists()
    run.create(Config(), FACTS)
    assert run.exists()


@pytest.mark.parametrize("names", [["config.toml"], ["config.toml", "metrics.jsonl"], ["run.json"]])
def test_a_folder_of_other_files_is_no_run(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text('{"mine": 1}')
    assert not Run(tmp_path).exists()
    with pytest.raises(ValueError, match="holds other files and no run"):
        Run(tmp_path).create(Config(), FACTS)
    assert all((tmp_path / name).read_text() == '{"mine": 1}' for name in names)


@pytest.mark.parametrize("change", [{"n_units": 1 << 30}, {"class_names": ["x"] * 4}])
def test_a_model_of_another_size_is_not_even_built(run, change):
    run.write_json("run.json", run.read_json("run.json") | change)
    with pytest.raises(ValueError, match=r"best\.pt: .* they do not fit each other"):
        run.model()


def test_every_change_of_a_run_is_noticed(run):
    """But of settings that may change, and in comments."""
    for name in ("run.json", "cost.json", "metrics.jsonl", "best.pt", "evaluation.npz"):
        good = run.path(name).read_bytes()
        before = _read(run)
        for at in range(0, len(good), max(1, len(good) // 60)):
            run.path(name).write_bytes(good[:at] + bytes([good[at] ^ 16]) + good[at + 1 :])
            try:
                found = _read(run)
            except ValueError as error:
                assert name in str(error)  # noqa: PT017
            else:
                assert found == before, (name, at)
        run.path(name).write_bytes(good)


def _read(run):
    values = {key: value.tolist() for key, value in run.model().state_dict().items()}
    scores = Evaluation.load(run.path("evaluation.npz"))
    return (
        values, {key: run.facts()[key] for key in FACTS}, run.metrics(), run.read_json("cost.json")["error"],
        scores.data, {kind: x.tobytes() for kind, x in scores.scores.items()}, scores.labels.tobytes(),
    )  # fmt: skip


def test_settings_that_must_not_change(tmp_path):
    run = Run(tmp_path)
    run.create(Config(), FACTS | {"settings": vars(Config())})
    text = run.path("config.toml").read_text()
    run.write_text("config.toml", text.replace("epochs = 100", "epochs = 70"))
    assert run.config().epochs == 70
    run.write_text("config.toml", text.replace("dt = 4.0", "dt = 2.0"))
    with pytest.raises(ValueError, match=r"config\.toml: dt was 4\.0 when the run began, is 2\.0"):
        run.config()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_a_lock_is_a_file_of_the_folder(tmp_path, kind):
    """Through a link in somebody's folder any file would be emptied."""
    own, lock = tmp_path / "precious", tmp_path / LOCK
    own.write_text("mine")
    make = {
        "link": lambda: lock.symlink_to(own), "dangling link": lambda: lock.symlink_to(tmp_path / "new"),
        "folder": lock.mkdir, "pipe": lambda: os.mkfifo(lock),
    }  # fmt: skip
    make[kind]()
    with (
        pytest.raises(ValueError, match=r"\.lock: is a link, a folder or a pipe, not a lock; remove it"),
        locked(tmp_path),
    ):
        pass
    assert own.read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_one_training_at_a_time(tmp_path):
    """Another process is kept out until this one ends, however it does; what it leaves keeps nobody out."""
    code = "import sys, time\nfrom pathlib import Path\nfrom lambent.training.lock import locked\n"
    code += "with locked(Path(sys.argv[1])):\n print('there', flush=True)\n time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "there\n"
        with pytest.raises(ValueError, match=f"process {other.pid} on .* is training there"), locked(tmp_path):
            pass
        other.kill()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path), pytest.raises(ValueError, match="this process is training there"), locked(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()
