"""Faithfulness and robustness of measures, from runs made up by hand."""

import json

import pytest

from unlearnkit.measure.__main__ import main
from unlearnkit.measure.check import auc, knowledge, qualities
from unlearnkit.measures import Perplexity, Probability
from unlearnkit.measures.display import Display, written
from unlearnkit.measures.seeds import Scale
from unlearnkit.tables.reading import collect

LOWER = written(Probability().display("forget"))
SUCCESS = written(Display("higher", rate=True, scale=Scale(0.0, 1.0), role="forget"))
COLUMNS = {
    "e/forget/probability": LOWER,
    "e/forget/success": SUCCESS,
    "e/retain/probability": LOWER | {"role": "retain"},
}


def numbers(probability, success):
    def one(value):
        return {"value": value, "low": 0.0, "high": 1.0, "n": 9, "seed": 0}

    return {"e": {"forget": {"probability": one(probability), "success": one(success)},
                  "retain": {"probability": one(0.5)}}}  # fmt: skip


def write(folder, seed, start, never, shares=None):
    moments = [{"name": "never_knew", "numbers": numbers(*never)}] if never else []
    moments.append({"name": "start", "numbers": numbers(*start)})
    run = {"model": "m", "data": "d", "method": "npo", "seed": seed, "finished": True}
    raw = {"run": run, "columns": COLUMNS, "attacks": list(shares or ()), "moments": moments, "before": numbers(*start)}
    raw |= {"after": None, "curve": [], "recovered": {name: {"shares": told} for name, told in (shares or {}).items()}}
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(raw))


def told(**measures):
    names = ("unlearned", "attacked", "never_knew", "never_knew_attacked")
    return {"e": {"forget": {name: dict(zip(names, values, strict=False)) for name, values in measures.items()}}}


@pytest.fixture
def runs(tmp_path):
    # Knowing has probability 0.9, 0.4 and success 0.1, 0.9; never having known 0.5, 0.3 and 0.8, 0.2.
    relearn = told(probability=(0.1, 0.5, 0.2, 0.3), success=(0.9, 0.5, 0.9, 0.4))
    write(tmp_path / "a", 0, (0.9, 0.1), (0.5, 0.8), {"relearn": relearn, "quantise_4": told(probability=(0.2, 0.1))})
    write(tmp_path / "b", 1, (0.4, 0.9), (0.3, 0.2), {"relearn": told(probability=(0.1, 0.1, 0.2, 0.3))})
    write(tmp_path / "c", 0, (0.7, 0.1), None, {"relearn": told(probability=(0.2, 0.4)),
                                                "quantise_4": told(probability=(0.1, 0.9))})  # fmt: skip
    return tmp_path


def test_every_measure_of_the_forget_side(runs):
    probability, success = qualities(collect(runs))
    assert (probability.place, success.place) == ("e/forget/probability", "e/forget/success")
    # 0.9 > 0.5, 0.9 > 0.3, 0.4 < 0.5, 0.4 > 0.3; the start of run c is that of run a once more.
    assert probability.faithfulness == 0.75
    assert probability.relearning == pytest.approx(0.25)  # (0.3 - 0.2) / (0.5 - 0.1); in run b nothing came back
    assert probability.quantisation == pytest.approx(0.75)  # 0.1 / 0.2, and 9 cut to 1
    assert probability.robustness == pytest.approx(0.375)  # 2 / (4 + 4 / 3)
    assert probability.overall == pytest.approx(0.5)
    assert probability.counts == (2, 2, 1, 2)
    # 1 less it: 0.9 and 0.1 know, 0.2 and 0.8 never did.
    assert success.faithfulness == 0.5
    assert success.relearning == 1.0  # (0.6 - 0.1) / (0.5 - 0.1), cut to 1
    assert success.quantisation is success.robustness is success.overall is None


def test_ties_are_half_and_nothing_is_said_of_no_model():
    assert auc([1.0, 2.0], [1.0]) == 0.75
    assert auc([1.0], []) is None


def test_what_a_number_says_of_knowledge():
    assert knowledge(4.0, Perplexity().display("forget")) == 4.0
    assert knowledge(4.0, Display("higher", scale=Scale(0.0, geometric=True))) == 0.25
    assert knowledge(0.75, Display("higher", scale=Scale(0.0, 1.0))) == 0.25
    assert knowledge(0.75, Display("higher")) is None


def test_the_command(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    main(["--check", str(runs / "a"), str(runs / "b")])
    out = capsys.readouterr().out
    assert "e/forget/probability" in out and "0.750" in out and "2 / 2 / 1 / 1" in out


@pytest.mark.parametrize(("arguments", "said"), [([], "give a folder, or --check with several")])
def test_without_a_folder(arguments, said, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err
