"""Curves over several seeds, of which one has fewer points."""

from swept import AFTER, write_run

from unlearnkit.report.curves import loss_figures, sweep_figures
from unlearnkit.tables.reading import read_run


def test_a_mean_is_over_the_same_seeds_at_each_step(tmp_path):
    """With one seed's own 0.9 at step 5 the line would go up where no seed does."""
    steps = {0: {0: 0.8, 5: 0.9, 10: 0.6}, 1: {0: 0.2, 10: 0.1}}
    for seed, values in steps.items():
        curve = [
            {"stage": "s", "step": step, "metrics": {"safety": {"unlearned": {"harmful_rate": number(value)}}}}
            for step, value in values.items()
        ]
        write_run(tmp_path / str(seed), "sku", seed, AFTER["sku"], curve)
    runs = [read_run(tmp_path / str(seed)) for seed in steps]
    (figure,) = sweep_figures({"SKU": runs}, [])
    (line,) = [trace for trace in figure["data"] if trace["mode"] == "lines+markers"]
    assert list(line["x"]) == [0, 10]


def test_nor_does_a_loss_go_on_with_the_seeds_that_are_left():
    logs = [[{"stage": "s", "step": step, "loss": 1.0} for step in range(last)] for last in (3, 5)]
    (figure,) = loss_figures({"SKU": logs})
    (line,) = [trace for trace in figure["data"] if trace["mode"] == "lines+markers"]
    assert list(line["x"]) == [0, 1, 2]


def number(value):
    return {"value": value, "low": value, "high": value, "n": 10, "seed": 0}
