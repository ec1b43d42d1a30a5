"""The worst attack is chosen on one half of the prompts and drawn on the other."""

import pytest
from swept import AFTER, swept

from unlearnkit.errors import UserError
from unlearnkit.plots.robustness import robustness, worst_of
from unlearnkit.tables.reading import read_run

PLACE = ["safety", "unlearned", "harmful_rate"]
SPEC = {
    "name": "f",
    "rows": {"ga": "GA", "sku": "SKU"},
    "worst": {"of": "/".join(PLACE), "without": "interpolate_*"},
}


def attack(first, second):
    """(start, unlearned, attacked) of each half."""
    names = ("start", "unlearned", "attacked", "never_knew", "never_knew_attacked")
    halves = {name: list(pair) for name, pair in zip(names, zip(first, second, strict=True), strict=True)}
    return {"shares": {"safety": {"unlearned": {"harmful_rate": {"n": 20, "share": None, "halves": halves}}}}}


ATTACKS = {
    "weak": attack((0.9, 0.1, 0.2, 0.1, 0.1), (0.8, 0.2, 0.9, 0.1, 0.1)),
    "strong": attack((0.9, 0.1, 0.6, 0.1, 0.3), (0.8, 0.2, 0.5, 0.1, 0.2)),
    "interpolate_100": attack((0.9, 0.1, 0.9, 0.1, 0.9), (0.8, 0.2, 0.8, 0.1, 0.8)),
    "empty": {"shares": {}},
    "few": {"shares": {"safety": {"unlearned": {"harmful_rate": {"n": 1, "share": None, "halves": None}}}}},
}


def runs(tmp_path, recovered):
    sweep = swept(tmp_path, SPEC, {method: AFTER[method] for method in ("ga", "sku")})
    found = [read_run(cell.folder) for cell in sweep.cells if cell.state == "done"]
    for run in found:
        run.raw["recovered"] = recovered
    return found


def test_the_attack_that_brings_most_back_on_the_first_half_is_told_of_the_second(tmp_path):
    run = runs(tmp_path, ATTACKS)[0]
    worst = worst_of(run, PLACE, "interpolate_*")
    assert worst.attack == "strong" and worst.n == 10
    assert worst.values == {
        "start": 0.8, "unlearned": 0.2, "attacked": 0.5, "never_knew": 0.1, "never_knew_attacked": 0.2,
    }  # fmt: skip
    assert worst_of(run, PLACE).attack == "interpolate_100"
    assert worst_of(run, ["safety", "unlearned", "perplexity"]) is None


def test_what_falls_by_unlearning_the_other_way_round_comes_back_the_other_way_round(tmp_path):
    halves = {"start": [0.1, 0.1], "unlearned": [0.9, 0.9]}
    rising = {
        name: {
            "shares": {"safety": {"unlearned": {"harmful_rate": {"n": 4, "halves": {**halves, "attacked": [v, v]}}}}}
        }
        for name, v in {"up": 0.8, "down": 0.3}.items()
    }
    assert worst_of(runs(tmp_path, rising)[0], PLACE).attack == "down"


def test_a_pair_of_bars_a_method_and_a_line_for_the_model_that_never_knew(tmp_path):
    (axes,) = robustness(runs(tmp_path, ATTACKS), SPEC).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([20, 20, 50, 50])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["GA", "SKU"]
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert lines["start"] == pytest.approx([80, 80]) and lines["never knew"] == pytest.approx([10, 10])
    assert lines["never knew, attacked alike"] == pytest.approx([20, 20])
    assert [text.get_text() for text in axes.texts] == ["strong", "strong"]


def test_runs_that_were_not_attacked(tmp_path):
    with pytest.raises(UserError, match="No run there was attacked and measured at safety/unlearned/harmful_rate"):
        robustness(runs(tmp_path, {}), SPEC)
