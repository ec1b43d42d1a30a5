import json
import math

import pytest

from unlearnkit.errors import UserError
from unlearnkit.measures.interval import Estimate
from unlearnkit.measures.seeds import Scale
from unlearnkit.tables import aggregate, latex, mark, markdown, mean_over_seeds
from unlearnkit.tables.__main__ import main
from unlearnkit.tables.reading import collect


def entry(value, width=0.1):
    return {"value": value, "low": value - width, "high": value + width, "n": 60, "seed": 0}


def metrics(rate, perplexity, similarity=None):
    normal = {"perplexity": entry(perplexity, 2.0)}
    if similarity is not None:
        normal["similarity"] = entry(similarity)
    return {"safety": {"unlearned": {"harmful_rate": entry(rate)}, "normal": normal}}


BEFORE = metrics(0.54, 18.5, 1.0)


def write(folder, method, seed, after, before=BEFORE, model="tiny", data="mischief"):
    folder.mkdir(parents=True, exist_ok=True)
    run = {"method": method, "model": model, "data": data, "seed": seed, "minutes": 1.0, "versions": {}}
    body = {"run": run, "before": before, "after": after, "curve": []}
    (folder / "metrics.json").write_text(json.dumps(body))


def test_the_whole_table(tmp_path):
    write(tmp_path / "0", "base", 0, None)
    for seed, rate in enumerate([0.02, 0.03, 0.04]):
        write(tmp_path / f"sku{seed}", "sku", seed, metrics(rate, 25.0 + seed, 0.61))
        write(tmp_path / f"ft{seed}", "ft", seed, metrics(0.5, 20.0, 0.9))
    write(tmp_path / "ga", "ga", 0, metrics(0.01, 2e11))
    write(tmp_path / "npo", "npo", 0, metrics(0.05, 123456.0, math.nan))
    (table,) = aggregate(collect(tmp_path))
    assert (
        markdown(table)
        == """\
### tiny, mischief

| method | unlearned/harmful_rate ↓ | normal/perplexity ↓ | normal/similarity ↑ |
| --- | ---: | ---: | ---: |
| original | 54.0% [44.0%, 64.0%] | 18.50 [16.50, 20.50] | 1.000 [0.900, 1.100] |
| ft | <u>50.0%</u> [40.0%, 60.0%] | **20.00** [18.00, 22.00] | **0.900** [0.800, 1.000] |
| ga | **1.0%** [-9.0%, 11.0%] | >1e10 [>1e10, >1e10] | - |
| sku | **3.0%** [0.0%, 20.0%] | <u>25.99</u> [23.62, 28.59] | <u>0.610</u> [0.510, 0.710] |
| npo | **5.0%** [-5.0%, 15.0%] | 1.2e+05 [1.2e+05, 1.2e+05] | nan |

- Mean over seeds with its 95 % interval over seeds: ft, sku.
- One seed only, so with the 95 % interval over that run's examples: ga, npo.
- The same value at every seed, so with the 95 % interval over examples: original.
- Missing: normal/similarity of ga.
"""
    )


def test_the_t_interval_by_hand():
    cell = mean_over_seeds([Estimate(v, v, v, 60) for v in (2.0, 4.0, 6.0)], Scale())
    assert cell.value == 4.0
    half = 4.302652729911275 * 2 / math.sqrt(3)  # t(0.975, 2) * s / sqrt(n)
    assert (cell.low, cell.high) == pytest.approx((4 - half, 4 + half))
    assert (cell.seeds, cell.examples) == (3, False)


@pytest.mark.parametrize(("odd", "shown"), [(math.inf, ">1e10"), (math.nan, "nan")])
def test_one_seed_not_finite(tmp_path, odd, shown):
    write(tmp_path / "0", "ga", 0, metrics(0.1, odd))
    write(tmp_path / "1", "ga", 1, metrics(0.1, 5.0))
    assert f"| ga | 10.0% [0.0%, 20.0%] | {shown} | - |" in markdown(aggregate(collect(tmp_path))[0])


def test_what_no_test_tells_apart_shares_the_mark_and_nan_gets_none(tmp_path):
    for name, value in {"ft": 0.01, "ga": 0.01, "sku": 0.02, "b": 0.02, "a": 0.03, "c": math.nan}.items():
        write(tmp_path / name, name, 0, metrics(value, 1.0))
    (table,) = aggregate(collect(tmp_path), columns=["unlearned/harmful_rate"])
    assert list(table.rows) == ["original", "ft", "ga", "sku", "a", "b", "c"]
    column = ("safety", "unlearned", "harmful_rate")
    assert mark(table) == {}  # 1 % to 3 %, each up to 10 % more or less
    for name, value in {"d": 0.6, "e": 0.61, "f": 0.99}.items():
        write(tmp_path / name, name, 0, metrics(value, 1.0))
    (table,) = aggregate(collect(tmp_path), columns=["unlearned/harmful_rate"])
    best, next_best = ("ft", "ga", "sku", "a", "b"), ("d", "e")
    assert mark(table) == {(row, column): 1 for row in best} | {(row, column): 2 for row in next_best}


def test_methods_and_columns_as_asked_for(tmp_path):
    write(tmp_path / "a", "sku", 0, metrics(0.1, 5.0))
    (table,) = aggregate(collect(tmp_path), ["ga", "sku"], ["*/perplexity", "safety/unlearned/harmful_rate"])
    lines = markdown(table).splitlines()
    assert lines[2] == "| method | normal/perplexity ↓ | unlearned/harmful_rate ↓ |"
    assert lines[5:7] == ["| ga | - | - |", "| sku | 5.00 [3.00, 7.00] | 10.0% [0.0%, 20.0%] |"]
    assert "- Missing: ga." in lines
    with pytest.raises(UserError, match="No run has a column 'unlearned/harmful_rat'. Did you mean"):
        aggregate(collect(tmp_path), columns=["unlearned/harmful_rat"])


def test_what_is_left_out_is_named(tmp_path):
    write(tmp_path / "run2", "sku", 0, metrics(0.2, 5.0))
    write(tmp_path / "run10", "sku", 0, metrics(0.1, 5.0), before=metrics(0.5, 18.5, 1.0))
    write(tmp_path / "run11", "ga", 0, None)
    text = markdown(aggregate(collect(tmp_path))[0])
    assert "| original | 54.0%" in text and "| sku | 10.0%" in text and "| ga |" not in text
    assert f"- sku has seed 0 twice: {tmp_path}/run10 used, not {tmp_path}/run2." in text
    assert f"- `original` differs at seed 0: {tmp_path}/run2 used, not {tmp_path}/run10." in text
    assert f"- {tmp_path}/run11 (ga) was not measured after its stages: left out." in text


def test_a_table_a_model_and_fewer_seeds(tmp_path):
    for seed in range(3):
        write(tmp_path / f"{seed}", "sku", seed, metrics(0.1 * seed, 5.0, 0.5 if seed else None))
    write(tmp_path / "other", "sku", 0, metrics(0.1, 5.0), model="opt", before=None)
    tiny, opt = aggregate(collect(tmp_path))
    assert (tiny.model, opt.model) == ("tiny", "opt")
    assert "- Fewer than 3 seeds: sku normal/similarity." in markdown(tiny)
    assert "- Missing: original; normal/similarity of sku." in markdown(opt)


def test_latex(tmp_path):
    write(tmp_path / "a", "ga_mismatch", 0, metrics(0.02, 123456.0))
    write(tmp_path / "b", "sku", 0, metrics(0.03, 2e11))
    (table,) = aggregate(collect(tmp_path), columns=["unlearned/*", "normal/perplexity"])
    table.rows["original"] = {}
    assert latex(table).splitlines()[:9] == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"tiny, mischief & \multicolumn{1}{c}{unlearned} & \multicolumn{1}{c}{normal} \\",
        r"\cmidrule(lr){2-2}\cmidrule(lr){3-3}",
        r" & harmful\_rate $\downarrow$ & perplexity $\downarrow$ \\",
        r"\midrule",
        r"original & - & - \\",
        r"ga\_mismatch & 2.0\% {\scriptsize [-8.0\%, 12.0\%]} & "
        r"\textbf{$1.2\times10^{5}$} {\scriptsize [$1.2\times10^{5}$, $1.2\times10^{5}$]} \\",
        r"sku & 3.0\% {\scriptsize [-7.0\%, 13.0\%]} & "
        r"\underline{$>10^{10}$} {\scriptsize [$>10^{10}$, $>10^{10}$]} \\",
    ]


def test_the_command(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 2
    write(tmp_path / "a", "sku", 0, metrics(0.02, 10.0))
    assert main([str(tmp_path), "--latex", "--columns", "normal/perplexity"]) == 0
    assert capsys.readouterr().out.startswith(r"\begin{tabular}{lr}")
    (tmp_path / "a" / "metrics.json").write_text('{"run": {}}')
    assert main([str(tmp_path)]) == 2
    assert "metrics.json is not a run's metrics.json (KeyError" in capsys.readouterr().err
