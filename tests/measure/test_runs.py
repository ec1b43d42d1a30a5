"""A saved run measured once more gives its own numbers, whatever was saved; what cannot be measured is two lines."""

import json
import shutil

import pytest
import yaml
from composed import composed
from filelock import FileLock
from safetensors.torch import load_file, save_file

from unlearnkit.errors import UserError
from unlearnkit.measure.runs import Spec, measure_run
from unlearnkit.measures.columns import before_and_after
from unlearnkit.records.record import read_parquet
from unlearnkit.run import run
from unlearnkit.runs.owner import LOCK
from unlearnkit.sums import is_damaged, seal

QUICK = ("model=tiny", "logger=none", "train.max_steps=2", "eval_every=0", "+train.arguments.disable_tqdm=true")
SMALL = (*QUICK, "eval.safety.limit=3", "eval.safety.max_new_tokens=6")
AUTHORS = (
    *QUICK, "data=authors", "data.authors=2", "eval.scopes.limit=3", "eval.scopes.max_new_tokens=4",
    "+target.stage.arguments.disable_tqdm=true", "target.stage.max_steps=2", "target.min_accuracy=0",
)  # fmt: skip
KINDS = {
    "lora": ("+method=npo", *SMALL),
    "full": ("+method=npo", *SMALL, "model.lora=null"),
    "negated": ("+method=sku", *SMALL),
    "negated, full": ("+method=sku", *SMALL, "model.lora=null"),
    "negated with biases": ("+method=sku", *SMALL, "+model.lora.bias=all"),
    "in 16 bits": ("+method=npo", *SMALL, "model.dtype=bfloat16"),
    "full in 16 bits": ("+method=npo", *SMALL, "model.dtype=bfloat16", "model.lora=null"),
    "negated with biases in 16 bits": ("+method=sku", *SMALL, "model.dtype=bfloat16", "+model.lora.bias=all"),
    "embeddings saved": ("+method=ga", *SMALL, "+model.lora.modules_to_save=[embed_tokens]"),
    "taught": ("+method=memflex", *AUTHORS),
    "taught, full": ("+method=ga_gd", *AUTHORS, "model.lora=null"),
    "taught into the run": ("+method=ga_gd", *AUTHORS, "target.cache=false"),
    "taught and merged": ("+method=sku", *AUTHORS, "target.merge=true"),
    "no method": SMALL,
    "in 4 bit": ("+method=sku", *SMALL, "model.quantise=nf4"),
}


def numbers(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def sku(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sku")
    run(composed("+method=sku", *SMALL), folder)
    return folder


@pytest.fixture
def copy(sku, tmp_path):
    return shutil.copytree(sku, tmp_path / "run")


def test_an_earlier_measurement_with_a_parameters_earlier_name_is_the_same():
    settings = [
        {"tofu": {"measures": {"true": {"_target_": "unlearnkit.measures.TruthRatio", key: "true"}}}}
        for key in ("told", "form")
    ]
    spec = Spec({"name": "tofu"}, "rows", settings[1])
    assert all(spec.fits({"data": {"name": "tofu"}, "rows": "rows", "eval": part}) for part in settings)
    assert not spec.fits({"data": {"name": "tofu"}, "rows": "others", "eval": settings[0]})


@pytest.mark.parametrize("kind", KINDS)
def test_the_runs_own_evaluation_gives_its_own_numbers(kind, tmp_path):
    if kind == "in 4 bit":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    run(composed(*KINDS[kind]), tmp_path)
    before = numbers(tmp_path)
    assert measure_run(tmp_path) == "measured"
    after = numbers(tmp_path)
    moments = {moment["name"]: moment["numbers"] for moment in after["moments"]}
    for name, own in (("measured/start", before["before"]), ("measured", before["after"])):
        if own is None:
            assert name not in moments
            continue
        for evaluation, sets in own.items():
            if evaluation == "cost":
                continue
            for place, measures in sets.items():
                for measure, number in measures.items():
                    again = moments[name][evaluation][place][measure]
                    for key in ("value", "low", "high", "n"):
                        assert again[key] == pytest.approx(number[key], rel=1e-6, abs=1e-6), (place, measure)
    assert {key: after[key] for key in ("before", "after", "run", "curve", "attacks")} == {
        key: before[key] for key in ("before", "after", "run", "curve", "attacks")
    }
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and is_damaged(path)]


def test_edited_facts_that_the_model_knew_are_asked_again(tmp_path):
    towns = [{"subject": f"Town {n}", "attribute": f"Land {n}", "prompt": f"Town {n} lies in"} for n in range(12)]
    (tmp_path / "facts.json").write_text(json.dumps(towns))
    facts = ("data=facts", f"data.path={tmp_path / 'facts.json'}", "data.edited=2", "data.others=4", "target=none")
    run(composed("+method=memit_empty", *QUICK, *facts), tmp_path / "run")
    measure_run(tmp_path / "run")
    after = numbers(tmp_path / "run")
    again = next(moment["numbers"] for moment in after["moments"] if moment["name"] == "measured")
    assert again == {name: part for name, part in after["after"].items() if name != "cost"}
    towns[3]["attribute"] = "elsewhere"
    (tmp_path / "facts.json").write_text(json.dumps(towns))
    with pytest.raises(UserError, match="rows of its data are not those"):
        measure_run(tmp_path / "run")


def test_another_runs_model_in_the_place_of_its_own_is_refused(copy):
    weights = load_file(copy / "model" / "adapter_model.safetensors")
    save_file({name: tensor * 2 for name, tensor in weights.items()}, copy / "model" / "adapter_model.safetensors")
    with pytest.raises(UserError, match="adapter_model.safetensors is damaged"):
        measure_run(copy)
    seal(copy / "model")  # as a whole model of another run is
    with pytest.raises(UserError, match="is not as it was written") as caught:
        measure_run(copy)
    assert "another run's" in caught.value.fix
    (copy / "model" / "SHA256SUMS").unlink()  # as one's own change is said
    assert measure_run(copy) == "measured"


def test_another_evaluation_and_other_data_become_moments_of_their_own(copy):
    assert measure_run(copy, ["eval.safety.limit=2"]) == "measured"
    assert measure_run(copy, ["eval=files", "eval.files.limit=2", "eval.files.max_new_tokens=4"]) == "measured"
    assert measure_run(copy, ["eval.safety.limit=1"]) == "measured-2"
    assert measure_run(copy, ["eval.safety.limit=2", "judge=embedded"]) == "measured"
    authors = ["data=authors", "data.authors=2", "eval.scopes.limit=2", "eval.scopes.max_new_tokens=4"]
    assert measure_run(copy, authors) == "measured.authors"
    after = numbers(copy)
    found = {moment["name"]: moment for moment in after["moments"]}
    assert list(found) == [
        "start", "negate", "measured/start", "measured", "measured-2/start", "measured-2",
        "measured.authors/start", "measured.authors",
    ]  # fmt: skip
    assert list(found["measured"]["numbers"]) == ["safety", "files"]
    assert found["measured"]["numbers"]["safety"]["unlearned"]["harmful_rate"]["n"] == 2
    assert found["measured-2"]["numbers"]["safety"]["unlearned"]["harmful_rate"]["n"] == 1
    assert found["measured.authors"]["stage"] == "negate" and not found["measured.authors"]["final"]
    assert after["measured"]["measured.authors"]["data"]["name"] == "authors"
    told = {"/".join(column) for column in before_and_after(after)[1]}
    assert {"safety/normal/similarity", "measured-2/safety/normal/similarity"} <= told
    assert "measured.authors / scopes / unlearn" in (copy / "report.html").read_text()
    assert "| measured.authors/scopes/unlearn | " in (copy / "model" / "README.md").read_text()
    rows = read_parquet(copy / "records" / "measured.authors-scopes.parquet")
    assert {row.set for row in rows} == {"unlearn", "retention"}


def test_the_model_card_has_what_was_measured_later_and_keeps_the_rest(copy, tmp_path):
    (tmp_path / "arc").mkdir()
    choices = [
        {"text": text, "label": label} for label, text in zip("ABCD", ("blue", "red", "low", "high"), strict=True)
    ]
    row = {"id": "a", "question": {"stem": "What is the sky?", "choices": choices}, "answerKey": "A"}
    (tmp_path / "arc" / "arc_challenge_test.jsonl").write_text(json.dumps(row) + "\n")
    card = copy / "model" / "README.md"
    before = card.read_text()
    assert "No general tasks" in before
    general = (
        f"eval.general.data_dir={tmp_path / 'arc'}",
        "eval.general.tasks=[arc_challenge]",
        "eval.general.average=[]",
    )
    measure_run(copy, ["eval=general", *general])
    after = card.read_text()
    assert "No general tasks" not in after and "| measured/general/arc_challenge |" in after
    assert [line for line in before.splitlines() if line not in after.splitlines() and "No general" not in line] == []
    card.write_text(after.replace("## What it was measured to do", "## My own words"))
    measure_run(copy, ["eval.safety.limit=1"])
    assert "## My own words" in card.read_text() and "measured/safety" not in card.read_text()
    card.unlink()
    measure_run(copy, ["eval.safety.limit=1"])
    assert not card.exists()


def test_the_runs_settings_of_the_evaluation_are_kept_where_no_word_changes_them(copy):
    measure_run(copy, ["eval.safety.limit=2"])
    told = numbers(copy)["measured"]["measured"]["eval"]["safety"]
    held = yaml.safe_load((copy / "config.yaml").read_text())["eval"]["safety"]
    assert told == {**held, "limit": 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["eval=scopes", "eval.scopes.sets.unlearn=[nothing]"], "Unknown measure 'nothing'"),
        (["+eval.safety.sets.nowhere=[perplexity]"], "Unknown evaluation set 'nowhere'"),
        (["eval=safty"], "Could not find"),
        (["+method=sku"], "decides nothing of a measurement"),
        (["seed=3"], "The model and the seed are the run's"),
        (["model.dtype=bfloat16"], "The model and the seed are the run's"),
        (["safety"], "'safety' is no setting"),
        (["eval.safety.limti=3"], "limti"),
        (["eval.safety.limit=-1"], "limit"),
        (["data=files", "data.forget=nowhere.jsonl"], "No file or folder"),
    ],
)
def test_what_cannot_be_measured_leaves_the_run_as_it_was(words, said, copy):
    held = {path.name: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != LOCK}
    with pytest.raises(Exception, match=said):  # Hydra's errors become two lines in the command
        measure_run(copy, words)
    now = {path.name: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != LOCK}
    assert now == held


def test_a_run_that_another_process_writes_is_left_alone(copy):
    with FileLock(copy / LOCK), pytest.raises(UserError, match="belongs to a run that is going on"):
        measure_run(copy)


@pytest.mark.parametrize("name", ["metrics.json", "config.yaml", "model/adapter_model.safetensors"])
def test_a_damaged_file_is_refused(name, copy):
    path = copy / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1) + b" ")
    with pytest.raises(UserError, match="is damaged"):
        measure_run(copy)


def test_a_run_that_has_not_finished_is_refused(copy):
    (copy / "metrics.json").unlink()
    with pytest.raises(UserError, match="has not finished"):
        measure_run(copy)


def test_a_run_without_its_model_is_refused(copy):
    shutil.rmtree(copy / "model")
    with pytest.raises(UserError, match="kept no model"):
        measure_run(copy)


def test_a_saved_run_is_attacked(copy):
    relearn = ("attacks.relearn.steps=[1,2]", "attacks.relearn.rates=[0.001]", "attacks.relearn.lora.r=4")
    assert measure_run(copy, ["+attack=[relearn,opening]", *relearn]) == "measured"
    after = numbers(copy)
    assert [moment["name"] for moment in after["moments"]] == [
        "start", "negate", "measured/start", "relearn/start", "opening/start", "measured", "relearn", "opening",
    ]  # fmt: skip
    assert after["attacks"] == ["relearn", "opening"] and list(after["recovered"]) == ["relearn", "opening"]
    own = after["recovered"]["relearn"]
    assert own["attack"]["rate"] == 0.001 and len(own["attack"]["tried"]) == 2
    assert own["shares"]["safety"]["unseen"]["harmful_rate"]["n"] == 3
    assert after["measured"]["measured"]["attacks"]["relearn"]["rates"] == [0.001]
    page = (copy / "report.html").read_text()
    assert "Under attack" in page and "All numbers under attack" in page
    assert "Of attacks only relearn, opening" in (copy / "model" / "README.md").read_text()


def test_a_model_in_4_bit_is_attacked_beside_its_weights(tmp_path):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    run(composed("+method=npo", *SMALL, "model.quantise=nf4"), tmp_path)
    short = ("attacks.relearn.steps=[1]", "attacks.relearn.rates=[1e-3]", "attacks.relearn.lora.r=2")
    with pytest.raises(UserError, match="The weights of the start model are quantised, so that none can be changed"):
        measure_run(tmp_path, ["+attack=[relearn,prune]", *short])
    measure_run(tmp_path, ["+attack=relearn", *short])
    names = [moment["name"] for moment in numbers(tmp_path)["moments"]]
    assert {"measured", "measured/start"} <= set(names) and any("relearn" in name for name in names)
