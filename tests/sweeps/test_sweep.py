"""Sweeps composed: their cells, what they share, the papers' numbers, and what is told of bad input."""

import functools
import json
import re
from pathlib import Path

import pytest
from composed import composed
from filelock import FileLock
from omegaconf import OmegaConf

from unlearnkit import configuration, sweeps
from unlearnkit.errors import UserError
from unlearnkit.tables import paper_claims

NAMES = configuration.options("sweep")
PAPERS = Path(__file__).parents[3] / "shared/papers"
PAPER_OF = {"sku": "sku.txt", "knowundo": "knowundo-memflex.txt"}
# Claims that the paper prints some numbers for and not all.
IN_WORDS = {"memflex_ablation": 4, "knowundo_figure5": 1}


@functools.cache
def spec(name):
    return OmegaConf.to_container(composed(f"+sweep={name}").sweep, resolve=True)


def folders(name, scale, *overrides):
    return {cell.folder for cell in sweeps.load(name, scale, overrides=overrides).cells}


def test_every_table_and_figure_has_its_sweep():
    assert set(NAMES) == {
        "sku_table1", "sku_table2", "sku_figure3", "sku_figure4", "sku_figure5", "sku_figure6",
        "knowundo_table2", "knowundo_table3", "knowundo_table4", "knowundo_table5", "knowundo_table6",
        "knowundo_figure4", "knowundo_figure5", "knowundo_finding3",
        "dissecting_figure1", "dissecting_figure1_olmo", "dissecting_figure2", "dissecting_figure2_olmo",
        "tofu_llama32_1b", "muse_news", "muse_books", "wmdp", "rwku", "tofu_miniature",
        "memflex_ablation", "robustness",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_description_is_whole(name):
    told = spec(name)
    assert told["name"] == name and told["title"] and set(told["scales"]) >= {"cpu", "smoke"}
    assert {"paper", "arxiv", "place"} <= set(told["source"]) <= {"paper", "arxiv", "place", "page"}
    methods = set(str(told["grid"].get("+method", "")).split(",")) - {"", "None"}
    assert methods <= set(configuration.options("method"))
    rows = set(told.get("rows") or methods)  # a sweep of every method there is names none
    assert rows - {"original"} == methods or name == "knowundo_finding3" or name.startswith("knowundo")
    for model in str(told["grid"]["model"]).split(","):
        assert model in configuration.options("model")
    for block, rows in (told.get("paper") or {}).items():
        assert block in [*told["grid"]["model"].split(","), "roberta"]
        # The paper has none of what our own changes came to.
        assert [row for row in told["rows"] if row in rows or name != "memflex_ablation"] == list(rows)
        assert all(len(row) == len(told["columns"]) for row in rows.values())


def test_the_grid_of_the_paper_cell_by_cell():
    sweep = sweeps.load("sku_table1", overrides=["seed=0"])
    assert [(cell.model, cell.method) for cell in sweep.cells] == [
        (model, method)
        for model in ("opt-2.7b", "llama2-7b", "llama2-13b")
        for method in ("ft", "task_vector", "ga", "ga_mismatch", "sku_as_published")
    ]
    assert {cell.data for cell in sweep.cells} == {"saferlhf"} and {cell.state for cell in sweep.cells} == {"missing"}
    assert sweep.folder == Path("results/sku_table1") and sweep.scale is None
    name = sweep.cells[0].folder.name
    assert sweep.cells[0].folder.parent == Path("results/runs")
    assert re.fullmatch(r"ft-opt-2\.7b-saferlhf-[0-9a-f]{10}", name)


def test_a_scale_lies_over_the_grid_and_null_takes_an_axis_away():
    sweep = sweeps.load("dissecting_figure1", "cpu", Path("there"))
    assert [(cell.model, cell.method, cell.data, cell.seed) for cell in sweep.cells] == [
        ("smollm2-135m", "grad_diff", "concept France", 0),
        ("smollm2-135m", "dpo", "concept France", 0),
    ]
    assert sweep.folder == Path("there/dissecting_figure1-cpu")
    assert not [word for word in sweep.cells[0].overrides if word.startswith("data.")]


def test_the_command_line_beats_the_grid():
    cells = sweeps.load("sku_table1", "smoke", overrides=["+method=sku", "seed=3,4"]).cells
    assert [(cell.method, cell.seed) for cell in cells] == [("sku", 3), ("sku", 4)]


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        (["target.seed=3"], {(3, 0)}),
        (["target.seed=3,4", "seed=1"], {(3, 1), (4, 1)}),
        (["data.authors=1", "eval.scopes.limit=2", "target.min_accuracy=0"], {(0, 0), (1, 0)}),
    ],
)
def test_what_only_cells_have_is_set_on_the_command_line(words, seeds):
    cells = sweeps.load("memflex_ablation", "smoke", overrides=["+method=ga_kl,memflex_same_rate", *words]).cells
    said = [dict(word.split("=", 1) for word in cell.overrides) for cell in cells]
    assert {(int(one["target.seed"]), int(one["seed"])) for one in said} == seeds and len(cells) == 2 * len(seeds)


@pytest.mark.parametrize("name", ["memflex_ablation", "tofu_llama32_1b", "dissecting_figure1"])
def test_a_cell_is_the_same_whoever_sets_its_keys(name):
    grid = spec(name)["grid"] | spec(name)["scales"]["smoke"]
    words = [f"{key}={value}" for key, value in grid.items() if value is not None]
    cells = folders(name, "smoke")
    assert folders(name, "smoke", *words) == cells and cells


def test_the_fingerprints_of_cells_stay():
    """What was computed before is found again: a change of these is one of all results there are."""
    (cell,) = sweeps.load("knowundo_finding3", "smoke").cells
    assert cell.folder.name == "base-tiny-authors-4bd9b52da5"


def test_figures_and_tables_share_their_cells():
    """At full scale and in miniature; of each grid a part, for a cell takes a quarter of a second to compose."""
    for scale in (None, "cpu"):
        two = ["seed=0", "+method=ft,sku", *([] if scale else ["model=llama2-7b"])]
        table = folders("sku_table1", scale, *two)
        assert len(table) == 2 and folders("sku_figure3", scale, *two) == folders("sku_figure5", scale, *two) == table
        assert len(folders("sku_table2", scale, *two[:1], "+method=sku,sku_no_random", *two[2:]) - table) == 1
        one = ["seed=0", "+method=memflex"]
        privacy, copyright = (folders(f"knowundo_table{n}", scale, *one) for n in (2, 3))
        assert folders("knowundo_table5", scale, *one) == folders("knowundo_figure5", scale, *one) == privacy
        assert folders("knowundo_figure4", scale, *one) == copyright and (privacy == copyright) == (scale == "cpu")
    methods = [set(spec(name)["grid"]["+method"].split(",")) for name in ("sku_figure3", "sku_table1")]
    assert methods[0] <= methods[1]


def test_a_stand_in_takes_a_columns_place_and_its_part_in_claims():
    full, scaled = sweeps.load("sku_figure3", overrides=["seed=0"]).spec, sweeps.load("sku_figure3", "cpu").spec
    assert list(full["columns"])[2] == "safety/normal/bleurt"
    assert list(scaled["columns"])[2] == "safety/normal/similarity"
    assert scaled["columns"]["safety/normal/similarity"] == "Normal: similarity (for BLEURT)"
    assert "bleurt" in full["claims"][1]["where"] and "bleurt" not in scaled["claims"][1]["where"]


@pytest.mark.parametrize(
    ("name", "scale", "what", "fix"),
    [
        ("sku_tabel1", None, "Unknown sweep 'sku_tabel1'. Did you mean 'sku_table1'?", r"\+sweep="),
        ("sku_table1", "cpus", "Unknown scale 'cpus'. Did you mean 'cpu'?", r"\+scale="),
    ],
)
def test_an_unknown_name_has_the_nearest(name, scale, what, fix):
    with pytest.raises(UserError, match=re.escape(what)) as caught:
        sweeps.load(name, scale)
    assert re.search(fix, caught.value.fix)


def test_a_scale_that_the_sweep_has_not():
    root = {"sweep": {"name": "mine", "grid": {"seed": 0}, "scales": {"cpu": {"seed": 1}}}, "scale": "smoke"}
    with pytest.raises(UserError, match="The sweep 'mine' has no scale 'smoke'") as caught:
        configuration.grid(OmegaConf.create(root))
    assert "+scale=cpu" in caught.value.fix
    assert configuration.grid(OmegaConf.create({**root, "scale": "cpu"})) == {"seed": "1"}


def test_results_of_another_version_are_refused(tmp_path):
    cell = sweeps.load("knowundo_finding3", "smoke", tmp_path).cells[0]
    cell.folder.mkdir(parents=True)
    (cell.folder / "config.yaml").write_text("seed: 0")
    assert cell.state == "cut"
    run = {"finished": True, "minutes": 1.0, "versions": {"unlearnkit": "0.0.1"}}
    (cell.folder / "metrics.json").write_text(json.dumps({"run": run}))
    assert cell.state == "done"
    with pytest.raises(UserError, match="was made by unlearnkit 0.0.1; this is") as caught:
        sweeps.load("knowundo_finding3", "smoke", tmp_path)
    assert "hydra.sweep.dir=" in caught.value.fix


def test_the_states_of_a_cell(tmp_path):
    cell = sweeps.Cell((), tmp_path, "sku", "tiny", "mischief", 0)
    assert (cell.state, cell.error) == ("missing", None)
    (tmp_path / "config.yaml").write_text("")
    assert cell.state == "cut"
    with FileLock(tmp_path / ".lock"):
        assert cell.state == "running"
    assert cell.state == "cut"
    (tmp_path / "error.txt").write_text("what\nfix\n\nTraceback")
    assert (cell.state, cell.error) == ("failed", "what")
    (tmp_path / "metrics.json").write_text('{"run": {"finished": false}}')
    assert cell.state == "failed"
    (tmp_path / "metrics.json").write_text('{"run": {"finished": true}}')
    assert (cell.state, cell.error) == ("done", None)
    (tmp_path / "metrics.json").write_text('{"run": {"fin')
    assert cell.state == "failed"


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_own_numbers_carry_every_claim(name):
    """A claim that they break is a typing error of ours."""
    outcomes = paper_claims(spec(name), name)
    assert not [(outcome.says, outcome.block) for outcome in outcomes if outcome.paper is False]
    assert len(outcomes) >= len(spec(name)["claims"]) or not spec(name).get("paper")
    assert len([outcome for outcome in outcomes if outcome.paper is None]) == IN_WORDS.get(name, 0)


def row_in(text: str, values: list) -> bool:
    """The values stand in one line of the text, in this order, as they are printed."""
    patterns = []
    for value in values:
        printed = {">1000": r"10\^\{3\}", ">1e10": r"10 ?(⁰|¹⁰|\^\{10\})"}.get(value)
        if printed is None and isinstance(value, float | int) and value >= 1e4:
            sup = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
            power = str(len(str(int(value))) - 1)
            printed = rf"10 ?(\^{power}|{power.translate(sup)})"
        patterns.append(printed or rf"(?<![\d.])(<u>)?{re.escape(f'{value:g}')}0*(?!\d)")
    return any(re.search(r".*?".join(patterns), line) for line in text.splitlines())


@pytest.mark.parametrize("name", [name for name in NAMES if re.match(r"(sku|knowundo)_table", name)])
def test_the_numbers_are_those_of_the_paper(name):
    path = PAPERS / PAPER_OF[name.split("_")[0]]
    if not path.is_file():
        pytest.skip("the papers' texts are not here")
    text = path.read_text()
    for rows in spec(name)["paper"].values():
        for row, values in rows.items():
            assert row_in(text, values), (row, values)


def named_streams(part, key=None):
    """Every stream that a part of a config names."""
    if isinstance(part, dict):
        return set().union(*(named_streams(value, name) for name, value in part.items()))
    return {part} if key == "stream" else set()


def test_every_method_under_attack_finds_its_streams_in_the_data():
    methods = spec("robustness")["grid"]["+method"].split(",")
    own = {name: OmegaConf.load(configuration.FOLDER / "method" / f"{name}.yaml") for name in methods}
    there = {"forget", "retain", "general", *composed("+sweep=robustness").streams}
    for name, method in own.items():
        method = OmegaConf.to_container(method)
        assert named_streams(method) <= there | set(method.get("streams") or {}), name
    assert len(own) > 50
