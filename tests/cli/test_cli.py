"""The command line, by running it: the whole way on a small file, and what it says to mistakes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields

import pytest

import lambent as lb
from lambent.cli._common import show_recall
from lambent.hardware.chip import CHIPS, find_chip

SMALL = [
    "--hidden", "20", "--epochs", "2", "--batch-size", "50", "--initial-spikes", "1", "--rate-lower", "0.2",
    "--shift", "0", "--dt", "1", "--delay", "5", "--no-recurrent",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    train, test = folder / "train.h5.gz", folder / "test.h5"
    lb.data.write_shd(train, lb.data.yin_yang(200, seed=0))
    lb.data.write_shd(test, lb.data.yin_yang(60, seed=1))
    return train, test


def last_line(out):
    return json.loads(out.strip().splitlines()[-1])


def test_validation_from_a_file(run, files, tmp_path):
    train, voices = files
    folder = tmp_path / "words"
    options = ("train", train, "--out", folder, "--validate", voices)
    code, _, _ = run(*options, *SMALL)
    assert code == 0
    facts = lb.training.Run(folder).facts("data")
    assert facts["data"]["valid"] == str(voices.resolve())
    assert facts["samples"] == 200  # all are trained on
    code, _, error = run("train", train, "--out", folder, "--resume")
    assert code == 1
    assert "was validated on other data; give the same --validate" in error
    code, out, _ = run("train", train, "--out", folder, "--validate", voices, "--resume")
    assert code == 0
    data = lb.data.SpikeDataset.from_shd(voices, facts["duration"])
    scores, labels = lb.training.predict(lb.training.Run(folder).model(), data)
    accuracy = 100 * (scores.argmax(1) == labels).double().mean()
    assert f"validation accuracy {accuracy:.2f} %" in out


def test_the_whole_way(run, files, tmp_path):
    train, test = files
    folder = tmp_path / "words"
    code, out, _ = run("train", train, "--test", test, "--out", folder, *SMALL, "--json")
    assert code == 0
    result = last_line(out)
    assert result["finished"] is True
    assert result["epochs"] == 2
    assert 0 <= result["accuracy_test"] <= 1
    history = lb.training.Run(folder).metrics()
    assert result["val_accuracy"] == max(m["val_accuracy"] for m in history)
    assert result["best_epoch"] in (1, 2)
    assert result["seconds"] == pytest.approx(sum(m["seconds"] for m in history))
    assert f"kept: the network of epoch {result['best_epoch']}, validation accuracy" in out

    code, out, _ = run("export", folder, "--weight-bits", 6, "--json")
    assert code == 0
    assert (folder / "words.net").exists()
    assert [x["weight_bits"] for x in last_line(out)["layers"]] == [6, 6]
    code, out, _ = run("export", folder, "--weight-bits", "6,8", "--json")
    assert code == 0
    assert [x["weight_bits"] for x in last_line(out)["layers"]] == [6, 8]

    code, out, _ = run("export", folder, "--format", "nir", "--json")
    assert code == 0
    assert last_line(out)["path"] == str(folder / "words.nir")
    assert isinstance(lb.import_nir(folder / "words.nir")[-1], lb.LIReadout)
    for_norse = ("export", folder, "--format", "nir", "--target", "norse", "--out", folder / "norse.nir", "--json")
    code, _, error = run(*for_norse)
    assert code == 1
    assert "layer 0 (LIF): delay is up to" in error
    assert "lambent train --delay 0" in error
    assert not (folder / "norse.nir").exists()

    code, out, _ = run("evaluate", folder, test, "--chip", "--host", "--json")
    assert code == 0
    result = last_line(out)
    assert result["n"] == 60
    assert result["cost"]["modelled"] is True
    assert [x["batch"] for x in result["host"]] == [1, 60]
    assert "modelled for Loihi 2" in out
    assert "measured on cpu" in out
    assert {"accuracy", "accuracy_quantised", "accuracy_chip", "agreement"} <= result.keys()
    assert [x["class"] for x in result["classes"]] == ["yin", "yang", "dot"]
    for kind, accuracy in (("float", "accuracy"), ("chip", "accuracy_chip"), ("quantised", "accuracy_quantised")):
        right = sum(x["n"] * x[kind] for x in result["classes"])
        assert right / 60 == pytest.approx(result[accuracy])
    assert "recall of each class" in out

    code, out, _ = run("simulate", folder / "words.net", test, "--json")
    assert code == 0
    assert last_line(out)["accuracy"] == pytest.approx(result["accuracy_chip"])
    assert last_line(out)["cost"]["energy"] == pytest.approx(result["cost"]["energy"])
    assert "cores of 1 chip" in out

    code, out, _ = run("report", folder, "--json")
    assert code == 0
    assert (folder / "report.html").stat().st_size == last_line(out)["bytes"]
    page = (folder / "report.html").read_text()
    for words in ("Accuracy", "words", "hidden 1", "readout", "words, Loihi 2", "words, cpu", "Jetson Orin Nano"):
        assert words in page

    both = tmp_path / "both.html"
    shutil.copytree(folder, tmp_path / "copy")
    code, out, _ = run("report", folder, tmp_path / "copy", "--out", both, "--json")
    assert code == 0
    assert [x["float"] for x in last_line(out)["runs"]] == 2 * [result["accuracy"]]
    assert both.stat().st_size == last_line(out)["bytes"]
    assert run("report", folder, folder)[0] == 1

    for what in (folder, folder / "words.net"):
        code, out, _ = run("info", what, "--json")
        assert code == 0
        assert last_line(out)
    assert last_line(out)["cores"] == 2
    for what in (folder, folder / "words.net"):
        out = run("info", what)[1]
        assert not set("{}[]") & set(out)  # no raw values
    assert run("info", folder)[1].count("hidden = 20") == 1


def test_quantisation_aware(run, files, tmp_path):
    """From a float run to the chip: what is tested, exported and simulated is the same network."""
    train, test = files
    start, folder = tmp_path / "float", tmp_path / "words4"
    run("train", train, "--out", start, *SMALL)
    args = ("--out", folder, "--from", start, "--qat-bits", "4,6", "--qat-epochs", 2, "--test", test, "--json")
    code, out, err = run("train", train, *args)
    assert code == 0, err
    assert out.count("quantised  loss") == 2
    assert "test accuracy (chip)" in out
    result = last_line(out)
    assert result["epochs"] == 2
    kept = (folder / "config.toml").read_text()
    for line in ("hidden = 20", "epochs = 0", 'qat_bits = "4,6"'):
        assert line in kept
    code, out, _ = run("export", folder, "--json")
    assert code == 0
    assert [x["weight_bits"] for x in last_line(out)["layers"]] == [4, 6]
    code, out, _ = run("evaluate", folder, test, "--chip", "--json")
    assert code == 0
    assert last_line(out)["accuracy_chip"] == result["accuracy_test"]
    assert "trained with quantised weights" in out
    assert "accuracy_quantised" not in last_line(out)  # the float network has the rounded weights already
    code, out, _ = run("simulate", folder / "words4.net", test, "--json")
    assert last_line(out)["accuracy"] == pytest.approx(result["accuracy_test"])
    assert run("report", folder)[0] == 0
    assert "weights of 4,6 bits in the last 2 epochs" in (folder / "report.html").read_text()
    assert "other bits" not in out
    code, out, _ = run("export", folder, "--weight-bits", 8, "--json")
    assert [x["weight_bits"] for x in last_line(out)["layers"]] == [8, 8]
    assert "warning: the network was trained for weights of other bits" in out
    code, out, _ = run("evaluate", folder, test, "--chip", "--json")
    assert "accuracy_quantised" in last_line(out)
    assert "trained with quantised weights" not in out
    assert "words4.net, weights of 8, 8 bits" in out
    assert run("report", folder)[0] == 0


def test_a_network_that_fits_no_chip(run, files, tmp_path, monkeypatch):
    """Everything but the cost is there, and the reason is said."""
    train, test = files
    run("train", train, "--out", tmp_path / "r", *SMALL)
    run("export", tmp_path / "r")
    monkeypatch.setattr("lambent.hardware.loihi2.placement.mapping.CORES", 1)
    for args in (("evaluate", tmp_path / "r", test, "--chip"), ("simulate", tmp_path / "r" / "r.net", test)):
        code, out, err = run(*args)
        assert code == 0, err
        assert "no modelled cost: the network needs 2 cores" in out
    code, out, _ = run("info", tmp_path / "r" / "r.net")
    assert code == 0
    assert "does not fit on a chip: the network needs 2 cores" in out
    assert run("report", tmp_path / "r")[0] == 0
    assert "Jetson" not in (tmp_path / "r" / "report.html").read_text()


def test_evaluate_without_chip(run, files, tmp_path):
    train, test = files
    run("train", train, "--out", tmp_path / "r", *SMALL)
    code, out, _ = run("evaluate", tmp_path / "r", test, "--json")
    assert code == 0
    assert last_line(out).keys() == {"accuracy", "n", "classes"}
    assert run("report", tmp_path / "r")[0] == 0
    run("evaluate", tmp_path / "r", test, "--chip")
    assert "replaced the earlier evaluation with --chip" in run("evaluate", tmp_path / "r", test)[1]
    assert "replaced" not in run("evaluate", tmp_path / "r", test)[1]
    run("evaluate", tmp_path / "r", test, "--chip")
    kept = (tmp_path / "r" / "evaluation.npz").read_bytes()
    code, out, _ = run("evaluate", tmp_path / "r", tmp_path / "none.h5")
    assert code == 1
    assert "replaced" not in out
    assert (tmp_path / "r" / "evaluation.npz").read_bytes() == kept


def test_the_runs_own_network_by_its_path(run, files, tmp_path):
    train, test = files
    folder = tmp_path / "r"
    run("train", train, "--out", folder, *SMALL)
    for bits in (8, 3):
        assert run("export", folder, "--weight-bits", bits, "--out", folder / "r.net")[0] == 0
        assert not (folder / "evaluation.npz").exists()
        code, out, err = run("evaluate", folder, test, "--chip")
        assert code == 0, err
        assert f"r.net, weights of {bits}, {bits} bits" in out


def test_going_on_keeps_the_duration(run, tmp_path):
    """A test set that lasts longer than the training data fits a run that goes on, with or without it at hand."""
    long, short = tmp_path / "long.h5", tmp_path / "short.h5"
    data = lb.data.yin_yang(200, seed=0)
    spikes = (data.times, data.units, data.offsets, data.labels, data.n_units)
    lb.data.write_shd(long, lb.data.SpikeDataset(*spikes, 70.0, data.class_names))
    lb.data.write_shd(short, lb.data.SpikeDataset(*spikes, 60.0, data.class_names))
    a, b = tmp_path / "a", tmp_path / "b"
    assert run("train", short, "--test", long, "--out", a, *SMALL)[0] == 0
    assert run("train", short, "--from", a, "--qat-bits", 4, "--qat-epochs", 1, "--out", b)[0] == 0
    assert run("evaluate", b, long, "--chip")[0] == 0
    assert [lb.training.Run(x).facts()["duration"] for x in (a, b)] == [70.0, 70.0]
    code, out, err = run("train", short, "--out", a, "--resume")
    assert code == 0, err
    assert "finished already" in out
    late = lb.data.SpikeDataset(*spikes, 80.0, data.class_names)
    lb.data.write_shd(tmp_path / "late.h5", late)
    assert run("train", tmp_path / "late.h5", "--from", a, *SMALL[2:], "--out", tmp_path / "d")[0] == 0
    assert lb.training.Run(tmp_path / "d").facts()["duration"] == 80.0
    assert f"the run began with --test {long}; give it again" in out


def test_settings_of_a_run_stay(run, files, tmp_path):
    folder = tmp_path / "r"
    run("train", files[0], "--out", folder, *SMALL)
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(config.replace("lr = 0.005", "lr = 0.5"))
    code, _, err = run("train", files[0], "--out", folder, "--resume")
    assert code == 1
    assert "lr was 0.005 when the run began, is 0.5" in err
    (folder / "config.toml").write_text("\ufeff" + config.replace("epochs = 2", "epochs = 3"))
    code, out, err = run("train", files[0], "--out", folder, "--resume", "--json")
    assert code == 0, err
    assert last_line(out)["epochs"] == 3


def test_version(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out == f"lambent {lb.__version__}\n"


def test_json_knows_no_infinity(run, files, tmp_path):
    run("train", files[0], "--out", tmp_path / "r", *SMALL, "--rate-upper", "inf")
    code, out, _ = run("info", tmp_path / "r", "--json")
    assert code == 0
    assert last_line(out)["config"]["rate_upper"] is None


def test_lines_that_can_be_pasted(run, files, tmp_path, monkeypatch):
    folder = tmp_path / ("a long name :bug: [b] " * 5)
    monkeypatch.setattr("lambent.runs.train.train_run", lambda *_, **__: False)
    code, out, _ = run("train", files[0], "--out", folder, *SMALL)
    assert code == 130
    line = next(line for line in out.splitlines() if "go on with" in line)
    assert shlex.split(line.partition("with: ")[2])[2:] == [str(files[0]), "--out", str(folder), "--resume"]


def test_a_renamed_run_keeps_its_network(run, files, tmp_path):
    train, test = files
    run("train", train, "--out", tmp_path / "a", *SMALL)
    run("export", tmp_path / "a", "--weight-bits", 4)
    (tmp_path / "a").rename(tmp_path / "b")
    run("evaluate", tmp_path / "b", test, "--chip")
    assert [p.name for p in (tmp_path / "b").glob("*.net")] == ["a.net"]
    run("train", train, "--out", tmp_path / "b", *SMALL, "--overwrite")
    assert not list((tmp_path / "b").glob("*.net"))


def test_config_file_and_options(run, files, tmp_path):
    settings = tmp_path / "s.toml"
    settings.write_text(
        "hidden = 10\nepochs = 1\nrecurrent = false\ninitial_spikes = 1.0\nrate_lower = 0.2\nshift = 0\n"
    )
    code, *_ = run("train", files[0], "--out", tmp_path / "r", "--config", settings, "--hidden", "12")
    assert code == 0
    kept = (tmp_path / "r" / "config.toml").read_text()
    assert "hidden = 12" in kept
    assert "epochs = 1" in kept


@pytest.mark.skipif(sys.platform == "win32", reason="no process can be sent SIGINT there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # Ctrl-C; SLURM, docker
def test_interrupt_saves_and_resume_goes_on(files, tmp_path, number):
    folder = tmp_path / "r"
    settings = [*SMALL, "--epochs", "500"]
    command = [sys.executable, "-m", "lambent", "train", str(files[0]), "--out", str(folder), *settings]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "--resume" in out
    done = len((folder / "metrics.jsonl").read_text().splitlines())
    command = [*command[:4], str(files[0]), "--out", str(folder), "--resume", "--json", "--epochs", str(done + 2)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert last_line(out)["epochs"] == done + 2
    assert f"\nepochs = {done + 2} " in (folder / "config.toml").read_text()


@pytest.mark.parametrize("command", ["demo", "train", "export", "evaluate", "simulate", "report", "info", "sweep"])
def test_help(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert len(out) > 200
    assert "--json" in out


def test_help_of_a_narrow_terminal_is_whole(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    _, out, _ = run("--help")
    assert "..." not in out.partition("Commands:")[2]
    assert max(map(len, out.splitlines())) <= 50
    monkeypatch.setenv("COLUMNS", "80")
    listed = run("--help")[1].partition("Commands:\n")[2].splitlines()
    assert len(listed) == 10  # a line each


def test_help_of_train_is_in_groups(run):
    """Every setting under the title of its group, with its default."""
    _, out, _ = run("train", "--help")
    sections = dict(re.findall(r"^(\S[^\n]*):\n((?:  .*\n)+)", out, re.MULTILINE))
    for f in fields(lb.training.Config):
        shown = sections[f.metadata["group"]].partition(f"--{f.name.replace('_', '-')} ")[2].partition("\n  --")[0]
        default = str(f.default).lower() if isinstance(f.default, bool) else str(f.default)
        default = "" if f.default == () else default
        assert not default or f"[default: {default}]" in " ".join(shown.split()), f.name
    assert "--help" in sections["Options"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("lambent tr", ["train"]),
        ("lambent train --readout-tau-m", ["--readout-tau-mem"]),
        ("lambent train --reduce m", ["mean", "max"]),
        ("lambent train --chip ", list(CHIPS)),
        ("lambent export r --format ", [*(x for name in CHIPS for x in find_chip(name).formats), "nir"]),
        ("lambent export r --target ", ["generic", "norse", "snntorch", "sinabs"]),
    ],
)
def test_completion(run, monkeypatch, words, found):
    monkeypatch.setenv("_LAMBENT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    assert run()[1].split() == found


def test_many_classes_show_the_worst(capsys):
    show_recall([{"class": f"word {c}", "n": 5 * (c != 3), "float": c / 40} for c in range(40)])
    out = capsys.readouterr().out
    assert "20 worst of 39 classes" in out
    assert "word 0 " in out
    assert "word 3 " not in out  # of which there was no sample
    assert "word 30" not in out


def test_info(run):
    code, out, _ = run("info", "--json")
    assert code == 0
    assert "lambent" in last_line(out)["versions"]


def test_mistakes_are_one_clear_line(run, files, tmp_path):
    train, test = files
    other = tmp_path / "other.h5"
    lb.data.write_shd(other, lb.data.yin_yang(200, seed=2))
    run("train", train, "--out", tmp_path / "r", *SMALL)
    for args, message in [
        (("train", other, "--out", tmp_path / "r", "--resume"), "was trained on other data"),
        (("train", tmp_path / "no.h5", "--out", tmp_path / "x"), "no.h5: No such file or directory"),
        (("train", __file__, "--out", tmp_path / "x"), "test_cli.py"),
        (("train", train, "--out", tmp_path / "r"), "--resume"),
        (("train", train, "--out", tmp_path / "x", "--lr", "-1"), "lr must be positive"),
        (("train", train, "--out", tmp_path / "r", "--resume", "--lr", "1"), "--lr"),
        (("train", train, "--out", tmp_path / "nothing", "--resume"), "nothing"),
        (("train", train, "--out", tmp_path / "r", "--resume", "--from", tmp_path / "r"), "--from"),
        (("train", train, "--out", tmp_path / "r", "--overwrite", "--from", tmp_path / "r"), "another folder"),
        (("train", train, "--out", tmp_path / "x", "--from", tmp_path / "no"), "config.toml"),
        (("train", train, "--out", tmp_path / "x", "--from", tmp_path / "r", "--config", __file__), "--config"),
        (("train", train, "--out", tmp_path / "x", "--from", tmp_path / "r", "--hidden", "9"), "hidden = 20"),
        (("train", train, "--out", tmp_path / "x", "--qat-bits", "1"), "qat_bits"),
        (("train", train, "--out", tmp_path / "x", "--seed", 10**20), "seed must be below 2^63"),
        (("train", train, "--out", tmp_path / "x", "--hidden", 10**12), "hidden must be at most 16,384"),
        (("train", train, "--out", tmp_path / "r", "--resume", "--overwrite"), "drop one of them"),
        (("train", train, "--out", tmp_path / "r", "--from", tmp_path / "r"), "is the run to start from"),
        (("info", tmp_path / "nosuch.net"), "nosuch.net: no such file or folder"),
        (("export", tmp_path / "r", "--out", tmp_path), "is a folder; name a file in it"),
        (("export", tmp_path / "r", "--out", tmp_path / "no" / "r.net"), "no: no such folder"),
        (("encode", tmp_path, tmp_path / "o.h5", "--split", "a=0.1", "--split", "a=0.2"), "--split a is given twice"),
        (("export", tmp_path / "r", "--weight-bits", 9), "weight_bits must be"),
        (("export", tmp_path / "r", "--weight-bits", "4,x"), "such as 4,8"),
        (("export", tmp_path), "config.toml"),
        (("export", tmp_path / "r", "--format", "nir", "--weight-bits", 4), "--weight-bits"),
        (("export", tmp_path / "r", "--target", "norse"), "--target is of --format nir"),
        (("export", tmp_path / "r", "--format", "nir", "--target", "brian"), "target must be one of generic, norse"),
        (("evaluate", tmp_path / "r", tmp_path / "no.h5"), "no.h5"),
        (("report", tmp_path / "r"), "not evaluated yet"),
        (("simulate", test, test), "test.h5"),
        (("info", tmp_path), "config.toml"),
    ]:
        code, out, err = run(*args)
        assert code == 1, (args, out, err)
        assert err.startswith("error: "), err
        assert message in err.replace("\n", ""), err
        assert "Traceback" not in err
    assert not (tmp_path / "x").exists()
    for args in (("train", train), ("nonsense",)):
        assert run(*args)[0] == 2


def test_other_classes_are_refused(run, files, tmp_path):
    data = lb.data.yin_yang(60, seed=1)
    other = lb.data.SpikeDataset(data.times, data.units, data.offsets, data.labels, 5, 60.0, ["a", "b", "c"])
    lb.data.write_shd(tmp_path / "other.h5", other)
    code, _, err = run("train", files[0], "--test", tmp_path / "other.h5", "--out", tmp_path / "x", *SMALL)
    assert code == 1
    assert "classes" in err
    run("train", files[0], "--out", tmp_path / "r", *SMALL)
    run("export", tmp_path / "r")
    code, _, err = run("simulate", tmp_path / "r" / "r.net", tmp_path / "other.h5")
    assert code == 1
    assert "other.h5: classes ['a', 'b', 'c'] are not those trained on" in err


def test_damaged_results_of_a_run_are_named(run, files, tmp_path):
    train, test = files
    folder = tmp_path / "r"
    run("train", train, "--out", folder, *SMALL)
    run("evaluate", folder, test, "--chip", "--host")
    for name, damage in (
        ("cost.json", lambda x: x | {"counts": 3}),
        ("host.json", lambda x: {"costs": [{}]}),
    ):
        kept = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(damage(kept)))
        code, _, err = run("report", folder)
        assert code == 1
        assert f"{name}: damaged" in err.replace("\n", "")
        (folder / name).write_text(json.dumps(kept))
    for args in (
        ("train", train, "--out", test),
        ("train", train, "--out", test.parent),
        ("demo", "--out", test.parent),
    ):
        code, out, err = run(*args)
        assert code == 1
        assert "needs a folder" in err or "holds other files" in err
        assert "samples" not in out
