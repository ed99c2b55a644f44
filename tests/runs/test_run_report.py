"""Evaluations keep what reports show; reports of all kinds of runs."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from spoken_runs import older, spoken

import lambent as lb
from lambent.runs.curve import Curve
from lambent.runs.evaluate import evaluate_run, samples_to_show
from lambent.runs.evaluation import Evaluation
from lambent.runs.report import answers, report_run
from lambent.training import Config, Run
from lambent.training.confidence import confidence


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="([\w-]+)"', page)


def test_an_evaluation_is_kept_whole(trained):
    run, test = trained("words"), spoken(130, 1, files=["\udcff" + str(i) for i in range(130)])
    made = evaluate_run(run, test, "test", chip=False)
    kept = Evaluation.load(run.path("evaluation.npz"))
    assert kept.files == made.files == test.files
    assert kept.checksum == made.checksum == test.checksum()
    for x, y in ((kept, made), (kept.course, made.course)):
        for name in set(vars(x)) & {"speakers", "shown", "labels", "times", "samples", "answers"}:
            if name != "samples" or x is kept.course:
                assert np.array_equal(getattr(x, name), getattr(y, name)), name
    assert np.array_equal(kept.speakers, test.speakers)
    events, _ = test.batch(kept.shown)
    assert kept.samples.times.tolist() == events.times.tolist()


def test_an_evaluation_of_an_older_version(trained):
    run = trained("words")
    evaluate_run(run, spoken(60, 1), "test", chip=True)
    older(run)
    kept = Evaluation.load(run.path("evaluation.npz"))
    assert (kept.speakers, kept.files, kept.course, kept.checksum) == (None, None, None, None)
    assert kept.shown.tolist() == [0]
    page = report_run(run).read_text()
    assert {"speakers", "hearing", "examples"}.isdisjoint(sections(page))
    assert {"samples", "confidence"} <= set(sections(page))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speakers": np.zeros(3, int)}, "speakers are not a number for each sample"),
        ({"speakers": np.zeros(60)}, "speakers are not a number for each sample"),
        ({"files": np.frombuffer(b'["a"]', np.uint8)}, "files are not a name for each sample"),
        ({"files": np.frombuffer(b"[1" + 59 * b",1" + b"]", np.uint8)}, "files are not a name for each sample"),
        ({"shown": np.array([60])}, "shown are no samples"),
        ({"shown": np.array([0.5])}, "shown are no samples"),
        ({"course_times": np.array([2.0, 1.0])}, "times heard do not fit"),
        ({"course_answers": np.zeros((2, 2), int)}, "times heard do not fit"),
        ({"course_samples": np.full(60, 60)}, "answers to what was heard are no classes"),
    ],
)
def test_damaged_parts_of_an_evaluation(trained, change, message):
    run = trained("words")
    evaluate_run(run, spoken(60, 1), "test", chip=False)
    path = run.path("evaluation.npz")
    with np.load(path) as file:
        values = dict(file)
    np.savez_compressed(path, **(values | change))
    with pytest.raises(ValueError, match=f"damaged evaluation; evaluate again .*{message}"):
        Evaluation.load(path)


def test_which_samples_are_shown():
    scores = np.log([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.45, 0.55]])
    evaluation = Evaluation("x", np.array([1, 0, 0, 0, 0, 0]), {"float": scores}, [], None, None)
    assert evaluation.confidence("float") == pytest.approx([0.9, 0.9, 0.8, 0.7, 0.6, 0.55])
    # the surest mistakes, the least sure of all, class 1 has none that is recognised, and the middle one of class 0
    assert samples_to_show(evaluation).tolist() == [0, 1, 5, 3]
    chip = replace(evaluation, scores={"float": scores, "chip": scores[:, ::-1]})
    assert samples_to_show(chip).tolist() == [2, 3, 4, 5, 0]
    lost = replace(evaluation, scores={"float": np.full((6, 2), np.nan)})
    assert lost.confidence("float").tolist() == [0.0] * 6
    assert len(samples_to_show(lost)) >= 2


def test_classes_without_samples_and_one_class_alone(trained):
    run = trained("words", spoken(200, 0, ("yin", "<script>alert('x')</script>", "right", "unseen")))
    names = run.facts()["class_names"]
    test = spoken(90, 1, tuple(names))
    for data in (test, test.subset(test.labels == 1), test.subset([0])):
        evaluate_run(run, data, "test", chip=False)
        page = report_run(run).read_text()
        assert "<script" not in page
        assert "unseen" in page
    assert "speakers" not in sections(page)


def test_files_and_speakers_are_told_where_they_are_known(trained):
    run = trained("words")
    files = [f"<b>{i}\x07.wav" for i in range(90)]
    evaluate_run(run, spoken(90, 1, files=files), "test", chip=True)
    page = report_run(run).read_text()
    assert "speakers" in sections(page)
    shown = re.findall(r"&lt;b&gt;(\d+)\N{REPLACEMENT CHARACTER}\.wav", page)
    kept = Evaluation.load(run.path("evaluation.npz"))
    wrong = np.flatnonzero(kept.predictions("chip") != kept.labels)
    assert set(map(int, shown)) <= set(wrong.tolist()) | set(kept.shown.tolist())
    assert len(shown) >= min(12, len(wrong))
    evaluate_run(run, spoken(90, 1, files=None, speakers=None), "test", chip=True)
    page = report_run(run).read_text()
    assert "speakers" not in sections(page)
    assert ">sample " in page


def test_delays_are_shown_as_they_were_where_that_is_known(trained):
    run = trained("words", epochs=2)
    evaluate_run(run, spoken(60, 1), "test", chip=True)
    page = report_run(run).read_text()
    assert ">at the start<" in page
    assert "Outlined is what training began with" in page
    assert "delays of hidden 1" in page
    assert "on-chip" in sections(page)
    assert "Cores by layer" in page
    facts = run.facts()
    run.write_json("run.json", facts | {"versions": facts["versions"] | {"torch": "1.0"}})
    page = report_run(run).read_text()
    assert ">at the start<" not in page
    assert "What training began with is not known" in page
    begun = trained("later", start=run, lr=0.001)
    evaluate_run(begun, spoken(60, 1), "test", chip=False)
    page = report_run(begun).read_text()
    assert ">at the start<" not in page
    assert "Began with" in page


def test_a_run_that_moved_or_was_not_finished(trained, tmp_path):
    run = trained("words")
    evaluate_run(run, spoken(60, 1), "test", chip=True)
    shutil.move(run.folder, tmp_path / "elsewhere")
    moved = Run(tmp_path / "elsewhere")
    page = report_run(moved).read_text()
    assert "<h1>elsewhere</h1>" in page
    assert "not finished" not in page
    config = moved.path("config.toml")
    config.write_text(config.read_text().replace("epochs = 1 ", "epochs = 5 "))
    assert "1 of 5: training was not finished" in report_run(moved).read_text()
    for empty in (Run(tmp_path), Run(tmp_path / "nothing")):
        with pytest.raises(FileNotFoundError, match="no training run here"):
            report_run(empty)


@pytest.mark.parametrize(
    ("layers", "shape", "names"),
    [
        (("conv 3 3x3 delay 0", "pool 2", "6"), "1x6x6", ["hidden 1", "hidden 3"]),
        (("conv 3 3x3 delay 0", "pool 2"), "1x6x6", ["hidden 1"]),
        (("conv 3 12 stride 3", "6 recurrent delay 0"), "", ["hidden 1", "hidden 2"]),
    ],
)
def test_layers_in_words(trained, layers, shape, names):
    """A pool has no weights, and its activity is not counted; delayed convolutions are matrices on the chip."""
    rng = np.random.default_rng(0)
    events = lb.Events.from_dense(rng.random((60, 30, 36)) < 0.1, dt=1.0)
    data = lb.data.SpikeDataset.from_events(events, np.arange(60) % 3)
    run = trained("words", data, hidden=Config().hidden, recurrent=True, layer=layers, input_shape=shape)
    evaluate_run(run, data, "test", chip=True)
    page = report_run(run).read_text()
    assert re.findall(r"Spikes per unit of layer (hidden \d)", page) == names
    assert "weights of input to hidden 1" in page
    for drawn in re.findall(r">(\d[\d,]*) units<", page):
        assert int(drawn.replace(",", "")) in {36, 48, 12, 27, 6} | {run.model()[0].out_features}


def test_confidence_is_that_by_the_temperature_of_the_run(trained):
    run = trained("words")
    evaluation = evaluate_run(run, spoken(90, 1), "test", chip=False)
    for temperature in (1.0, 50.0):
        run.write_json("confidence.json", {"temperature": temperature})
        told = answers(run, evaluation, on_chip=False)["confidence_float"]
        assert np.array_equal(told, confidence(evaluation.scores["float"], temperature).max(1))
    assert told.max() < 0.5


def test_what_was_found_on_streams(trained):
    run = trained("words")
    evaluate_run(run, spoken(90, 1), "test", chip=False)
    assert "streams" not in sections(report_run(run).read_text())
    curve = Curve([0.1, 0.5, 0.9], [0.0, 0.3, 0.8], [40.0, 4.0, 0.0], [20.0, 2.0, 0.0], [100.0, 120.0, float("nan")])
    kept = {"curves": {"float": curve.as_dict()}, "hours": 2.0, "rule": {}, "background": []}
    run.write_json("stream.json", kept)
    page = report_run(run).read_text()
    assert "streams" in sections(page)
    assert "30.0\N{NO-BREAK SPACE}%" in page
    run.write_json("stream.json", kept | {"curves": {"float": {}}})
    with pytest.raises(ValueError, match=r"stream\.json: damaged"):
        report_run(run)
