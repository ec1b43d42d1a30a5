"""Curves from hand-written runs, read, summarised and drawn."""

import json
import math
import statistics
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from unlearnkit.errors import UserError
from unlearnkit.plots.frontier import (
    Curve,
    Point,
    best_average,
    main,
    markdown,
    mean_points,
    page,
    read_curves,
    reported,
    unlearned_at,
)
from unlearnkit.tables.reading import read_run


def entry(value):
    return {"value": value, "low": value, "high": value, "n": 9, "seed": 0}


def write(folder, method, seed, points, rate=1e-3, split="validation", data="authors"):
    """`points`: step -> (unlearn, retention); None for a row without scopes."""
    rows = []
    for step, point in points.items():
        sets = {"world": {"retention_success": entry(0.5)}}
        if point:
            sets |= {name: {f"{name}_success": entry(v)} for name, v in zip(("unlearn", "retention"), point, strict=1)}
        rows.append({"stage": "finetune", "step": step, "metrics": {"scopes": sets, "safety": {}}})
    run = {"method": method, "model": "tiny", "data": data, "seed": seed, "minutes": 1.0, "versions": {}}
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"run": run, "before": {}, "after": {}, "curve": rows}))
    config = {"curve_split": split, "train": {"arguments": {"learning_rate": rate}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def points(*rows):
    """(unlearn, retention) a point, ten steps apart."""
    return [Point(10 * n, *row) for n, row in enumerate(rows)]


def seeds(method="ga", rate=1e-3, count=3):
    return [
        Curve(
            "tiny on authors", method, rate, seed, "validation", points((0.0, 1.0), (0.4 + 0.1 * seed, 0.8), (0.9, 0.2))
        )
        for seed in range(count)
    ]


def test_read_curves(tmp_path):
    write(tmp_path / "a", "ga", 3, {0: (0.1, 0.9), 5: None, 10: (0.6, 0.7)}, rate="3e-4", split="test")
    (found,) = read_curves(read_run(tmp_path / "a"))
    assert found == Curve("tiny on authors", "ga", 3e-4, 3, "test", [Point(0, 0.1, 0.9, 9), Point(10, 0.6, 0.7, 9)])
    assert found.points[1].average == pytest.approx(0.65)


def test_a_run_without_a_curve(tmp_path):
    write(tmp_path / "a", "ga", 0, {})
    write(tmp_path / "b", "ga", 0, {0: None})
    assert not read_curves(read_run(tmp_path / "a")) and not read_curves(read_run(tmp_path / "b"))


@pytest.mark.parametrize(
    ("rows", "step"),
    [
        ([(0.0, 1.0), (0.4, 0.8)], 0),  # no credit for what lies between
        ([(0.0, 1.0), (0.4, 0.9), (0.9, 0.1)], 10),  # at the mark itself
        ([(0.3, 1.0), (0.1, 0.95), (0.0, 0.5)], 0),  # it need not be the last point
        ([(0.0, 1.0), (0.9, 0.8), (0.5, 1.0)], 20),  # back over the mark
        ([(0.9, 0.8), (1.0, 0.1)], None),
        ([], None),
    ],
)
def test_unlearned_at_a_visited_point(rows, step):
    found = unlearned_at(points(*rows), 0.9)
    assert (found and found.step) == step


def test_means_are_of_steps_that_all_curves_have():
    first = Curve("tiny on authors", "ga", 1e-3, 0, "test", points((0.0, 1.0), (0.9, 0.9), (0.7, 0.9)))
    second = Curve("tiny on authors", "ga", 1e-3, 1, "test", points((0.0, 1.0), (0.2, 0.9))[:2] + [Point(30, 1.0, 1.0)])
    assert mean_points([first, second]) == [Point(0, 0.0, 1.0), Point(10, pytest.approx(0.55), 0.9)]


def test_a_step_is_chosen_on_the_other_seeds():
    """Seed 0 is best at 10, seed 1 at 20: each is read where the other is best."""
    first = Curve("tiny on authors", "ga", 1e-3, 0, "validation", points((0.0, 1.0), (0.9, 0.9), (0.1, 0.9)))
    second = Curve("tiny on authors", "ga", 1e-3, 1, "validation", points((0.0, 1.0), (0.2, 0.9), (0.8, 0.8)))
    assert [point.average for point in reported([first, second], best_average)] == [0.5, pytest.approx(0.55)]
    assert reported([first], best_average) == []


def test_a_step_that_a_seed_lacks_is_not_chosen():
    """Seeds 1 and 2 are best at 20, which seed 0 never came to: all are read at 10."""
    curves = [
        Curve("tiny on authors", "ga", 1e-3, seed, "test", points((0.0, 1.0), (0.6, 0.8), (1.0, 1.0))[: 2 + (seed > 0)])
        for seed in range(3)
    ]
    assert [point.step for point in reported(curves, best_average)] == [10, 10, 10]


def test_a_mean_over_fewer_seeds_says_so():
    """Seed 1 is left out at 90 %, for seed 0, which chooses for it, never comes there."""
    curves = [Curve("a", "ga", 1e-3, seed, "validation", points((0.5, 0.8 + 0.1 * seed))) for seed in range(2)]
    assert markdown(curves, [0.9]).endswith("| 50.0% (0; 1 of 2 seeds) |")


def test_the_test_split_is_read_where_validation_is_best():
    validation = Curve("tiny on authors", "ga", 1e-3, 0, "validation", points((0.0, 1.0), (0.9, 0.9), (0.1, 0.9)))
    test = Curve("tiny on authors", "ga", 1e-3, 0, "test", points((0.0, 1.0), (0.3, 0.8), (1.0, 1.0)))
    assert reported([validation, test], best_average) == [Point(10, 0.3, 0.8)]


def test_noise_is_given_no_credit():
    """Forty steps of nothing but noise around 0.5: the best step's own average is far above, what is reported not."""
    rng = np.random.default_rng(0)
    curves = [
        Curve("a", "ga", 1e-3, seed, "validation", points(*(0.5 + 0.1 * rng.normal(size=(40, 2))).tolist()))
        for seed in range(30)
    ]
    best = np.mean([best_average(curve.points).average for curve in curves])
    assert best > 0.62 and np.mean([p.average for p in reported(curves, best_average)]) == pytest.approx(0.5, abs=0.04)


def test_markdown():
    """At step 10 averages of 0.6, 0.65, 0.7; on the logit scale of 100 questions t over the three seeds."""
    curves = [*seeds(), *seeds("sku", 5e-5, 1), *seeds(rate=1e-2, count=1)]
    logits = [math.log((100 * a + 0.5) / (100.5 - 100 * a)) for a in (0.6, 0.65, 0.7)]
    half = 4.302652729911275 * statistics.stdev(logits) / math.sqrt(3)
    low, high = (100 / (1 + math.exp(-statistics.mean(logits) - sign * half)) for sign in (-1, 1))
    assert (
        markdown(curves, [0.9, 0.1])
        == f"""\
| method | learning rate | seeds | best average (step) | retention ≥ 90% | retention ≥ 10% |
|---|---:|---:|---:|---:|---:|
| ga | 0.001 | 3 | 65.0% [{low:.1f}%, {high:.1f}%] (10) | 0.0% [0.0%, 0.0%] (0) | 90.0% [90.0%, 90.0%] (20) |
| sku | 5e-05 | 1 | - | - | - |
| ga | 0.01 | 1 | - | - | - |"""
    )


def test_markdown_below_the_mark_from_the_start():
    assert markdown(seeds(count=2), [1.5]).endswith("| - |")


class Scripts(HTMLParser):
    """A page's tags and what its scripts say."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag == "script"

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts.append(data)


def test_the_page_has_a_line_a_method():
    html = Scripts(page([*seeds(), *seeds("sku", 5e-5, 1)]))
    assert html.tags[0][0] == "html" and not [attrs for tag, attrs in html.tags if tag == "script" and "src" in attrs]
    script = html.scripts[-1]
    call = script[script.index("Plotly.newPlot(") :]
    lines, end = json.JSONDecoder().raw_decode(call, call.index("["))
    layout, _ = json.JSONDecoder().raw_decode(call, call.index("{", end))
    assert [(line["name"], line["showlegend"]) for line in lines] == [
        ("ga 0.001", True),
        ("ga 0.001", False),
        ("ga 0.001", False),
        ("sku 5e-05", True),
    ]
    assert lines[1]["x"] == [1.0, 0.8, 0.2] and lines[1]["y"] == [0.0, 0.5, 0.9]
    assert lines[1]["text"][1] == "ga 0.001, seed 1, step 10"
    assert lines[0]["line"]["color"] == lines[1]["line"]["color"] != lines[3]["line"]["color"]
    assert "(validation)" in layout["title"]["text"]


def test_the_command(tmp_path, capsys):
    write(tmp_path / "runs" / "0", "ga", 0, {0: (0.0, 1.0), 10: (0.4, 0.8)})
    write(tmp_path / "runs" / "1", "base", 0, {})
    main([str(tmp_path / "runs"), "--retention", "0.9", "--html", str(tmp_path / "page.html")])
    told = capsys.readouterr().out
    assert "validation split" in told and "| ga | 0.001 | 1 | - | - |" in told and "base" not in told
    write(tmp_path / "runs" / "2", "ga", 0, {0: (0.0, 1.0), 10: (0.5, 0.7)}, split="test")
    main([str(tmp_path / "runs"), "--retention", "0.9"])
    told = capsys.readouterr().out
    assert "test split at the steps chosen on the validation split" in told
    assert "| ga | 0.001 | 1 | 60.0% (10) | 0.0% (0) |" in told
    assert Scripts((tmp_path / "page.html").read_text(encoding="utf-8")).tags[0][0] == "html"


def test_runs_of_other_settings_are_rows_of_their_own(tmp_path, capsys):
    for number, beta in enumerate((0.1, 0.1, 2.0)):
        folder = tmp_path / str(number)
        write(folder, "npo", number % 2, {0: (0.0, 1.0), 10: (0.4, 0.8)})
        config = yaml.safe_load((folder / "config.yaml").read_text())
        (folder / "config.yaml").write_text(yaml.safe_dump({**config, "beta": beta}))
    main([str(tmp_path)])
    told = capsys.readouterr().out
    assert "| npo, beta=0.1 | 0.001 | 2 |" in told and "| npo, beta=2 | 0.001 | 1 |" in told


def test_errors(tmp_path):
    with pytest.raises(UserError, match="There is no metrics.json"):
        main([str(tmp_path)])
    write(tmp_path / "0", "ga", 0, {})
    with pytest.raises(UserError, match="No run below .* has a curve"):
        main([str(tmp_path)])
    write(tmp_path / "1", "ga", 0, {0: (0.0, 1.0)})
    write(tmp_path / "2", "ga", 1, {0: (0.0, 1.0)}, data="other")
    with pytest.raises(UserError, match="not of one kind: tiny on authors; tiny on other"):
        main([str(tmp_path)])
