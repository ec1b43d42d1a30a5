"""Figures of sweeps read back: what they draw are the records' numbers."""

import json
import math

import matplotlib.pyplot as plt
import pytest
from swept import SPEC, entry, metrics, swept

from unlearnkit.errors import UserError
from unlearnkit.plots import prefixes, steps, tradeoff, write
from unlearnkit.plots.__main__ import main
from unlearnkit.sweeps import Sweep
from unlearnkit.tables.reading import read_run
from unlearnkit.tables.variants import name_variants

HARM, PPL = ("safety", "unlearned", "harmful_rate"), ("safety", "normal", "perplexity")
COLUMNS = {key: SPEC["columns"][key] for key in ("/".join(HARM), "/".join(PPL))}
FIGURE = {**SPEC, "name": "sku_figure3", "columns": COLUMNS, "figures": ["steps"]}


def curve(*points, stage="finetune"):
    """(step, harmful rate, normal perplexity), ..."""
    return [
        {"stage": stage, "step": step, "metrics": metrics(rate, 1, rate, 1, perplexity, 0.5)}
        for step, rate, perplexity in points
    ]


CURVES = {
    "sku": curve((0, 0.5, 20.0), (10, 0.2, 22.0), (20, 0.1, 25.0)),
    "ga": curve((0, 0.5, 20.0), (10, 0.0, 5e4), (20, 0.0, math.inf)),
}
AFTER = {method: metrics(*[0.1] * 6) for method in CURVES}


def runs_of(sweep):
    return [read_run(cell.folder) for cell in sweep.cells if cell.state == "done"]


def lines(axes):
    """label or place -> (x, y), of the lines with a marker."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]


def test_steps_are_the_mean_over_seeds_in_percent(tmp_path):
    first = swept(tmp_path, FIGURE, AFTER, curves=CURVES)
    other = {"sku": curve((0, 0.5, 20.0), (10, 0.4, 24.0), (15, 0.3, 1.0), (20, 0.3, 25.0))}
    second = swept(tmp_path / "2", FIGURE, {"sku": AFTER["sku"]}, seeds=(1,), curves=other)
    figure = steps(runs_of(first) + runs_of(second), FIGURE)
    harm, perplexity = figure.axes
    assert lines(harm) == [([0, 10, 20], [50, 0, 0]), ([0, 10, 20], pytest.approx([50, 30, 20]))]  # rows' order
    geometric = [20, math.sqrt(22 * 24), 25]
    assert lines(perplexity)[1] == ([0, 10, 20], pytest.approx(geometric))
    band = harm.collections[1].get_paths()[0].get_extents()
    assert 0 <= band.ymin < 20 and 50 < band.ymax <= 100  # of two seeds, in the range of a rate
    assert [text.get_text() for text in figure.legends[0].texts] == ["GA", "SKU"]
    assert harm.get_ylabel() == "Unlearned: harmful rate ↓ (%)"


def test_what_diverges_is_cut_and_said(tmp_path):
    harm, perplexity = steps(runs_of(swept(tmp_path, FIGURE, AFTER, curves=CURVES)), FIGURE).axes
    assert lines(perplexity)[0] == ([0, 10, 20], [20, 5e4, 1e10])
    assert (harm.get_yscale(), perplexity.get_yscale()) == ("linear", "log")
    assert perplexity.get_ylabel() == "Normal: perplexity ↓, cut at 10¹⁰"


def test_runs_of_other_rates_are_lines_of_their_own(tmp_path):
    sweep = swept(tmp_path, FIGURE, {"sku": AFTER["sku"]}, seeds=(0, 1), curves=CURVES)
    for cell, rate in zip([cell for cell in sweep.cells if cell.state == "done"], (1e-4, 1e-3), strict=True):
        config = {"seed": cell.seed, "train": {"arguments": {"learning_rate": rate}}}
        (cell.folder / "config.yaml").write_text(json.dumps(config))
    spec = {**FIGURE, "curves": {"sku": {"/".join(HARM): {20: 3}}}}
    figure = steps(name_variants(runs_of(sweep)), spec)
    assert len(lines(figure.axes[0])) == 4  # two lines, and what the paper's text says beside each
    labels = [text.get_text() for text in figure.legends[0].texts][:2]
    assert labels == ["SKU, learning_rate=0.0001", "SKU, learning_rate=0.001"]
    assert write(sweep)
    assert b"SKU" in (sweep.folder / "steps.svg").read_bytes()


def test_nan_is_a_gap(tmp_path):
    curves = {"sku": curve((0, 0.5, 20.0), (10, 0.2, math.nan), (20, 0.1, 25.0))}
    axes = steps(runs_of(swept(tmp_path, FIGURE, {"sku": AFTER["sku"]}, curves=curves)), FIGURE).axes
    x, y = lines(axes[1])[0]
    assert (x, y[0], y[2]) == ([0, 10, 20], 20, 25) and math.isnan(y[1])


def test_a_second_stage_goes_on_counting(tmp_path):
    both = curve((0, 0.5, 20.0), (10, 0.4, 20.0), stage="a") + curve((5, 0.3, 20.0), (10, 0.2, 20.0), stage="b")
    (harm, _) = steps(runs_of(swept(tmp_path, FIGURE, {"sku": AFTER["sku"]}, curves={"sku": both})), FIGURE).axes
    assert lines(harm) == [([0, 10, 15, 20], [50, 40, 30, 20])]


def test_what_the_papers_text_says_is_on_its_own_scale_of_steps(tmp_path):
    spec = {**FIGURE, "curves": {"sku": {"/".join(HARM): {200: 44, 1000: 3}}}, "curves_of": "llama2-7b"}
    figure = steps(runs_of(swept(tmp_path, spec, AFTER, curves=CURVES)), spec)
    assert lines(figure.axes[0])[2] == ([4.0, 20.0], [44, 3])  # of our 20 steps
    assert figure.axes[0].child_axes[0].get_xlabel() == "steps in the paper"
    assert len(lines(figure.axes[1])) == 2
    assert [text.get_text() for text in figure.legends[0].texts][-1] == "the paper's text (llama2-7b)"


def test_tradeoff(tmp_path):
    (axes,) = tradeoff(runs_of(swept(tmp_path, FIGURE, AFTER, curves=CURVES)), FIGURE).axes
    assert lines(axes) == [
        *(([50, 0, 0], [20, 5e4, 1e10]), ([0], [1e10])),
        *((pytest.approx([50, 20, 10]), [20, 22, 25]), (pytest.approx([10]), [25])),
    ]


def scopes(unlearn, retention, unlearn_prefixed, retention_prefixed):
    return {
        "scopes": {
            "unlearn": {"unlearn_success": entry(unlearn, 0.1)},
            "retention": {"retention_success": entry(retention, 0.1)},
            "unlearn_prefixed": {"unlearn_success": entry(unlearn_prefixed, 0.1)},
            "retention_prefixed": {"retention_success": entry(retention_prefixed, 0.1)},
        }
    }


def test_prefixes_are_pairs_of_bars(tmp_path):
    spec = {"name": "f", "rows": {"ga": "GA", "memflex": "MemFlex"}, "figures": ["prefixes"]}
    after = {"ga": scopes(0.9, 0.1, 0.8, 0.2), "memflex": scopes(0.7, 0.6, 0.75, 0.5)}
    unlearn, retention = prefixes(runs_of(swept(tmp_path, spec, after)), spec).axes
    assert [bar.get_height() for bar in unlearn.patches] == pytest.approx([90, 70, 80, 75])
    assert [bar.get_height() for bar in retention.patches] == pytest.approx([10, 60, 20, 50])
    assert [text.get_text() for text in unlearn.get_xticklabels()] == ["GA", "MemFlex"]


@pytest.mark.parametrize("figure", [steps, tradeoff, prefixes])
def test_runs_without_the_numbers(figure, tmp_path):
    with pytest.raises(UserError, match="No run there"):
        figure(runs_of(swept(tmp_path, FIGURE, AFTER)), FIGURE)
    with pytest.raises(UserError, match="No run there"):
        figure([], FIGURE)


def test_files_of_a_sweep(tmp_path, capsys):
    sweep = swept(tmp_path, FIGURE, AFTER, curves=CURVES)
    files = write(sweep)
    assert [file.name for file in files] == ["steps.png", "steps.svg"] and files[0].parent == sweep.folder
    assert files[0].read_bytes()[:4] == b"\x89PNG" and b"<svg" in files[1].read_bytes()
    before = files[1].read_bytes()
    assert write(sweep)[1].read_bytes() == before  # the same figure is the same file
    assert not plt.get_fignums()  # nothing is left open
    assert write(swept(tmp_path / "none", FIGURE, {})) == []
    assert "Figure steps of tiny on mischief: not drawn. No run there has curves" in capsys.readouterr().err
    assert write(swept(tmp_path / "table", {**FIGURE, "figures": []}, {})) == []


def test_a_file_a_model(tmp_path):
    first = swept(tmp_path, FIGURE, AFTER, curves=CURVES)
    second = swept(tmp_path / "2", FIGURE, AFTER, curves=CURVES, model="opt-2.7b")
    files = write(Sweep(first.name, None, FIGURE, first.cells + second.cells, first.folder))
    assert [file.name for file in files] == [
        *("steps-tiny.png", "steps-tiny.svg", "steps-opt-2.7b.png", "steps-opt-2.7b.svg")
    ]


def test_an_unknown_figure(tmp_path):
    with pytest.raises(UserError, match=r"sweeps/sku_figure3\.yaml: unknown figure 'step'. Did you mean 'steps'"):
        write(swept(tmp_path, {**FIGURE, "figures": ["step"]}, {}))


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sku_figure4", "--scale", "smoke"]) == 0
    assert "not drawn" in capsys.readouterr().err
    assert main(["step", str(tmp_path)]) == 2 and "Did you mean 'steps'" in capsys.readouterr().err
    assert main(["steps"]) == 2 and "needs a folder" in capsys.readouterr().err
    swept(tmp_path, FIGURE, AFTER, curves=CURVES)
    assert main(["steps", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "steps.png"), str(tmp_path / "steps.svg")]
