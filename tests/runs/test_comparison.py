"""Runs side by side: what must be the same, and what is said where it is not."""

from __future__ import annotations

import shutil

import pytest
from spoken_runs import older, spoken

from lambent.runs.comparison import compare_runs
from lambent.runs.evaluate import evaluate_run
from lambent.training import Run


@pytest.fixture
def pair(trained):
    runs = [trained("a"), trained("b", seed=1)]
    for run in runs:
        evaluate_run(run, spoken(90, 1), "test", chip=True)
    return runs


def test_seeds(pair, tmp_path):
    compared = compare_runs(pair, tmp_path / "c.html")
    assert (compared.notices, compared.paired, compared.repeated) == ([], True, True)
    assert compared.differences["seed"] == ["0", "1"]
    page = (tmp_path / "c.html").read_text()
    for part in ("a and b, side by side", "Mean chip accuracy", "Against a, chip", "standard deviation"):
        assert part in page


def test_other_settings_are_no_repetition(trained, pair, tmp_path):
    other = trained("c", hidden=12)
    evaluate_run(other, spoken(90, 1), "test", chip=False)
    compared = compare_runs([*pair, other], tmp_path / "c.html")
    assert (compared.paired, compared.repeated, compared.side) == (True, False, "float")
    assert compared.differences["hidden"] == ["10", "10", "12"]
    assert compared.differences["Network"] == ["5 - 10 - 3", "5 - 10 - 3", "5 - 12 - 3"]
    assert "Mean" not in (tmp_path / "c.html").read_text()


def test_other_data_are_said(trained, pair, tmp_path):
    a, b = pair
    evaluate_run(b, spoken(80, 2), "other.h5", chip=True)
    compared = compare_runs(pair, tmp_path / "c.html")
    assert not compared.paired
    assert not compared.repeated
    assert "tested on different data: a on test (90 samples); b on other.h5 (80 samples)" in compared.notices[0]
    page = (tmp_path / "c.html").read_text()
    assert compared.notices[0] in page
    assert 'id="pairs"' not in page
    # the same recordings as other spikes
    evaluate_run(b, spoken(90, 1, values=None).with_duration(70.0), "wide.h5", chip=True)
    assert compare_runs(pair, tmp_path / "c.html").notices == []
    shifted = spoken(90, 1)
    shifted.times[:] = shifted.times * 0.9
    evaluate_run(b, shifted, "shifted.h5", chip=True)
    compared = compare_runs(pair, tmp_path / "c.html")
    assert compared.paired
    assert compared.notices == ["Tested on the same recordings as a, but as other spikes: b."]
    # trained on others
    other = trained("c", spoken(200, 5))
    evaluate_run(other, spoken(90, 1), "test", chip=True)
    compared = compare_runs([a, other], tmp_path / "c.html")
    assert compared.paired
    assert not compared.repeated
    assert "trained on different data" in compared.notices[0]


def test_evaluations_of_older_versions(pair, tmp_path):
    older(pair[0])
    compared = compare_runs(pair, tmp_path / "c.html")
    assert compared.paired
    assert "of an older version" in compared.notices[0]


def test_what_cannot_be_compared(trained, pair, tmp_path):
    a, b = pair
    other = trained("c", spoken(200, 0, ("yin", "yang", "unknown")))
    evaluate_run(other, spoken(90, 1, ("yin", "yang", "unknown")), "test", chip=False)
    target = tmp_path / "c.html"
    with pytest.raises(ValueError, match=r"c: has other classes than .*a, .* 'unknown' against 'dot'"):
        compare_runs([a, other], target)
    with pytest.raises(ValueError, match="a: is given twice"):
        compare_runs([a, b, Run(a.folder / ".." / "a")], target)
    b.path("evaluation.npz").unlink()
    with pytest.raises(FileNotFoundError, match="b: not evaluated yet"):
        compare_runs(pair, target)
    assert not target.exists()


def test_runs_of_one_name_and_one_that_was_not_finished(pair, tmp_path):
    (tmp_path / "old").mkdir()
    shutil.move(pair[1].folder, tmp_path / "old" / "a")
    moved = Run(tmp_path / "old" / "a")
    config = moved.path("config.toml")
    config.write_text(config.read_text().replace("epochs = 1 ", "epochs = 5 "))
    compared = compare_runs([pair[0], moved], tmp_path / "c.html")
    assert [run.title for run in compared.runs] == [str(tmp_path / "a"), str(tmp_path / "old" / "a")]
    assert compared.notices == ["a: training was not finished, 1 of 5 epochs."]
