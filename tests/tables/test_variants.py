"""Runs that differ in more than the seed are rows of their own."""

import yaml
from swept import AFTER, write_run

from unlearnkit.measures.columns import Column
from unlearnkit.tables.__main__ import main
from unlearnkit.tables.aggregate import columns_of, table_of
from unlearnkit.tables.reading import collect
from unlearnkit.tables.variants import asked_alike, name_variants, starts_of, title_of


def write(folder, method, seed, rate, **more):
    write_run(folder, method, seed, AFTER[method])
    arguments = {"learning_rate": rate}
    config = {
        "method": method,
        "seed": seed,
        "train": {"arguments": arguments, "batch_size": 2},
        "stages": {"acquire": {"arguments": arguments}},
        "eval": {"guard": {"classifier": {"seed": seed}}},
        "logger": {"name": f"seed {seed}"},
        **more,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def rows(folder):
    return sorted({run.method for run in name_variants(collect(folder))})


def test_seeds_alone_are_one_row(tmp_path):
    for seed in (0, 1):
        write(tmp_path / str(seed), "sku", seed, 1e-4)
    assert rows(tmp_path) == ["sku"]


def test_a_grid_of_rates(tmp_path, capsys):
    for seed in (0, 1):
        for rate in (1e-4, 1e-3, 1e-1):
            write(tmp_path / f"{seed}-{rate}", "sku", seed, rate)
        write(tmp_path / f"ga-{seed}", "ga", seed, 1e-4)
    assert rows(tmp_path) == ["ga", "sku, learning_rate=0.0001", "sku, learning_rate=0.001", "sku, learning_rate=0.1"]
    assert main([str(tmp_path), "--methods", "sku"]) == 0
    assert capsys.readouterr().out.count("| sku, learning_rate=") == 3


def test_seed_0_at_one_rate_and_seed_1_at_another_are_not_averaged(tmp_path):
    write(tmp_path / "a", "sku", 0, 1e-4)
    write(tmp_path / "b", "sku", 1, 1e-3)
    assert len(rows(tmp_path)) == 2


def test_what_only_a_stage_or_the_rows_say(tmp_path):
    write(tmp_path / "a", "sku", 0, 1e-4, stages={"negate": {"scale": 1.0}})
    write(tmp_path / "b", "sku", 0, 1e-4, stages={"negate": {"scale": 2.0}})
    assert rows(tmp_path) == ["sku, scale=1", "sku, scale=2"]


def test_what_is_told_by_other_means_is_not_said_again(tmp_path):
    write(tmp_path / "a", "sku", 0, 1e-4)
    write(tmp_path / "b", "sku", 0, 1e-3)
    stages = {"acquire": {"arguments": {"learning_rate": 1e-3}}, "negate": {"scale": 2.0}}
    write(tmp_path / "c", "sku", 0, 1e-3, stages=stages)
    runs = name_variants(collect(tmp_path), ignored=("train.arguments.learning_rate",))
    assert [run.method for run in runs] == ["sku, scale=absent", "sku, scale=absent", "sku, scale=2"]


def test_titles():
    rows = {"sku": "SKU", "ga": None}
    told = [title_of(method, rows) for method in ("sku", "sku, rate=1", "ga, rate=1", "npo", "sku_no_random")]
    assert told == ["SKU", "SKU, rate=1", "ga, rate=1", "npo", "sku_no_random"]


def test_a_run_whose_settings_are_lost_is_averaged_with_none(tmp_path):
    """Of one such run all of a method's rates were one mean."""
    write(tmp_path / "a", "sku", 0, 1e-4)
    write(tmp_path / "b", "sku", 1, 1e-1)
    write(tmp_path / "c", "sku", 2, 1e-4)
    (tmp_path / "c" / "config.yaml").unlink()
    assert rows(tmp_path) == ["sku, learning_rate=0.0001", "sku, learning_rate=0.1", "sku, settings unknown of c"]


def test_methods_that_were_asked_differently_are_said(tmp_path, capsys):
    """Their seeds differ, so that no start is found to differ either."""
    asked = {"ga": (0, 4, 8), "sku": (1, 8, 8)}
    for method, (seed, limit, tokens) in asked.items():
        part = {"limit": limit, "max_new_tokens": tokens, "classifier": {"seed": seed}}
        more = {"eval": {"safety": part}, "data": {"seed": seed}, "inputs": {"data_rows": f"rows of {seed}"}}
        write(tmp_path / method, method, seed, 1e-4, **more)
    assert main([str(tmp_path)]) == 0
    assert "- Not all were asked the same: eval.safety.limit 4 of ga; 8 of sku. " in capsys.readouterr().out


def test_other_rows_at_one_seed_are_said(tmp_path, capsys):
    for method in ("ga", "sku"):
        write(tmp_path / method, method, 0, 1e-4, inputs={"data_rows": f"of {method}"})
    assert main([str(tmp_path)]) == 0
    assert "Not all were asked the same: rows of the data of ga of ga; of sku of sku." in capsys.readouterr().out


def test_starts_of_several_models_are_not_averaged(tmp_path, capsys):
    paths = ("/x/model", "/y/model", "/x/model")
    for seed, path in enumerate(paths):
        write(tmp_path / str(seed), "sku", seed, 1e-4, model={"path": path, "lora": {"r": seed}})
    runs = collect(tmp_path)
    assert starts_of(runs) == ["path=/x/model", "path=/y/model", "path=/x/model"]
    table = table_of("m", "d", name_variants(runs), columns_of(runs)[:1], ["original"])
    (cell,) = table.rows["original"].values()
    assert cell.seeds == 2
    assert table.notes[0] == (
        "`original` is the start of path=/x/model alone; other runs began with that of path=/y/model."
    )


def test_starts_that_differ_by_what_a_start_does_not_know(tmp_path):
    for seed in (0, 1):
        write(tmp_path / str(seed), "sku", seed, 1e-4 * (1 + seed), model={"lora": {"r": 4 + seed}, "dtype": "auto"})
    assert starts_of(collect(tmp_path)) == ["", ""]


def test_what_was_asked_otherwise_has_no_mark(tmp_path):
    """One was asked greedily and one with samples: bold would be of the decoding. Another evaluation is as it was."""
    for method, sampled in (("ga", False), ("sku", True)):
        part = {"safety": {"decoding": {"do_sample": sampled}}, "scopes": {"limit": 4}}
        write(tmp_path / method, method, 0, 1e-4, eval=part)
    runs = collect(tmp_path)
    assert not asked_alike(runs, Column(("safety", "unlearned", "harmful_rate")))
    assert not asked_alike(runs, Column(("relearn", "safety", "unlearned", "harmful_rate")))
    assert asked_alike(runs, Column(("scopes", "unlearn", "success")))
