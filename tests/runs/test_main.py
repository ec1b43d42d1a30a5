"""`python -m unlearnkit.runs`: what lies where, chosen and in order."""

import json

import pytest
from compared import record, write_run

from unlearnkit.runs.__main__ import main


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Three finished runs in the usual folders, one that has begun, and one whose numbers are damaged."""
    monkeypatch.chdir(tmp_path)
    for folder, method, seed, rate, yes in (
        ("outputs/2", "npo", 0, 1e-4, 1),
        ("multirun/x/10", "ga", 1, 1e-3, 3),
        ("multirun/x/9", "ga", 0, 1e-3, 2),
    ):
        rows = [record(n, n < yes) for n in range(4)]
        write_run(tmp_path / folder, method, rows, seed, train={"learning_rate": rate})
    (write_run(tmp_path / "results/begun", "sku", [record(0, True)], train={"epochs": 3}) / "metrics.json").unlink()
    bad = write_run(tmp_path / "results/bad", "sku", [record(0, True)])
    (bad / "metrics.json").write_text("{")
    return tmp_path


def listed(*arguments):
    assert main([*arguments, "--json", "list.json"]) == 0
    with open("list.json") as file:
        return [row["folder"] for row in json.load(file)]


def refused(capsys, *arguments):
    assert main(list(arguments)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    return lines[0]


def test_the_usual_folders(place, capsys):
    assert listed() == ["multirun/x/9", "multirun/x/10", "outputs/2", "results/begun"]
    text = capsys.readouterr().out
    assert "4 runs." in text and "Left out: results/bad/metrics.json is not a run's metrics.json" in text
    assert "harmful_rate ↓" in text and "75.0%" in text and "1.5" in text
    with open("list.json") as file:
        first, *_, begun = json.load(file)
    assert {key: first[key] for key in ("method", "model", "data", "seed", "finished", "minutes")} == {
        "method": "ga", "model": "tiny", "data": "mischief", "seed": 0, "finished": True, "minutes": 1.5}  # fmt: skip
    assert first["numbers"]["safety/unlearned/harmful_rate"]["value"] == 0.5
    assert (begun["method"], begun["finished"], begun["minutes"], begun["numbers"]) == ("sku", False, None, {})


def test_folders_that_were_given(place):
    assert listed("multirun", "outputs/2") == ["multirun/x/9", "multirun/x/10", "outputs/2"]
    assert listed("multirun", "multirun/x") == ["multirun/x/9", "multirun/x/10"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["method=ga"], ["multirun/x/9", "multirun/x/10"]),
        (["method=ga", "seed=1"], ["multirun/x/10"]),
        (["method=*o"], ["outputs/2"]),
        (["train.learning_rate=1e-4"], ["outputs/2"]),
        (["train.epochs=3"], ["results/begun"]),
        (["finished=no"], ["results/begun"]),
        (["model=tiny", "model.name=tiny", "data=none"], []),
    ],
)
def test_filters(place, filters, found):
    assert listed(*(word for each in filters for word in ("--filter", each))) == found


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ("seed", ["9", "2", "begun", "10"]),
        ("method", ["9", "10", "2", "begun"]),
        ("unlearned/harmful_rate", ["2", "9", "10", "begun"]),
        ("harmful_rate", ["2", "9", "10", "begun"]),
        ("train.learning_rate", ["2", "9", "10", "begun"]),
        ("folder", ["9", "10", "2", "begun"]),
    ],
)
def test_orders(place, by, found):
    assert [folder.split("/")[-1] for folder in listed("--sort", by)] == found


def test_the_largest_first_and_what_has_no_number_last(place):
    assert listed("--sort", "harmful_rate", "--reverse")[-2:] == ["outputs/2", "results/begun"]


def test_columns(place, capsys):
    assert main(["outputs", "--columns", "unlearned/*"]) == 0
    assert "25.0%" in capsys.readouterr().out
    assert "No run has a column 'perplexity'" in refused(capsys, "--columns", "perplexity")


def test_bad_input(place, tmp_path, capsys):
    assert "no KEY=VALUE" in refused(capsys, "--filter", "npo")
    assert "Did you mean 'method'?" in refused(capsys, "--filter", "metod=npo")
    assert "Did you mean 'minutes'?" in refused(capsys, "--sort", "minute")
    assert "There is no folder nowhere" in refused(capsys, "nowhere")
    assert "cannot be written" in refused(capsys, "--json", "none/list.json")
    (tmp_path / "empty").mkdir()
    assert "There is no run in or below empty" in refused(capsys, "empty")
