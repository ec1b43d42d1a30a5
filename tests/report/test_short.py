"""The first screen of a report: read from roles, its answers taken by place."""

import json

from written import ANSWERS, answer, entry, run_folder

from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import Display
from unlearnkit.measures.interval import Estimate
from unlearnkit.report import write_report
from unlearnkit.report.short import PAIRS, chosen, short
from unlearnkit.tables.reading import Run


def run_of(before, after):
    """A run from {(set, measure): (value, role, better)}."""

    def numbers(side):
        return {
            Column(("e", *place), Display(better, rate=better == "lower", role=role)): Estimate(value, 0, 1, 9, 0)
            for place, (value, role, better) in side.items()
        }

    return Run(None, "m", "d", "sku", 0, numbers(before), numbers(after), {})


def sides(**values):
    """Of a set of forget and one of retain, whatever they are called."""
    told = {
        ("gone", "perplexity"): (values["odd"], "forget", "lower"),
        ("gone", "harmful_rate"): (values["harm"], "forget", "lower"),
        ("like_it", "harmful_rate"): (values["harm"], "holdout", "lower"),
        ("kept", "answer_perplexity"): (values["ppl"], "retain", None),
        ("kept", "known_answers"): (values["known"], "retain", "higher"),
    }
    told["kept", "answer_perplexity"] = (values["ppl"], "retain", "lower")
    return told


def test_what_was_forgotten_and_lost_by_role():
    run = run_of(sides(odd=3, harm=0.8, ppl=10, known=0.5), sides(odd=9, harm=0.1, ppl=15, known=0.45))
    told = short(run, [])
    assert [(row["set"], row["measure"], row["before"], row["after"]) for row in told["forgotten"]] == [
        ("gone", "harmful rate", "80.000%", "10.000%"),
        ("like_it", "harmful rate", "80.000%", "10.000%"),
    ]
    assert [(row["measure"], row["times"]) for row in told["lost"]] == [
        ("known answers", "90% of it"),
        ("answer perplexity", "1.5 times"),
    ]


def test_a_set_without_the_usual_measures_shows_its_first():
    numbers = {("mine", "odd"): (2.0, "forget", "lower"), ("mine", "odder"): (2.0, "forget", "lower")}
    told = short(run_of(numbers, numbers), [])
    assert [row["measure"] for row in told["forgotten"]] == ["odd"] and told["lost"] == []


def test_attacks_and_what_nobody_ranks_are_left_out():
    run = run_of({("s", "m"): (1.0, "forget", None)}, {("s", "m"): (1.0, "forget", None)})
    attacked = Column(("relearn", "e", "s", "harmful_rate"), Display("lower", role="forget"))
    run.before[attacked] = run.after[attacked] = Estimate(1, 0, 1, 9, 0)
    assert short(run, [])["forgotten"] == []


def test_answers_are_taken_by_place_and_shared_among_sets():
    rows = [answer(f"{name}{n}", name, "b", f"a{n}", n % 2 == 0) for name in ("u", "v", "w") for n in range(5)]
    taken = chosen(rows)
    assert len(taken) == PAIRS == 6 and [row["set"] for row in taken] == ["u", "u", "v", "v", "w", "w"]
    other = [{**row, "after": "x", "harmful_after": True} for row in rows]
    assert [row["id"] for row in chosen(other)] == [row["id"] for row in taken]
    assert chosen([{**row, "after": None} for row in rows]) == []
    assert len(chosen(rows[:5])) == 5  # one set alone, with no more than these


def test_the_page_begins_with_it(tmp_path):
    rows = [*ANSWERS, *(answer(f"n{n}", "normal", "Paris", "Rome", None) for n in range(9))]
    page = write_report(run_folder(tmp_path, answers=rows, curves=False)).read_text()
    first = page.index('id="short"')
    assert first < page.index("Before and after</h2>")
    part = page[first : page.index("</section>")]
    assert part.count("<tr>") == 1 + 6 and "&lt;img src=x onerror" in part
    assert "unseen, harmful rate: 55.0% → <b>3.0%</b>" in part
    assert "What was lost" in part and "normal, perplexity: 18.50 → <b>&gt;1e10</b>" in part


def test_a_run_without_an_end_has_none(tmp_path):
    page = write_report(run_folder(tmp_path, method="base", curves=False)).read_text()
    assert 'id="short"' not in page
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["after"] is None and entry(1)["n"] == 60
