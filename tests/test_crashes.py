"""Killed, or out of disk, at any file operation: the same command, or --resume, goes on to the same result."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import lambent as lb
from crashing import count, failing_at, killed_at
from lambent.runs.evaluate import evaluate_run
from lambent.runs.export import export_as, export_run
from lambent.runs.report import report_run
from lambent.training import Config, Run, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
FACTS = {"n_units": 5, "class_names": ["yin", "yang", "dot"], "duration": 60.0, "threads": 1, "data": {"train": "x"}}
SMALL = Config(hidden=6, epochs=2, batch_size=16, valid=0.25, shift=0, blend=0.0, qat_bits="4", qat_epochs=1, delay=5.0)


class Quiet:
    def batch(self, *_):
        pass

    def epoch(self, *_):
        pass


@pytest.fixture(scope="module")
def data():
    return lb.data.yin_yang(32, seed=0)


def begin_or_resume(folder, data):
    """What a user does: go on if there is a run, else the same command."""
    run = Run(folder)
    train(run, SMALL, data, Quiet(), facts=FACTS, resume=run.exists())


def contents(folder):
    """What is in a folder, but for times and names that say when."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".pt":
            found[name] = _plain(torch.load(path, weights_only=True))
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {key: arrays[key].tobytes() for key in arrays}
        elif path.suffix == ".html":
            found[name] = True
        elif path.name == "metrics.jsonl":
            timed = ("seconds", "samples_per_s", "crc")
            found[name] = [{k: m[k] for k in m if k not in timed} for m in Run(folder).metrics()]
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def _plain(x):
    if isinstance(x, torch.Tensor):
        return x.dtype, x.tolist()
    if isinstance(x, dict):
        return {key: _plain(value) for key, value in x.items() if key != "seconds"}
    return [_plain(y) for y in x] if isinstance(x, (list, tuple)) else x


def same(a, b):
    assert a.keys() == b.keys()
    assert [name for name in a if a[name] != b[name]] == []


def points(n, step):
    """Operations to strike at: the first, the last, every `step`-th between; all of them where LAMBENT_ALL is set."""
    return range(n) if "LAMBENT_ALL" in os.environ else sorted({0, 1, 2, *range(0, n, step), n - 2, n - 1})


def test_training(tmp_path, data):
    wanted = tmp_path / "whole"
    n = count(lambda: begin_or_resume(wanted, data), tmp_path)
    assert n > 60
    for at in points(n, 7):
        for after in (False, True):
            killed_at(lambda: begin_or_resume(tmp_path / "r", data), tmp_path, at, after)
            begin_or_resume(tmp_path / "r", data)
            same(contents(tmp_path / "r"), contents(wanted))
            shutil.rmtree(tmp_path / "r")
        failing_at(lambda: begin_or_resume(tmp_path / "r", data), tmp_path, at)
        begin_or_resume(tmp_path / "r", data)
        same(contents(tmp_path / "r"), contents(wanted))
        shutil.rmtree(tmp_path / "r")


def test_overwriting(tmp_path, data):
    """A run that is replaced is either still there or can be begun again."""

    def replace_run():
        train(Run(tmp_path / "r"), dataclasses.replace(SMALL, qat_bits="", epochs=1), data, Quiet(), facts=FACTS)

    replace_run()
    wanted = contents(tmp_path / "r")
    n = count(replace_run, tmp_path)
    (tmp_path / "r/notes.txt").write_text("mine")
    for at in points(n, 4):
        killed_at(replace_run, tmp_path, at, after=True)
        replace_run()
        same(contents(tmp_path / "r"), wanted | {"notes.txt": b"mine"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("runs") / "r"
    begin_or_resume(folder, data)
    return folder


@pytest.mark.parametrize("step", ["export", "lava", "nir", "report"])
def test_steps_on_a_run(trained, tmp_path, data, step):
    here = tmp_path / "r"

    def work():
        run = Run(here)
        if step == "export":
            export_run(run, 8)
        elif step == "lava":
            export_as(run, "lava")
        elif step == "nir":
            lb.export_nir(run.model(), run.network.with_suffix(".nir"))
        else:
            evaluate_run(run, data, "test", chip=True)
            report_run(run)

    shutil.copytree(trained, here)
    n = count(work, tmp_path)
    wanted = contents(here)
    shutil.rmtree(here)
    for at in points(n, 8):
        for strike in (lambda: killed_at(work, tmp_path, at, True), lambda: failing_at(work, tmp_path, at)):  # noqa: B023
            shutil.copytree(trained, here)
            strike()
            work()
            same(contents(here), wanted)
            shutil.rmtree(here)


def test_encode(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    for word in ("high", "low"):
        for i in range(3):
            path = tmp_path / "said" / word / f"{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * np.sin((0.2 + 0.1 * i) * np.arange(2000)), 8000)
    out = tmp_path / "out"

    def work():
        lb.data.encode_recordings(tmp_path / "said", out / "words.h5", 20, splits={"test": 0.34})

    out.mkdir()
    n = count(work, out)
    wanted = contents(out)
    assert sorted(wanted) == ["words.h5", "words_test.h5"]
    for at in points(n, 4):
        for strike in (lambda: killed_at(work, out, at, True), lambda: failing_at(work, out, at)):  # noqa: B023
            shutil.rmtree(out)
            out.mkdir()
            strike()
            if any(out.glob("*.parts/*")) or not (out / "words.h5").exists():  # else it was done
                work()
            same(contents(out), wanted)


def test_fit(tmp_path, data):
    def work(folder):
        def go():
            torch.manual_seed(0)
            model = torch.nn.Sequential(lb.LIF(5, 6), lb.LIReadout(6, 3))
            lb.fit(model, data, valid=0.25, epochs=2, progress=False, folder=folder,
                   resume=(folder / "checkpoint.pt").exists())  # fmt: skip

        return go

    n = count(work(tmp_path / "whole"), tmp_path)
    for at in points(n, 6):
        killed_at(work(tmp_path / "r"), tmp_path, at, after=True)
        work(tmp_path / "r")()
        same(contents(tmp_path / "r"), contents(tmp_path / "whole"))
        shutil.rmtree(tmp_path / "r")
