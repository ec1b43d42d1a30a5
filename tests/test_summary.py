"""What a run prints at its end."""

import json

from unlearnkit.summary import show


def estimate(value):
    return {"value": value, "low": value / 2, "high": value * 2, "n": 60, "seed": 0}


def test_before_after_and_the_report(tmp_path, capsys):
    run = {"method": "sku", "model": "m", "data": "d", "seed": 1, "minutes": 2.5, "peak_memory_gb": 1.25}
    numbers = {
        when: {"safety": {"unseen": {"harmful_rate": estimate(rate)}}}
        for when, rate in (("before", 0.5), ("after", 0.1))
    }
    (tmp_path / "metrics.json").write_text(json.dumps({"run": run, **numbers, "curve": []}))
    show(tmp_path)
    told = capsys.readouterr().out
    assert "sku on m, d, seed 1" in told and "50.0%" in told and "10.0%" in told and "[5.0%, 20.0%]" in told
    assert "2.5 minutes, peak memory 1.25 GB" in told and str(tmp_path / "report.html") in told
