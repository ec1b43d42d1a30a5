"""A run's curves by split: what figures are drawn of."""

import json
from dataclasses import replace

import pytest

from unlearnkit.errors import UserError
from unlearnkit.plots.curves import line_of
from unlearnkit.plots.frontier import read_curves
from unlearnkit.tables.published import column
from unlearnkit.tables.reading import curves_of, on_test, read_run

SUCCESS = {"unlearn": "scopes/unlearn/unlearn_success", "retention": "scopes/retention/retention_success"}


def scopes(unlearn, retention):
    values = {"unlearn": unlearn, "retention": retention}
    return {
        "scopes": {
            name: {f"{name}_success": {"value": value, "low": value, "high": value, "n": 9, "seed": 0}}
            for name, value in values.items()
        }
    }


@pytest.fixture
def run(tmp_path):
    """Validation falls from 0.9 to 0.6 on retention, test from 0.8 to 0.2."""
    curve = [
        {"stage": "s", "step": 0, "metrics": scopes(0.0, 0.9), "beside": {"test": scopes(0.1, 0.8)}},
        {"stage": "s", "step": 5, "metrics": scopes(0.3, 0.6), "beside": {"test": scopes(0.5, 0.2)}},
    ]
    body = {"run": {"method": "ga", "model": "m", "data": "d", "seed": 0}, "before": {}, "after": {}, "curve": curve}
    config = {"curve_split": ["validation", "test"], "train": {"arguments": {"learning_rate": 1e-3}}}
    (tmp_path / "metrics.json").write_text(json.dumps(body))
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    return read_run(tmp_path)


def test_figures_are_of_test_where_both_were_measured(run):
    retention = column(SUCCESS["retention"])
    assert line_of([run], retention).values == [90.0, 60.0]
    assert line_of([on_test(run)], retention).values == [80.0, 20.0]
    assert list(curves_of(run)) == ["validation", "test"]


def test_one_split_stays_as_it_is(run):
    alone = replace(run, raw={**run.raw, "curve": [{**row, "beside": {}} for row in run.raw["curve"]]})
    assert list(curves_of(alone)) == ["validation"] and on_test(alone) is alone


def test_the_frontier_has_a_curve_of_each_split(run):
    found = {curve.split: [(point.unlearn, point.retention) for point in curve.points] for curve in read_curves(run)}
    assert found == {"validation": [(0.0, 0.9), (0.3, 0.6)], "test": [(0.1, 0.8), (0.5, 0.2)]}


NUMBER = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 2, "seed": 0}
SHARES = {"unlearned": 0.1, "attacked": 0.2, "n": 2, "share": {"value": 0.1, "low": 0.0, "high": 0.2}}


@pytest.mark.parametrize(
    "damage",
    [
        {"curve": [{"stage": "s", "step": 0, "metrics": {"e": {"s": {"m": {**NUMBER, "high": "x"}}}}}]},
        {"curve": [{"stage": "s", "step": "x", "metrics": {}}]},
        {"curve": [{"stage": "s", "step": 0, "metrics": {}, "beside": {"test": {"e": {"s": {"m": 1}}}}}]},
        {"curve": 5},
        {"columns": {"e/s/m": "x"}},
        {"chosen": [1]},
        {"moments": [{"name": "start", "numbers": {"e": {"s": {"m": {**NUMBER, "n": "x"}}}}}], "attacks": []},
        {"recovered": {"noise": {"shares": -1}}},
        {"recovered": {"noise": {"shares": {"e": {"s": {"m": {**SHARES, "unlearned": "x"}}}}}}},
        {"recovered": {"noise": {"shares": {"e": {"s": {"m": {**SHARES, "share": {"value": "x"}}}}}}}},
    ],
)
def test_what_no_run_writes_is_refused_as_it_is_read(damage, run):
    file = run.folder / "metrics.json"
    whole = {"recovered": {"noise": {"shares": {"e": {"s": {"m": SHARES}}}}}, "columns": {}}
    file.write_text(json.dumps({**run.raw, **whole}))
    read_run(run.folder)
    file.write_text(json.dumps({**run.raw, **whole, **damage}))
    with pytest.raises(UserError, match="is not a run's metrics.json"):
        read_run(run.folder)
