"""What a run prints at its end."""

import json

from unlearnkit.measures import HarmfulRate
from unlearnkit.measures.display import written
from unlearnkit.runs.summary import show

SHOWN = {"safety/unseen/harmful_rate": written(HarmfulRate().display("holdout"))}


def estimate(value):
    return {"value": value, "low": value / 2, "high": value * 2, "n": 60, "seed": 0}


def test_before_after_and_the_report(tmp_path, capsys):
    run = {"method": "sku", "model": "m", "data": "d", "seed": 1, "minutes": 2.5, "peak_memory_gb": 1.25}
    numbers = {
        when: {"safety": {"unseen": {"harmful_rate": estimate(rate)}}}
        for when, rate in (("before", 0.5), ("after", 0.1))
    }
    (tmp_path / "metrics.json").write_text(json.dumps({"run": run, **numbers, "columns": SHOWN, "curve": []}))
    show(tmp_path)
    told = capsys.readouterr().out
    assert "sku on m, d, seed 1" in told and "50.0%" in told and "10.0%" in told and "[5.0%, 20.0%]" in told
    assert "2.5 minutes, peak memory 1.25 GB" in told and str(tmp_path / "report.html") in told


def test_what_only_after_has_is_shown(tmp_path, capsys):
    run = {"method": "ga", "model": "m", "data": "d", "seed": 1, "minutes": 2.5, "peak_memory_gb": 1.25}
    before = {"safety": {"unseen": {"harmful_rate": estimate(0.5)}}}
    cost = {"finetune": {"seconds_a_step": estimate(3.25)}}
    body = {"run": run, "before": before, "after": {**before, "cost": cost}, "columns": SHOWN, "curve": []}
    (tmp_path / "metrics.json").write_text(json.dumps(body))
    show(tmp_path)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "seconds_a_step" in line]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["finetune", "seconds_a_step ↓", "-", "", "3.25", "[1.62, 6.50]"]


def test_a_standard_error_stands_behind_the_interval(tmp_path, capsys):
    run = {"method": "base", "model": "m", "data": "d", "seed": 0, "minutes": 1.0, "peak_memory_gb": 1.0}
    before = {"general": {"race": {"acc": {**estimate(0.25), "stderr": 0.0625}}}}
    (tmp_path / "metrics.json").write_text(
        json.dumps({"run": run, "before": before, "after": None, "columns": {}, "curve": []})
    )
    show(tmp_path)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "race" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")][2:] == ["25.0%", "[12.5%, 50.0%], s.e. 6.2%"]
