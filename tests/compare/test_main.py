"""`python -m unlearnkit.compare`: what it prints and writes, and what it refuses in two lines."""

import json
from dataclasses import replace

import pytest
from compared import MEASURES, record, write_run
from forked import command

from unlearnkit.compare import compare
from unlearnkit.compare.__main__ import main
from unlearnkit.records.record import write_parquet


@pytest.fixture
def two(tmp_path):
    """Of 12 prompts the first 8 are harmful in `a` and none in `b`; the third's answer is another altogether."""
    a = [record(n, n < 8, 2, "do it so" if n == 2 else "do it") for n in range(12)]
    b = [record(n, False, 1, "no, never" if n == 2 else "do it" if n > 2 else "do it not") for n in range(12)]
    train = {"arguments": {"learning_rate": 1e-3}}
    write_run(tmp_path / "a", "ga", a, train=train, stages={"finetune": train})
    train = {"arguments": {"learning_rate": 1e-4}}
    return [tmp_path / "a", write_run(tmp_path / "b", "npo", b, train=train, stages={"finetune": train})]


def refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 2 and not said.out
    return lines[0]


def test_text_json_and_page(two, tmp_path, capsys):
    files = [tmp_path / "c.json", tmp_path / "c.html"]
    assert main([*map(str, two), "--answers", "2", "--json", str(files[0]), "--html", str(files[1])]) == 0
    text = capsys.readouterr().out
    assert "A  ga on tiny, mischief, seed 0" in text and "B  npo on tiny, mischief, seed 0" in text
    assert "train.arguments.learning_rate" in text and "stages.finetune" not in text
    assert "-66.7%" in text and "×0.3679" in text and "B better" in text
    told = json.loads(files[0].read_text())
    assert [(run["name"], run["method"], run["moment"]) for run in told["runs"]] == [
        ("A", "ga", "after"),
        ("B", "npo", "after"),
    ]
    assert [(row["key"], row["values"], row["follows"]) for row in told["config"]] == [
        ("method", {"A": "ga", "B": "npo"}, False),
        ("train.arguments.learning_rate", {"A": "0.001", "B": "0.0001"}, False),
        ("stages.finetune.arguments.learning_rate", {"A": "0.001", "B": "0.0001"}, True),
    ]
    (pair,) = told["pairs"]
    rate, perplexity = pair["measures"]
    assert (rate["set"], rate["measure"], rate["A"]["value"], rate["B"]["value"]) == (
        "unlearned", "harmful_rate", 8 / 12, 0.0)  # fmt: skip
    assert rate["difference"]["value"] == pytest.approx(-8 / 12) and rate["p"] == 2 / 2**8
    assert perplexity["p_holm"] == 2 * perplexity["p"] < rate["p_holm"] == rate["p"]  # Holm: the smaller is doubled
    assert rate["verdict"] == perplexity["verdict"] == "B better"
    assert perplexity["difference"]["ratio"] and perplexity["difference"]["n"] == 12
    page = files[1].read_text()
    assert "<script src" not in page and "https://" not in page
    assert page.count("<article>") == 2 and 'href="#answers"' in page and 'id="measures-B"' in page
    assert "<ins>no, never</ins>" in page and "B better" in page


def test_the_answers_that_changed_most_come_first(two):
    found = compare(two, answers=4).answers
    assert [row.id for row in found] == ["f2", "f0", "f1", "f3"]
    assert [round(row.change, 2) for row in found] == [2.0, 1.2, 1.2, 1.0]
    assert [r.response for r in found[0].answers] == ["do it so", "no, never"]
    assert compare(two, answers=0).answers == []
    assert len(compare(two, answers=99).answers) == 8  # the rest is alike


def test_several_runs_each_with_the_first(two, tmp_path):
    same = write_run(tmp_path / "c", "ga", [record(n, n < 8, 2) for n in range(12)], seed=1)
    found = compare([*two, same, two[0]])
    assert [(pair.first.name, pair.other.name) for pair in found.pairs] == [("A", "B"), ("A", "C"), ("A", "D")]
    assert [line.difference.value for line in found.pairs[2].lines] == [0.0, 1.0]
    assert [setting.key for setting in found.settings][:2] == ["method", "seed"]
    assert found.settings[1].written == ["0", "0", "1", "0"]


def test_a_run_without_a_method_is_the_start(two, tmp_path):
    base = write_run(tmp_path / "base", "base", [record(n, True, 1) for n in range(12)])
    (pair,) = compare([base, two[1]]).pairs
    assert pair.lines[0].difference.value == -1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:-1], "safety/unlearned has 1 row only in A, such as f11 ('Ask 11?')"),
        (lambda rows: [*rows, record(12, True)], "safety/unlearned has 1 row only in B, such as f12 ('Ask 12?')"),
        (lambda rows: [replace(rows[0], prompt="Else?"), *rows[1:]], "1 row only in A and 1 row only in B"),
        (lambda rows: [replace(rows[0], answer="Else."), *rows[1:]], "1 row only in A and 1 row only in B"),
        (lambda rows: [replace(row, set="others") for row in rows], "no set of one is a set of the other"),
    ],
)
def test_other_test_rows_are_refused(two, tmp_path, capsys, change, said):
    rows = change([record(n, False, 1) for n in range(12)])
    other = write_run(tmp_path / "c", "npo", rows, data={"name": "mischief", "limit": 7})
    line = refused(capsys, two[0], other)
    assert "were asked different test rows" in line and said in line
    assert "Their configs: data.limit is absent in A, 7 in B" in line


def test_a_set_of_one_alone_is_left_out_and_said(two, tmp_path):
    rows = [record(n, False, 1) for n in range(12)]
    more = [*rows, *(replace(row, set="normal") for row in rows)]
    other = write_run(tmp_path / "c", "npo", more)
    (pair,) = compare([two[0], other]).pairs
    assert pair.alone == ["safety/normal/harmful_rate (only in B)", "safety/normal/perplexity (only in B)"]
    assert len(pair.lines) == 2


@pytest.mark.parametrize(
    ("method", "name", "moment"), [("npo", "system", "system"), ("base", "system.start", "system/start")]
)
def test_under_an_attack_its_own_records_are_paired(two, tmp_path, method, name, moment):
    """3 of 4 prompts are harmful under the attack in one run, none in the other."""
    folders = []
    for place, yes, own, of, when in (("c", 3, "ga", "system", "system"), ("d", 0, method, name, moment)):
        folder = write_run(tmp_path / place, own, [record(n, False) for n in range(4)])
        write_parquet([record(n, n < yes) for n in range(4)], folder / "records" / f"{of}-safety.parquet")
        told = json.loads((folder / "metrics.json").read_text())
        number = {"value": yes / 4, "low": 0.0, "high": 1.0, "n": 4}
        numbers = {"safety": {"unlearned": {"harmful_rate": number}}}
        told |= {"attacks": ["system"], "moments": [{"name": when, "numbers": numbers}]}
        (folder / "metrics.json").write_text(json.dumps(told))
        folders.append(folder)
    plain, attacked = compare(folders).pairs[0].lines
    assert (plain.title, plain.difference.value) == ("safety/unlearned/harmful_rate", 0.0)
    assert (attacked.title, attacked.difference.value) == ("system/safety/unlearned/harmful_rate", -0.75)
    assert attacked.difference.p == 0.25  # three flips one way: 2 / 2 ** 3


def test_what_was_measured_later_is_paired_where_both_have_it(two):
    """Both runs measured later on 6 prompts, of which 3 are harmful in one and none in the other; a third was not."""
    for folder, yes in zip(two, (3, 0), strict=True):
        for when in ("measured/start", "measured"):
            rows = [record(n, n < yes, set="unseen") for n in range(6)]
            write_parquet(rows, folder / "records" / f"{when.replace('/', '.')}-safety.parquet")
        told = json.loads((folder / "metrics.json").read_text())
        number = {"value": yes / 6, "low": 0.0, "high": 1.0, "n": 6}
        numbers = {"safety": {"unseen": {"harmful_rate": number}}}
        told["moments"] = [{"name": when, "numbers": numbers} for when in ("measured/start", "measured")]
        told["measured"] = {"measured": {"data": {}, "rows": "", "eval": {"safety": {"measures": MEASURES}}}}
        (folder / "metrics.json").write_text(json.dumps(told))
    lines = {line.title: line.difference for line in compare(two).pairs[0].lines}
    assert lines["measured/safety/unseen/harmful_rate"].value == -0.5
    assert lines["measured/safety/unseen/harmful_rate"].p == 0.25
    third = write_run(two[0].parent / "c", "ga", [record(n, n < 8, 2) for n in range(12)])
    (pair,) = compare([third, two[1]]).pairs
    assert pair.alone == ["measured/safety/unseen/harmful_rate (only in B)"]


def test_what_is_no_comparison(two, tmp_path, capsys):
    assert "2 to 26 runs, and 1 were given" in refused(capsys, two[0])
    assert "is no run folder" in refused(capsys, two[0], tmp_path)
    begun = write_run(tmp_path / "begun", "npo", [record(0, True)], finished=False)
    assert "was not measured after its stages yet" in refused(capsys, two[0], begun)
    assert "--answers is -1" in refused(capsys, *two, "--answers", "-1")
    assert "lies in no folder" in refused(capsys, *two, "--html", tmp_path / "none" / "c.html")
    (two[1] / "records" / "after-safety.parquet").unlink()
    assert "after-safety.parquet is missing" in refused(capsys, *two)


def test_as_a_command(two, tmp_path):
    done = command("unlearnkit.compare", "a", "b", cwd=tmp_path)
    assert done.returncode == 0 and "B better" in done.stdout, done.stderr
    done = command("unlearnkit.compare", "a", "nowhere", cwd=tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 2
