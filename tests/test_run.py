"""Whole runs on the tiny model: every method, what they leave behind, and that the same seed says the same."""

import json

import pytest
import yaml
from composed import composed

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.records.record import read_parquet
from unlearnkit.run import run

QUICK = ("model=tiny", "logger=none", "train.max_steps=2", "eval_every=1", "+train.arguments.disable_tqdm=true")
SMALL = (*QUICK, "eval.safety.limit=3", "eval.safety.curve_limit=2", "eval.safety.max_new_tokens=6")
SCOPES = (
    *QUICK,
    "data=authors",
    "data.authors=2",
    "eval.scopes.limit=3",
    "eval.scopes.max_new_tokens=4",
    "+target.stage.arguments.disable_tqdm=true",
)
LOCATED = ("stage@stages.locate=locate", "stages.locate.rows=4", "stages.locate.copies=1", "eval_every=0")
LORA_ALONE = ("loku",)
TWO_SCOPES = ("adversarial", "ga_gd", "ga_kl", "memflex", "random_labels")  # what these names begin with


def drawn(methods, ways):
    """Every method under every way: in the suite each under one, in turn, and the others are `long`."""
    turns = {name: "lora" if name in LORA_ALONE else ways[n % len(ways)] for n, name in enumerate(methods)}
    return [
        pytest.param(name, way, marks=() if turns[name] == way else pytest.mark.long)
        for name in methods
        for way in ways
    ]


METHODS = configuration.options("method")


@pytest.fixture(scope="module")
def sku(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sku")
    return folder, run(composed("+method=sku", *SMALL), folder)


@pytest.mark.parametrize(
    ("method", "weights"),
    drawn([name for name in METHODS if not name.startswith("memit")], ("lora", "full", "located")),
)
def test_every_method_runs_whole(method, weights, tmp_path):
    if weights == "full" and method in LORA_ALONE:
        with pytest.raises(UserError, match="begins a LoRA adapter, and model.lora=null trains all weights"):
            run(composed(f"+method={method}", *SMALL, "model.lora=null"), tmp_path)
        return
    full = {"full": ("model.lora=null",), "located": LOCATED}.get(weights, ())
    short = ("streams.preferences.tokens=8",) if method == "altpo" else ()
    scopes = method.startswith(TWO_SCOPES)
    metrics = run(composed(f"+method={method}", *(SCOPES if scopes else SMALL), *full, *short), tmp_path)
    assert metrics["run"]["method"] == method
    for when in ("before", "after"):
        if scopes:
            assert metrics[when]["scopes"]["unlearn"]["success"]["n"] == 3
        else:
            assert metrics[when]["safety"]["unlearned"]["harmful_rate"]["n"] == 3
    costs = [cost for cost in metrics["after"]["cost"].values() if "seconds_a_step" in cost]
    assert costs and all(cost["peak_memory_gb"]["value"] > 0 for cost in costs)
    assert (tmp_path / "region.json").exists() == (method.startswith("memflex") or weights == "located")
    kept = {path.name for path in (tmp_path / "model").iterdir()}
    assert ("model.safetensors" if weights == "full" else "adapter_model.safetensors") in kept
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("method", "weights"), drawn([name for name in METHODS if name.startswith("memit")], ("lora", "full"))
)
def test_every_edit_of_facts_runs_whole(method, weights, tmp_path):
    towns = [{"subject": f"Town {n}", "attribute": f"Land {n}", "prompt": f"Town {n} lies in"} for n in range(12)]
    (tmp_path / "facts.json").write_text(json.dumps(towns))
    # Random weights know no fact, so that all of them are taken.
    facts = ("data=facts", f"data.path={tmp_path / 'facts.json'}", "data.edited=2", "data.others=4", "target=none")
    full = ("model.lora=null",) if weights == "full" else ()
    metrics = run(composed(f"+method={method}", *QUICK, *facts, *full, "eval_every=0"), tmp_path / "run")
    for when in ("before", "after"):
        assert {name: found["success_whole"]["n"]
                for name, found in metrics[when]["facts"].items()} == {"edited": 4, "others": 4}  # fmt: skip
    cost = metrics["after"]["cost"]["memit"]
    assert cost["seconds"]["value"] > 0 and cost["peak_memory_gb"]["value"] > 0
    told = json.loads((tmp_path / "run" / "memit.json").read_text())
    assert len(told["facts"]) == 4 and [layer["layer"] for layer in told["layers"]] == [0]
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert "full weights" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_what_a_run_leaves_behind(sku):
    folder, metrics = sku
    assert sorted(path.name for path in folder.iterdir()) == [
        ".owner.lock", "SHA256SUMS", "config.yaml", "generations.jsonl", "log.jsonl", "metrics.json", "model",
        "records", "report.html",
    ]  # fmt: skip
    assert yaml.safe_load((folder / "config.yaml").read_text())["stages"]["negate"]["scale"] == 1.0
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    answers = [json.loads(line) for line in (folder / "generations.jsonl").read_text().splitlines()]
    assert [row["set"] for row in answers] == ["unlearned"] * 3 + ["unseen"] * 3 + ["normal"] * 3
    assert [r.response for r in read_parquet(folder / "records" / "after-safety.parquet")] == [
        row["after"] for row in answers
    ]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2]
    assert {"terms/guided_distortion", "terms/random_disassociation", "terms/preservation_divergence"} <= set(log[0])
    assert "Report" in (folder / "report.html").read_text() or (folder / "report.html").stat().st_size > 10_000


def test_curves_measure_the_model_as_it_would_be_after_its_last_stage(sku, tmp_path):
    _, metrics = sku
    assert [(point["stage"], point["step"]) for point in metrics["curve"]] == [
        ("acquire", 0),
        ("acquire", 1),
        ("acquire", 2),
    ]
    # The last point is of the negated model: measuring that model itself on the same split says the same.
    again = run(composed("+method=sku", *SMALL, "eval_every=2"), tmp_path)
    assert again["curve"][-1]["metrics"] == metrics["curve"][-1]["metrics"]
    positive = run(composed("+method=sku", *SMALL, "eval_every=2", "stages.negate.scale=-1"), tmp_path / "positive")
    assert positive["curve"][-1]["metrics"] != metrics["curve"][-1]["metrics"]


def test_same_seed_same_numbers_other_seed_others(sku, tmp_path):
    _, first = sku
    same = run(composed("+method=sku", *SMALL), tmp_path / "same")
    other = run(composed("+method=sku", *SMALL, "seed=1"), tmp_path / "other")
    assert same["after"]["safety"] == first["after"]["safety"] and same["curve"] == first["curve"]
    assert other["after"]["safety"] != first["after"]["safety"]
    assert [e["safety"]["normal"]["perplexity"]["value"] for e in (other["before"], first["before"])] == [
        first["before"]["safety"]["normal"]["perplexity"]["value"]
    ] * 2


def test_no_method_measures_the_base_model(tmp_path):
    metrics = run(composed(*SMALL), tmp_path)
    assert metrics["after"] is None and metrics["run"]["method"] == "base"
    assert (tmp_path / "report.html").is_file() and not (tmp_path / "model").exists()


def test_an_ablation_is_an_override(tmp_path):
    off = ("random_disassociation", "preservation_divergence")
    run(composed("+method=sku", *SMALL, *(f"stages.acquire.terms.{name}.weight=0" for name in off)), tmp_path)
    row = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert [key for key in row if key.startswith("terms/")] == ["terms/guided_distortion"]


@pytest.mark.parametrize("merge", ["false", "true"])
def test_a_method_negates_what_was_learnt_after_what_was_taught(merge, tmp_path):
    """At scale 0 the model is the target again, whether the stages trained the taught adapter or a fresh one."""
    metrics = run(composed("+method=sku", *SCOPES, f"target.merge={merge}", "stages.negate.scale=0"), tmp_path / "0")
    before, after = (
        {name: sets["answer_perplexity" if "answer_perplexity" in sets else next(iter(sets))]["value"]
         for name, sets in metrics[when]["scopes"].items()}
        for when in ("before", "after")
    )  # fmt: skip
    assert after == pytest.approx(before, rel=1e-5)
    negated = run(composed("+method=sku", *SCOPES, f"target.merge={merge}"), tmp_path / "1")
    assert negated["after"]["scopes"]["both"]["average_success"]["n"] == 6


def test_any_method_can_be_confined_to_a_region(tmp_path):
    run(composed("+method=ga", *SCOPES, "stage@stages.locate=locate"), tmp_path)
    rows = json.loads((tmp_path / "region.json").read_text())["tensors"]
    assert 0 < sum(row["chosen"] for row in rows) < len(rows)
    log = [json.loads(line)["stage"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-2:] == ["finetune"] * 2


def test_curves_are_measured_on_the_split_asked_for(tmp_path):
    metrics = run(composed("+method=ga", *SCOPES, "curve_split=test", "eval_every=2"), tmp_path)
    assert [point["metrics"]["scopes"]["unlearn"]["success"]["n"] for point in metrics["curve"]] == [4, 4]


def test_one_run_measures_both_splits_as_two_runs_would(tmp_path):
    words = ("+method=sku", *SCOPES, "eval_every=1")
    splits = ("validation", "test", "[validation,test]", "[test,validation]")
    curves = {split: run(composed(*words, f"curve_split={split}"), tmp_path / split)["curve"] for split in splits}
    alone = {split: [point["metrics"] for point in curves[split]] for split in ("validation", "test")}
    assert alone["validation"] != alone["test"] and len(alone["test"]) == 3
    for first, second in (("validation", "test"), ("test", "validation")):
        both = curves[f"[{first},{second}]"]
        assert [point["metrics"] for point in both] == alone[first]
        assert [point["beside"] for point in both] == [{second: numbers} for numbers in alone[second]]
    assert all("beside" not in point for point in curves["test"])


def test_a_step_is_never_chosen_on_what_is_measured_beside(tmp_path):
    words = ("+method=ga", *SCOPES, "eval_every=1", "train.select={measure: success, role: forget}")
    with pytest.raises(UserError, match="train.select with curve_split=test"):
        run(composed(*words, "curve_split=[test,validation]"), tmp_path / "test")
    alone = run(composed(*words), tmp_path / "alone")
    assert run(composed(*words, "curve_split=[validation,test]"), tmp_path / "both")["chosen"] == alone["chosen"]


@pytest.mark.parametrize(
    ("split", "what"),
    [("[]", "names no split"), ("[test,test]", "names a split twice"), ("[validation,dev]", "curve_split=dev is no")],
)
def test_splits_that_are_none(split, what, tmp_path):
    with pytest.raises(UserError, match=what):
        run(composed("+method=ga", *SCOPES, f"curve_split={split}"), tmp_path)


@pytest.mark.parametrize(
    ("override", "what"),
    [
        (
            "stages.acquire.terms.guided_distortion.stream=forgett",
            "Unknown stream 'forgett'.*Did you mean 'forget'",
        ),
        ("eval.safety.sets.normal=[perplexty]", "Unknown measure 'perplexty'.*Did you mean 'perplexity'"),
        ("+eval.safety.sets.normall=[perplexity]", "Unknown evaluation set 'normall'.*Did you mean 'normal'"),
        ("data.path=/nowhere", "No data file at /nowhere/forget.jsonl"),
        ("train.max_length=40", "has .* tokens .prompt . response., the context holds 40"),
        ("streams.mismatched.per_prompt=500", "per_prompt=500 needs more than 180"),
    ],
)
def test_bad_settings_are_two_lines(override, what, tmp_path):
    with pytest.raises(Exception) as caught:
        run(composed("+method=sku", *SMALL, override), tmp_path)
    told = configuration.explain(caught.value)
    assert isinstance(told, UserError)
    import re

    assert re.search(what, told.what) and told.fix and "\n" not in told.what + told.fix
    assert not list(tmp_path.rglob("*.parquet")), "it came after something was measured"
