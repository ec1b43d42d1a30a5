"""A sweep's table beside the paper's, from literal runs: marks, ties, ranking, what is missing, NaN and infinity."""

import csv
import io
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from swept import AFTER, PAPER, ROWS, SPEC, metrics, swept, write_run

from unlearnkit.errors import UserError
from unlearnkit.sweeps import Sweep
from unlearnkit.tables import aggregate, compare, fragment, write
from unlearnkit.tables.__main__ import main
from unlearnkit.tables.reading import collect

COLUMNS = ("safety/unlearned/harmful_rate", "safety/normal/perplexity")
SMALL = {
    **SPEC,
    "rows": {row: ROWS[row] for row in ("original", "ft", "ga", "ga_mismatch", "sku")},
    "columns": {key: SPEC["columns"][key] for key in COLUMNS},
    "ranking": {"unlearn": [COLUMNS[0]], "utility": [COLUMNS[1]]},
    "paper": {
        "opt-2.7b": {row: PAPER["opt-2.7b"][row][0:5:4] for row in ("original", "ft", "ga", "sku")},
    },
    "claims": [{"says": "SKU beats FT", "page": 6, "where": f"sku.{COLUMNS[0]} < ft.{COLUMNS[0]}"}],
}  # fmt: skip


def text_of(sweep, kind):
    return next(file for file in write(sweep) if file.suffix == f".{kind}").read_text()


def test_the_whole_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        text_of(swept(".", SMALL), "md")
        == """\
# SKU with a number of baselines

Liu et al. 2024, table 1, page 7.

`python -m unlearnkit +sweep=sku_table1 +scale=cpu`

tiny on mischief: mean rank correlation +1.00 with opt-2.7b; of 1 claims 1 hold.

## tiny on mischief, beside the paper's opt-2.7b

> The models differ: ours is tiny on mischief, the paper's numbers are of opt-2.7b on saferlhf. Compare the order of \
the methods and the directions, not the values.

Each method has two lines, ours and the paper's numbers. Bold: best, underlined: next best, of ours with \
all that no test tells from it (paired over prompts where these are shared, p < 0.05, Holm's correction over the \
column; none where nothing differs); brackets: 95 % interval; arrows: which way is better.

| method |  | Unlearned: harmful rate ↓ | Normal: perplexity ↓ | Ranking: unlearn | Ranking: utility \
| Ranking: average |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| Original | ours | 50.0% [45.0%, 55.0%] | 20.00 [18.00, 22.00] | NA | NA | NA |
|  | paper | 54% | 31.51 | NA | NA | NA |
| FT | ours | <u>40.0%</u> [35.0%, 45.0%] | **15.00** [13.00, 17.00] | 3 | 1 | **2** |
|  | paper | 18.5% | **24.01** | 3 | 1 | **2** |
| GA | ours | **0.0%** [-5.0%, 5.0%] | >10¹⁰ [>10¹⁰, >10¹⁰] | 1 | 3 | **2** |
|  | paper | **1%** | >10³ | 1 | 3 | **2** |
| GA+Mismatch | ours | **0.0%** [-5.0%, 5.0%] | nan | 1 | - | - |
| SKU | ours | **3.0%** [-2.0%, 8.0%] | <u>26.00</u> [24.00, 28.00] | 2 | 2 | **2** |
|  | paper | <u>3%</u> | <u>25.46</u> | 2 | 2 | **2** |

- One seed only, so with the 95 % interval over that run's examples: Original, FT, GA, GA+Mismatch, SKU.
- Ranked among the methods that have the numbers; without a rank: GA+Mismatch.

### Agreement with the paper

| rank correlation of the methods (Spearman) | with opt-2.7b |
| --- | --- |
| Unlearned: harmful rate | +1.00 (3 methods, p = 0.33) |
| Normal: perplexity | +1.00 (3 methods, p = 0.33) |
| mean | +1.00 |

### Claims of the paper's text

| what the paper says | paper (opt-2.7b) | ours |
| --- | --- | --- |
| SKU beats FT (page 6) | **holds**: SKU 3%, FT 18.5% | **holds**: SKU 3.0% [-2.0%, 8.0%], FT 40.0% [35.0%, 45.0%] |
"""
    )


def test_missing_cells_are_named_with_the_command_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    after = {("ft", 0): AFTER["ft"], ("sku", 0): AFTER["sku"], ("sku", 1): metrics(0.05, 25.0, 0.05, 24.0, 28.0, 0.6)}
    sweep = swept(".", SMALL, after, seeds=(0, 1))
    (sweep.cells[1].folder).mkdir()
    (sweep.cells[1].folder / "error.txt").write_text("Loss is NaN at step 3\nLower the rate\n")
    (sweep.cells[2].folder).mkdir()
    (sweep.cells[2].folder / "config.yaml").write_text("seed: 0\n")
    text = text_of(sweep, "md")
    assert (
        "- Cells that are not there: ft seed 1 (failed: Loss is NaN at step 3); ga seed 0 (cut); ga seed 1 (missing);"
        " ga_mismatch seed 0, 1 (missing). To make them: `python -m unlearnkit +sweep=sku_table1 +scale=cpu`" in text
    )
    assert "- Missing: GA; GA+Mismatch." in text
    assert "| GA | ours | - | - | - | - | - |" in text
    assert "- Mean over seeds with its 95 % interval over seeds: SKU." in text
    assert "| SKU | ours | 4.0% [0.0%, 44.5%] |" in text


def test_nothing_done_yet(tmp_path):
    text = text_of(swept(tmp_path, SMALL, after={}), "md")
    assert "| FT | ours | - | - | - | - | - |\n|  | paper | 18.5% | **24.01** | 3 | 1 | **2** |" in text
    assert f"`python -m unlearnkit +sweep=sku_table1 +scale=cpu hydra.sweep.dir={tmp_path}/results`" in text
    assert "| SKU beats FT (page 6) | **holds**: SKU 3%, FT 18.5% | **not told**: SKU -, FT - |" in text
    assert "| Unlearned: harmful rate | none (0 methods) |" in text


def test_the_papers_own_model_stands_beside_its_own_numbers(tmp_path):
    sweep = swept(tmp_path, SPEC, model="llama2-7b", data="saferlhf", scale=None)
    (comparison,) = compare(sweep)
    assert (comparison.block, comparison.same, comparison.remarks) == ("llama2-7b", True, [])
    assert list(comparison.correlations) == ["llama2-7b"] and comparison.title == "llama2-7b on saferlhf"
    assert len(comparison.claims) == 3
    (other,) = compare(swept(tmp_path / "other", SPEC, after={}, model="opt-2.7b", data="saferlhf", scale=None))
    assert len(other.claims) == 2  # the third is about llama2-7b


def test_the_block_that_the_sweep_names_and_what_stands_in(tmp_path):
    columns = {**SPEC["columns"], "safety/normal/bleurt": "Normal: similarity"}
    spec = {
        **SPEC,
        "columns": columns,
        "beside": {"tiny": "llama2-13b"},
        "notes": {"cpu": "Random weights."},
        "stand_ins": {"safety/normal/other": {"column": "safety/normal/bleurt", "title": "Normal: similarity"}},
    }
    (comparison,) = compare(swept(tmp_path, spec))
    assert comparison.block == "llama2-13b"
    assert comparison.remarks[1:] == [
        "Normal: similarity (`safety/normal/bleurt`) stands in for the paper's `safety/normal/other`.",
        "Random weights.",
    ]
    assert "also with opt-2.7b, llama2-7b." in comparison.remarks[0]


def test_concepts_are_averaged(tmp_path):
    """One data set in variants is one table, as the paper averages over its concepts."""
    first = swept(tmp_path, SMALL, {"sku": metrics(0.1, 1, 1, 1, 10.0, 1)}, data="concept 1")
    second = swept(tmp_path / "2", SMALL, {"sku": metrics(0.3, 1, 1, 1, 30.0, 1)}, data="concept 2")
    spec = {**SMALL, "grid": {"data": "concepts"}}
    (comparison,) = compare(Sweep(first.name, None, spec, first.cells + second.cells, first.folder))
    assert "ft on concept 1 seed 0 (missing); ga on concept 1 seed 0 (missing);" in comparison.notes[-1]
    assert comparison.table.data == "concepts (2)"
    assert comparison.table.rows["sku"][tuple(COLUMNS[0].split("/"))].value == pytest.approx(0.2)
    assert "Mean over runs with its 95 % interval over runs: SKU." in comparison.notes
    apart = {**SMALL, "grid": {"data": "concept 1,concept 2"}}
    assert len(compare(Sweep(first.name, None, apart, first.cells + second.cells, first.folder))) == 2


def test_a_sweep_without_the_papers_numbers(tmp_path):
    spec = {key: value for key, value in SMALL.items() if key != "paper"}
    text = text_of(swept(tmp_path, spec), "md")
    assert "| FT | <u>40.0%</u> [35.0%, 45.0%] | **15.00** [13.00, 17.00] | 3 | 1 | **2** |" in text
    assert "| SKU beats FT (page 6) | **said in words**: no number is printed | **holds**:" in text
    assert "Agreement" not in text and "Each method has two lines" not in text


def test_a_sweep_without_columns_has_no_table(tmp_path):
    sweep = swept(tmp_path, {"name": "figure", "rows": ROWS}, after={})
    assert write(sweep) == [] and fragment(sweep) == "" and not sweep.folder.exists()


def test_a_run_that_cannot_be_read_is_named(tmp_path):
    sweep = swept(tmp_path, SMALL)
    (sweep.cells[0].folder / "metrics.json").write_text('{"run": {"finished": true}}')
    assert "metrics.json is not a run's metrics.json (KeyError" in text_of(sweep, "md")


def test_csv(tmp_path):
    rows = list(csv.DictReader(io.StringIO(text_of(swept(tmp_path, SMALL), "csv"))))
    by = {(row["method"], row["column"]): row for row in rows}
    assert len(rows) == 5 * (2 + 3)
    assert by["sku", COLUMNS[0]] == {
        "model": "tiny", "data": "mischief", "method": "sku", "label": "SKU", "column": COLUMNS[0],
        "title": "Unlearned: harmful rate", "value": "3", "low": "-2", "high": "8", "runs": "1", "interval": "examples",
        "place": "1", "paper_model": "opt-2.7b", "paper": "3", "paper_place": "2",
    }  # fmt: skip
    assert (by["ga", COLUMNS[1]]["value"], by["ga", COLUMNS[1]]["paper"]) == ("2e+11", ">1000")
    assert by["ga_mismatch", COLUMNS[1]]["value"] == "nan" and by["ga_mismatch", COLUMNS[1]]["paper"] == ""
    assert (by["ft", "ranking/average"]["value"], by["ft", "ranking/average"]["paper_place"]) == ("2", "1")
    assert by["original", "ranking/average"]["value"] == ""


def test_latex(tmp_path):
    text = text_of(swept(tmp_path, SMALL), "tex")
    assert r" &  & \multicolumn{1}{c}{Unlearned} & \multicolumn{1}{c}{Normal} & \multicolumn{3}{c}{Ranking} \\" in text
    assert r"\cmidrule(lr){3-3}\cmidrule(lr){4-4}\cmidrule(lr){5-7}" in text
    assert (
        r"GA & ours & \textbf{0.0\%} {\scriptsize [-5.0\%, 5.0\%]} & $>10^{10}$ {\scriptsize [$>10^{10}$, $>10^{10}$]}"
        in text
    )
    assert r" & paper & \underline{3\%} & \underline{25.46} & 2 & 2 & \textbf{2} \\" in text
    assert r"\texttt{python -m" not in text  # nothing is missing
    assert_balanced(text)


def assert_balanced(text):
    """Braces and environments close, and every row of the tabular has as many cells as it has columns."""
    bare = re.sub(r"\\[\\{}$&#%_]", "", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert re.findall(r"\\begin{(\w+)}", text).sort() == re.findall(r"\\end{(\w+)}", text).sort()
    columns = len(re.search(r"\\begin{tabular}{(\w+)}", text)[1])
    for row in re.findall(r"^(.*) \\\\$", text, re.M):
        spans = [int(span) - 1 for span in re.findall(r"\\multicolumn{(\d+)}", row)]
        assert row.replace(r"\&", "").count("&") + 1 + sum(spans) == columns, row


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_latex_compiles(tmp_path):
    after = {method: found for method, found in AFTER.items() if method != "ft"}
    for file in write(swept(tmp_path, SPEC, after)):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    packages = "".join(rf"\usepackage{p}" for p in ("[T1]{fontenc}", "[utf8]{inputenc}", "{booktabs}", "{graphicx}"))
    page = rf"\documentclass{{article}}{packages}\begin{{document}}\input{{table.tex}}\end{{document}}"
    (tmp_path / "page.tex").write_text(page)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


class Tags(HTMLParser):
    """Tags in order; fails where one closes that is not open."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.classes = [], [], set()

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.classes |= set((dict(attributes).get("class") or "").split())
        if tag not in ("br", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html(tmp_path):
    spec = {**SMALL, "title": "<b>R&D</b>"}
    sweep = swept(tmp_path, spec, {**AFTER, "ft": None})
    text = text_of(sweep, "html")
    assert (
        "&lt;b&gt;R&amp;D&lt;/b&gt;" in text
        and "default-src 'none'" in text
        and "http" not in text.replace("http-equiv", "")
    )
    assert "<td>0.0% <small>[-5.0%, 5.0%]</small></td>" in text  # no test tells GA from SKU, the only others
    assert '<td class="paper"><u>3%</u></td>' in text
    part = fragment(sweep)
    tags = Tags()
    tags.feed(part)
    assert not tags.open and part in text
    assert not {"html", "style", "script", "h1", "h2"} & set(tags.seen)
    assert {"scroll", "paper", "soft", "tag"} <= tags.classes
    assert "<code>python -m unlearnkit +sweep=sku_table1 +scale=cpu" in part


def test_ablations_that_the_paper_does_not_have(tmp_path):
    spec = {**SMALL, "rows": {**SMALL["rows"], "sku_half": "SKU, half"}}
    text = text_of(swept(tmp_path, spec, {**AFTER, "sku_half": AFTER["ft"]}), "md")
    assert "| SKU, half | ours | 40.0%" in text and text.count("|  | paper |") == 4


def test_krs_shows_the_peak_alone(tmp_path):
    number = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    after = {"krs": {"attention": {"layer_00": number, "layer_01": number, "peak": number}}}
    write_run(tmp_path / "a", "dpo", 0, after, before={})
    assert aggregate(collect(tmp_path))[0].columns == [("krs", "attention", "peak")]
    asked = aggregate(collect(tmp_path), columns=["attention/layer_*"])[0].columns
    assert asked == [("krs", "attention", "layer_00"), ("krs", "attention", "layer_01")]


@pytest.mark.parametrize("value", ["54%", math.nan, "n/a"])
def test_a_paper_value_that_is_not_a_number(tmp_path, value):
    spec = {**SMALL, "paper": {"opt-2.7b": {"ft": [1, value]}}}
    with pytest.raises(UserError, match=r"sweeps/sku_table1\.yaml, paper\.opt-2\.7b\.ft, column 'Normal: perplexity'"):
        write(swept(tmp_path, spec))


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sku_table1", "--scale", "smoke"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("# ") and "+sweep=sku_table1 +scale=smoke" in shown.out
    assert "results/sku_table1-smoke/table.csv" in shown.err
    assert main(["sku_table1", "--scale", "smoke", "--latex"]) == 0
    assert capsys.readouterr().out.startswith("% ")
    assert main(["sku_tabel1"]) == 2
    assert "sku_table1" in capsys.readouterr().err
    assert main(["sku_table1", "--columns", "a"]) == 2
    assert "says its own columns" in capsys.readouterr().err


@pytest.mark.parametrize(("hub", "said"), [(None, 1), ("locuslab/TOFU", 0)])
def test_rows_made_for_this_project_are_said_to_be(hub, said, tmp_path):
    """Both are called tofu."""
    sweep = swept(tmp_path, {**SPEC, "grid": {"data": "tofu", "data.hub": "locuslab/TOFU"}}, data="tofu")
    cells = [replace(cell, config={"data": {"hub": hub, "path": None}}) for cell in sweep.cells]
    (comparison,) = compare(replace(sweep, cells=cells))
    remark = "The rows of tofu are not the paper's (data.hub=locuslab/TOFU) but ones made for this project."
    assert comparison.remarks.count(remark) == said


def test_a_method_that_no_run_is_of_is_two_lines(tmp_path, capsys):
    write_run(tmp_path / "a", "sku", 0, AFTER["sku"])
    assert main([str(tmp_path), "--methods", "skuu"]) == 2
    assert capsys.readouterr().err.startswith("No run there is of the method 'skuu'. Did you mean 'sku'?")
