"""Curves from hand-written runs, read, summarised and drawn."""

import json
import math
from html.parser import HTMLParser

import pytest
import yaml

from unlearnkit.errors import UserError
from unlearnkit.plots.frontier import Curve, Point, best_step, main, markdown, page, read_curve, unlearned_at
from unlearnkit.runs.reading import read_run


def entry(value):
    return {"value": value, "low": value, "high": value, "n": 9, "seed": 0}


def write(folder, method, seed, points, rate=1e-3, split="validation"):
    """`points`: step -> (unlearn, retention); None for a row without scopes."""
    rows = []
    for step, point in points.items():
        sets = {"world": {"retention_success": entry(0.5)}}
        if point:
            sets |= {name: {f"{name}_success": entry(v)} for name, v in zip(("unlearn", "retention"), point, strict=1)}
        rows.append({"stage": "finetune", "step": step, "metrics": {"scopes": sets, "safety": {}}})
    run = {"method": method, "model": "tiny", "data": "authors", "seed": seed, "minutes": 1.0, "versions": {}}
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


def test_read_curve(tmp_path):
    write(tmp_path / "a", "ga", 3, {0: (0.1, 0.9), 5: None, 10: (0.6, 0.7)}, rate="3e-4", split="test")
    found = read_curve(read_run(tmp_path / "a"))
    assert found == Curve("tiny on authors", "ga", 3e-4, 3, "test", [Point(0, 0.1, 0.9), Point(10, 0.6, 0.7)])
    assert found.points[1].average == pytest.approx(0.65)


def test_a_run_without_a_curve(tmp_path):
    write(tmp_path / "a", "ga", 0, {})
    write(tmp_path / "b", "ga", 0, {0: None})
    assert read_curve(read_run(tmp_path / "a")) is None and read_curve(read_run(tmp_path / "b")) is None


@pytest.mark.parametrize(
    ("rows", "value"),
    [
        ([(0.0, 1.0), (0.4, 0.8)], 0.2),  # half of the way down
        ([(0.0, 1.0), (0.4, 0.9), (0.9, 0.1)], 0.4),  # at the mark itself
        ([(0.0, 1.0), (0.8, 0.2)], 0.1),  # an eighth
        ([(0.3, 1.0), (0.1, 0.95), (0.0, 0.5)], 0.3),  # it need not be the last point
        ([(0.0, 1.0), (0.9, 0.8), (0.5, 1.0)], 0.7),  # back over the mark: (0.9 + 0.5) / 2, over 0.45 and 0.5
        ([(0.6, 0.95), (0.7, 0.92)], 0.7),  # never below
    ],
)
def test_unlearned_at(rows, value):
    assert unlearned_at(points(*rows), 0.9) == pytest.approx(value)


def test_unlearned_at_a_mark_never_reached():
    assert math.isnan(unlearned_at(points((0.9, 0.8), (1.0, 0.1)), 0.9))
    assert math.isnan(unlearned_at([], 0.9))


def test_the_best_step_is_of_the_mean_over_seeds():
    first = Curve("tiny on authors", "ga", 1e-3, 0, "test", points((0.0, 1.0), (0.9, 0.9), (0.7, 0.9)))
    second = Curve("tiny on authors", "ga", 1e-3, 1, "test", points((0.0, 1.0), (0.2, 0.9), (0.8, 0.8)))
    assert best_step([first]) == 10 and best_step([first, second]) == 20


def test_markdown():
    # averages 0.6, 0.65, 0.7 and, at 90 %, 0.2, 0.25, 0.3: s = 0.05, so -+ 4.3027 * 0.05 / sqrt(3) = 0.1242
    curves = [*seeds(), *seeds("sku", 5e-5, 1), *seeds(rate=1e-2, count=1)]
    assert (
        markdown(curves, [0.9, 0.1])
        == """\
| method | learning rate | seeds | best average (step) | retention ≥ 90% | retention ≥ 10% |
|---|---:|---:|---:|---:|---:|
| ga | 0.001 | 3 | 65.0% [52.6%, 77.4%] (10) | 25.0% [12.6%, 37.4%] | 90.0% [90.0%, 90.0%] |
| sku | 5e-05 | 1 | 60.0% (10) | 20.0% | 90.0% |
| ga | 0.01 | 1 | 60.0% (10) | 20.0% | 90.0% |"""
    )


def test_markdown_below_the_mark_from_the_start():
    assert markdown(seeds(count=2), [1.5]).endswith("| nan |")


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
    assert "validation split" in told and "| ga | 0.001 | 1 | 60.0% (10) | 20.0% |" in told and "base" not in told
    assert Scripts((tmp_path / "page.html").read_text(encoding="utf-8")).tags[0][0] == "html"


def test_errors(tmp_path):
    with pytest.raises(UserError, match="There is no metrics.json"):
        main([str(tmp_path)])
    write(tmp_path / "0", "ga", 0, {})
    with pytest.raises(UserError, match="No run below .* has a curve"):
        main([str(tmp_path)])
    write(tmp_path / "1", "ga", 0, {0: (0.0, 1.0)})
    write(tmp_path / "2", "ga", 1, {0: (0.0, 1.0)}, split="test")
    with pytest.raises(UserError, match="not of one kind: .*test split; .*validation split"):
        main([str(tmp_path)])
