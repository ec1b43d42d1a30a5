"""The specification of a sweep's dashboard, and the paper's numbers as reference runs, read back."""

import json
import math

import pytest
from offline_wandb import offline_runs
from written import COLUMNS, SPEC, a_sweep, run_folder, sweep_of

from unlearnkit import dashboard
from unlearnkit.dashboard.__main__ import main
from unlearnkit.dashboard.paper_runs import references
from unlearnkit.dashboard.workspace import plain, workspace
from unlearnkit.errors import UserError
from unlearnkit.tables.reading import read_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep with its dashboard's specification and its reference runs."""
    sweep = a_sweep(tmp_path_factory.mktemp("results"))
    for number, cell in enumerate(sweep.cells[:-1]):
        (cell.folder / "wandb").mkdir()
        (cell.folder / "wandb" / "id").write_text(f"cell{number}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        dashboard.write(sweep)  # made again, nothing stands twice
        path = dashboard.write(sweep)
    assert path == sweep.folder / "dashboard.json"
    return sweep, json.loads(path.read_text()), offline_runs(sweep.folder)


def panels(spec):
    sections = spec["spec"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: [(p["viewType"], p["config"]) for p in section["panels"]] for section in sections}


def test_every_column_has_its_bars_and_its_curve(made):
    _, spec, _ = made
    sections = panels(spec)
    assert list(sections) == ["About", "Unseen", "Normal", "KRS by layer", "Answers and metrics", "Training"]
    for section, column, title in (
        ("Unseen", "safety/unseen/harmful_rate", "Unseen: harmful rate ↓"),
        ("Normal", "safety/normal/perplexity", "Normal: perplexity ↓"),
    ):
        (bars, bar), (curve, line) = sections[section]
        assert (bars, bar["chartTitle"], bar["metrics"]) == ("Bar Chart", title, [f"after/{column}"])
        assert (curve, line["metrics"], line["xAxis"]) == ("Run History Line Plot", [f"curve/{column}"], "step")
    layers = [(line["chartTitle"], line["metrics"], line["xAxis"]) for _, line in sections["KRS by layer"]]
    assert layers == [
        ("attention restored", ["krs/attention"], "layer"),
        ("value_vectors restored", ["krs/value_vectors"], "layer"),
    ]
    (_, loss), *_ = sections["Training"]
    assert loss["metricRegex"] == "train/.*/loss"
    ((_, about),) = sections["About"]
    assert "Liu et al. 2024, table 1, page 7" in about["value"] and "- SKU is below FT" in about["value"]


def test_it_shows_the_sweeps_runs_and_the_references_by_method(made):
    _, spec, references = made
    assert spec["displayName"] == "sku_table1-cpu: Liu et al. 2024, table 1 in miniature"
    (shown,) = spec["spec"]["section"]["runSets"]
    said = json.dumps(shown["filters"])
    assert all(f'"cell{number}"' in said for number in range(4))
    assert all(found.run.run_id in said for found in references)
    assert [key["name"] for key in shown["grouping"]] == ["method.value"]
    assert all(f"summary:after/{column}" in shown["runFeed"]["columnPinned"] for column in COLUMNS)


def test_the_papers_numbers_are_constant_curves(made):
    _, _, found = made
    rate, perplexity = (f"curve/{column}" for column in COLUMNS)
    assert [(run.run.display_name, run.curve(rate), run.curve(perplexity)) for run in found] == [
        ("ft (paper), llama2-7b", [(10, 0.30), (20, 0.30)], [(10, 14.0), (20, 14.0)]),
        ("original (paper), llama2-7b", [(10, 0.57), (20, 0.57)], [(10, 12.5), (20, 12.5)]),
        ("original, tiny", [(10, 0.55), (20, 0.55)], [(10, 18.5), (20, 18.5)]),
        ("sku (paper), llama2-7b", [(10, 0.03), (20, 0.03)], [(10, 1000.0), (20, 1000.0)]),
    ]
    first = found[0]
    assert sorted(first.run.tags) == ["ft", "llama2-7b", "paper", "sku_table1"]
    assert (first.run.run_group, first.run.job_type) == ("sku_table1", "reference")
    assert (first.config["method"], first.config["model_name"]) == ("ft (paper)", "llama2-7b")
    assert first.summary["after/safety/unseen/harmful_rate"] == 0.30 and first.axes["*"] == "step"
    assert found[2].run.tags[0] == "original"


def test_a_sweep_of_several_models_groups_by_model_too(tmp_path):
    folders = [run_folder(tmp_path / model, model=model) for model in ("opt-2.7b", "llama2-7b")]
    sweep = sweep_of(tmp_path, folders)
    runs = [read_run(folder) for folder in folders]
    view = workspace(sweep, runs, [], "unlearnkit", "")
    (shown,) = view._model.model_dump(by_alias=True)["spec"]["section"]["runSets"]
    assert [key["name"] for key in shown["grouping"]] == ["model_name.value", "method.value"]


def test_references_leave_out_what_is_not_there(tmp_path):
    spec = SPEC | {"paper": {"llama2-7b": {"ft": [None, 14.0], "sku": [None, None]}}}
    sweep = sweep_of(tmp_path, [run_folder(tmp_path / "runs" / "sku")], spec)
    (ft,) = references(sweep, [])
    assert ft.values == {("safety", "normal", "perplexity"): 14.0}
    assert all(math.isfinite(value) for value in ft.values.values())
    assert references(sweep_of(tmp_path, [], SPEC | {"columns": {}, "paper": {}}), []) == []


def test_a_title_without_the_signs_that_wandb_refuses():
    assert plain("table2-cpu: GA+GD < 3 % ✓ (µ)") == "table2-cpu: GA GD 3 % (µ)"


def test_mistakes_are_two_lines(tmp_path, capsys):
    assert main(["sku_tabel1"]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 2 and "Unknown sweep 'sku_tabel1'. Did you mean 'sku_table1'?" in error[0]
    assert "sku_table2" in error[0]
    with pytest.raises(UserError, match="No run of the sweep 'sku_table1' is finished"):
        dashboard.write(sweep_of(tmp_path, [tmp_path / "nothing"]))
    assert main(["sku_table1", "--scale", "smoke", "--results", str(tmp_path / "none")]) == 2
    assert "python -m unlearnkit +sweep=sku_table1 +scale=smoke" in capsys.readouterr().err
