"""Figures read back: the lines hold the numbers of metrics.json."""

import json

import pytest

from unlearnkit.errors import UserError
from unlearnkit.plots import bleu, draw, krs
from unlearnkit.plots.__main__ import main
from unlearnkit.tables.reading import collect
from unlearnkit.tables.variants import name_variants


def number(value):
    return {"value": value, "low": value, "high": value, "n": 2, "seed": 0}


def write(folder, method, after, curve=()):
    folder.mkdir(parents=True, exist_ok=True)
    run = {"model": "tiny", "data": "concepts", "method": method, "seed": 0}
    metrics = {"run": run, "before": {}, "after": after, "curve": list(curve)}
    (folder / "metrics.json").write_text(json.dumps(metrics))


def scores(*values):
    return {"peak": number(max(values)), **{f"layer_{n:02}": number(value) for n, value in enumerate(values)}}


def bleus(target, unrelated):
    return {"target": {"target_bleu": number(target)}, "unrelated": {"unrelated_bleu": number(unrelated)}}


def test_krs_is_the_mean_over_runs_layer_by_layer(tmp_path):
    write(tmp_path / "a", "dpo", {"krs": {"attention": scores(0.1, 0.3, 0.5), "coefficients": scores(0, 0.2, 0.4)}})
    write(tmp_path / "b", "grad_diff", {"krs": {"attention": scores(0.3, 0.5, 0.9)}})
    (axes,) = krs(collect(tmp_path)).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert lines["attention"] == pytest.approx([0.2, 0.4, 0.7])
    assert lines["coefficients"] == pytest.approx([0, 0.2, 0.4])
    assert axes.get_title() == "dpo, grad_diff"


def test_krs_of_other_settings_has_a_panel_of_its_own(tmp_path):
    for name, method, window, value in (
        ("a", "dpo", 1, 0.1),
        ("b", "dpo", 2, 0.3),
        ("c", "npo", 1, 0.5),
        ("d", "npo", 2, 0.9),
    ):
        write(tmp_path / name, method, {"krs": {"attention": scores(value, value)}})
        (tmp_path / name / "config.yaml").write_text(json.dumps({"seed": 0, "eval": {"krs": {"window": window}}}))
    first, second = krs(name_variants(collect(tmp_path)), {"rows": {"dpo": "DPO"}}).axes
    means = [list(axes.get_lines()[2].get_ydata()) for axes in (first, second)]
    assert means == [pytest.approx([0.3, 0.3]), pytest.approx([0.6, 0.6])]
    assert [axes.get_title() for axes in (first, second)] == [
        "DPO, window=1, npo, window=1",
        "DPO, window=2, npo, window=2",
    ]


def test_bleu_has_the_curves_points_or_the_last_one(tmp_path):
    curve = [
        {"stage": "finetune", "step": step, "metrics": {"concepts": bleus(100 - step, 100 - 2 * step)}}
        for step in (0, 10, 20)
    ]
    write(tmp_path / "a", "npo", {"concepts": bleus(80, 60)}, curve)
    write(tmp_path / "b", "memit_empty", {"concepts": bleus(30, 90)})
    (axes,) = bleu(collect(tmp_path)).axes
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}
    assert lines["npo"] == ([90, 80], [80, 60])
    assert lines["memit_empty"] == ([30], [90])
    assert lines["original"] == ([100], [100])


def test_the_command_writes_png_and_svg_and_the_same_ones_again(tmp_path, capsys):
    write(tmp_path / "a", "dpo", {"krs": {"attention": scores(0.1, 0.3)}})
    assert main(["krs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "krs.png"), str(tmp_path / "krs.svg")]
    png, svg = ((tmp_path / name).read_bytes() for name in ("krs.png", "krs.svg"))
    assert png[:4] == b"\x89PNG" and b"<svg" in svg
    draw("krs", tmp_path)
    assert (tmp_path / "krs.svg").read_bytes() == svg


def test_bleu_is_the_authors_where_a_run_has_it(tmp_path):
    both = {"target": {"bleu": number(1), "bleu_as_published": number(2)}}
    both["unrelated"] = {"bleu": number(3), "bleu_as_published": number(4)}
    write(tmp_path / "a", "npo", {"concepts": both})
    (axes,) = bleu(collect(tmp_path)).axes
    assert [list(line.get_xydata()[0]) for line in axes.get_lines() if line.get_label() == "npo"] == [[2, 4]]


@pytest.mark.parametrize("figure", [krs, bleu])
def test_runs_without_the_numbers(figure, tmp_path):
    write(tmp_path, "sku", {"safety": {}})
    with pytest.raises(UserError, match="No run there has"):
        figure(collect(tmp_path))


def test_an_empty_folder_is_two_lines(tmp_path, capsys):
    assert main(["bleu", str(tmp_path)]) == 2
    assert "no metrics.json" in capsys.readouterr().err


def test_a_folder_without_a_figures_name_is_two_lines(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"'{tmp_path}' is a folder, and no figure of it is named\n")
