"""The commands that a report tells do the run again."""

from __future__ import annotations

import shlex

import pytest
from spoken_runs import spoken

from lambent import cli
from lambent.data import write_shd
from lambent.runs.evaluate import evaluate_run
from lambent.runs.export import export_run
from lambent.runs.repeating import changed, commands
from lambent.training import Config, Run


@pytest.fixture
def do(monkeypatch, tmp_path, capsys):
    """Types a line."""

    def type_in(line):
        monkeypatch.setattr("sys.argv", shlex.split(line))
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0, capsys.readouterr().err

    return type_in


def weights(run):
    return {name: x.tolist() for name, x in run.model().state_dict().items()}


def test_they_give_the_same_network(do, tmp_path):
    for name, seed in (("a b.h5", 0), ("test.h5", 1)):
        write_shd(tmp_path / name, spoken(90, seed))
    small = "--hidden 8,6 --no-recurrent --epochs 1 --delay 4 --shift 0 --seed 3 --initial-spikes 1 --rate-lower 0.2"
    do(f"lambent train 'a b.h5' --out first --test test.h5 {small}")
    do("lambent export first --weight-bits 4,5,6")
    do("lambent evaluate first test.h5 --chip")
    do("lambent train 'a b.h5' --out second --from first --qat-bits 4 --qat-epochs 1")
    do("lambent evaluate second test.h5")
    for name, n in (("first", 3), ("second", 2)):
        run = Run(tmp_path / name)
        lines = commands(run, evaluate_run(run, spoken(90, 1), "test.h5", chip=name == "first"))
        assert len(lines) == n
        kept = run.config(), weights(run), run.exported_bits()
        again = Run(tmp_path / f"{name} again")
        for line in lines:
            do(line.replace(f"--out {name}", f"--out '{name} again'").replace(f"t {name}", f"t '{name} again'")
               .replace(f"e {name}", f"e '{name} again'"))  # fmt: skip
        assert (again.config(), weights(again), again.exported_bits()) == kept


def test_layers_in_words_are_given_one_by_one(trained):
    layers = {"hidden": Config().hidden, "recurrent": True, "layer": ("8", "6 recurrent")}
    run = trained("words", source={"train": "/data/train.h5", "test": None}, **layers)
    line = commands(run, evaluate_run(run, spoken(9, 1), "test.h5", chip=False))[0]
    assert "--layer 8 --layer '6 recurrent'" in line
    assert "--hidden" not in line
    assert line.startswith("lambent train /data/train.h5 --out words --n-units 5 ")


def test_a_program_has_no_command_but_its_own(trained):
    run = trained("words")
    evaluation = evaluate_run(run, spoken(9, 1), "test", chip=False)
    assert commands(run, evaluation) == []
    demo = trained("demo", source={"train": "keywords", "command": "lambent demo --seed 3"})
    assert commands(demo, evaluation) == ["lambent demo --seed 3"]
    assert changed(Config(hidden=8, layer=())) == ["hidden=8"]
    assert changed(Config()) == []


def test_bits_that_are_all_the_same_are_one_number(trained):
    run = trained("words", source={"train": "/train.h5"})
    export_run(run, (5, 5))
    assert "lambent export words --weight-bits 5" in commands(run, evaluate_run(run, spoken(9, 1), "x", chip=False))
