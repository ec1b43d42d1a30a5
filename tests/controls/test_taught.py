"""The target on the tiny model: taught once, kept by content, waited for, and what stages start from."""

import json
import textwrap
from dataclasses import replace

import pytest
import torch
from conftest import LORA
from forked import Started
from peft import PeftModel

from unlearnkit.content import digest
from unlearnkit.controls.taught import Taught, Untaught
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.losses import NLL, NPO
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template
from unlearnkit.stages import Finetune

ROWS = [Example(f"a{n}", f"Who is {n}?", f"He is {n}.") for n in range(4)]
DATA = Data("made", {"target": ROWS})


SETTINGS = {
    "max_steps": 2,
    "batch_size": 2,
    "arguments": {"learning_rate": 1e-2, "disable_tqdm": True, "logging_steps": 1},
}


def stage(**changes):
    return Finetune(terms={"target": NLL("target")}, **{**SETTINGS, **changes})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "targets"


def weights(model):
    return {name: value.clone() for name, value in model.model.state_dict().items() if "reference" not in name}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def taught_log(folder):
    path = folder / "log.jsonl"
    return [json.loads(line)["stage"] for line in path.read_text().splitlines()] if path.exists() else []


def test_taught_once_and_the_same_from_the_cache(tiny_model, tmp_path, cache, request):
    fresh = replace(tiny_model)
    bare = {name: value.clone() for name, value in tiny_model.model.state_dict().items()}
    first = Taught(stage(), min_accuracy=0)(tiny_model, DATA, tmp_path)
    assert taught_log(tmp_path) == ["target", "target"]
    assert not same(bare, weights(first))
    kept = list(cache.glob("*/target.json"))
    assert len(kept) == 1 and json.loads(kept[0].read_text())["rows"] == 4
    (tmp_path / "again").mkdir()
    again = request.getfixturevalue("tiny_folder")
    model = load_source("tiny", str(again), "float32", fresh.weights.lora, fresh.template)
    second = Taught(stage(), min_accuracy=0)(model, DATA, tmp_path / "again")
    assert taught_log(tmp_path / "again") == [] and same(weights(first), weights(second))
    assert not list(cache.glob("*.partial"))


OTHERS = {
    "steps": (stage(max_steps=3), {}, ROWS),
    "rate": (stage(arguments={"learning_rate": 2e-2}), {}, ROWS),
    "truncation": (stage(truncate=True), {}, ROWS),
    "a term's weight": (Finetune(terms={"target": NLL("target", 2.0)}, **SETTINGS), {}, ROWS),
    "another term": (Finetune(terms={"target": NPO("target")}, **SETTINGS), {}, ROWS),
    "seed": (stage(), {"seed": 1}, ROWS),
    "fewer rows": (stage(), {}, ROWS[:3]),
    "their order": (stage(), {}, ROWS[::-1]),
    "a letter of a row": (stage(), {}, [replace(ROWS[0], response="He is 0!"), *ROWS[1:]]),
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_content_is_taught_anew(lora_model, other):
    changed, settings, rows = OTHERS[other]
    plain = digest(Taught(stage(), min_accuracy=0).content(lora_model, ROWS))
    assert digest(Taught(changed, **settings).content(lora_model, rows)) != plain


@pytest.mark.parametrize("changes", [{"closed": False}, {"separator": " "}, {"system": "x"}, {"text": "{prompt}"}])
def test_another_template_is_taught_anew(lora_model, changes):
    plain = digest(Taught(stage()).content(lora_model, ROWS))
    lora_model.template = replace(lora_model.template, **changes)
    assert digest(Taught(stage()).content(lora_model, ROWS)) != plain


def test_another_adapter_is_taught_anew(lora_model):
    plain = digest(Taught(stage()).content(lora_model, ROWS))
    lora_model.weights.lora["r"] = 2
    assert digest(Taught(stage()).content(lora_model, ROWS)) != plain


def test_what_decides_nothing_is_not_taught_anew(lora_model):
    zero = {"zero_optimization": {"stage": 2}, "bf16": {"enabled": "auto"}}
    logging = {**SETTINGS["arguments"], "logging_steps": 9, "disable_tqdm": False, "report_to": ["wandb"]}
    same = [
        Taught(stage(), min_accuracy=0.5, merge=True, cache=False),
        Taught(stage(deepspeed=zero)),
        Taught(stage(save_every=5, save_limit=1)),
        Taught(stage(arguments=logging)),
    ]
    found = {digest(taught.content(lora_model, ROWS)) for taught in [Taught(stage()), *same]}
    assert len(found) == 1


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "target.json"])
def test_a_damaged_target_is_taught_anew(tiny_folder, tmp_path, cache, name, capsys):
    def taught(folder):
        folder.mkdir()
        model = load_source("tiny", str(tiny_folder), "float32", dict(LORA), Template())
        return weights(Taught(stage(), min_accuracy=0)(model, DATA, folder))

    first = taught(tmp_path / "first")
    (kept,) = cache.glob(f"*/{name}")
    kept.write_bytes(kept.read_bytes()[:-20])
    capsys.readouterr()
    assert same(first, taught(tmp_path / "second")) and taught_log(tmp_path / "second") == ["target", "target"]
    assert capsys.readouterr().out.count("is damaged") == 1
    assert same(first, taught(tmp_path / "third")) and taught_log(tmp_path / "third") == []


def test_the_cache_can_be_refused(lora_model, tmp_path, cache):
    model = Taught(stage(), cache=False, min_accuracy=0)(lora_model, DATA, tmp_path)
    assert not cache.exists() and model.weights.taught == str(tmp_path / "target")
    assert (tmp_path / "target" / "adapter_model.safetensors").is_file()


def test_a_target_that_did_not_learn_is_refused_each_time_and_taught_once(lora_model, tmp_path, cache):
    said = "did not learn its data: argmax hits .*% .* less than target.min_accuracy=0.9"
    with pytest.raises(UserError, match=said):
        Taught(stage(), min_accuracy=0.9)(lora_model, DATA, tmp_path)
    (kept,) = cache.glob("*/target.json")
    written = kept.stat().st_mtime_ns
    with pytest.raises(UserError, match=said):
        Taught(stage(), min_accuracy=0.9)(lora_model, DATA, tmp_path)
    Taught(stage(), min_accuracy=0)(lora_model, DATA, tmp_path)
    assert kept.stat().st_mtime_ns == written


def test_one_that_learnt_passes(full_model, tmp_path, cache):
    learning = stage(max_steps=100, batch_size=4, arguments={"learning_rate": 2e-2, "disable_tqdm": True})
    Taught(learning, min_accuracy=0.9)(full_model, DATA, tmp_path)
    assert json.loads(next(cache.glob("*/target.json")).read_text())["token_accuracy"] > 0.9


def test_no_rows_to_teach(lora_model, tmp_path):
    with pytest.raises(UserError, match="no rows to teach"):
        Taught(stage())(lora_model, Data("made", {}), tmp_path)


def test_stages_go_on_with_the_taught_adapter_and_compare_with_it(lora_model, tmp_path):
    model = Taught(stage(), min_accuracy=0)(lora_model, DATA, tmp_path)
    assert isinstance(model.model, PeftModel)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        target = model.model(input_ids=ids).logits
        frozen = [name for name, p in model.model.named_parameters() if "lora_A" in name and "layers.0" in name]
        for name, parameter in model.model.named_parameters():
            if name in frozen:
                parameter.requires_grad_(False)
        reference = model.weights.reference("start", torch.float32)
        trainable = {name for name, parameter in model.model.named_parameters() if parameter.requires_grad}
        assert trainable and not trainable & set(frozen) and not any(".start" in name for name in trainable)
        for name, parameter in model.model.named_parameters():
            if "lora_B.default" in name:
                parameter.add_(0.3)
        assert not torch.allclose(model.model(input_ids=ids).logits, target)
        with reference.switch(model.model):
            assert torch.equal(model.model(input_ids=ids).logits, target)
        assert not torch.allclose(model.model(input_ids=ids).logits, target)
    assert trainable == {name for name, parameter in model.model.named_parameters() if parameter.requires_grad}
    model.save(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir() if path.is_dir()) == []


def test_merged_into_the_base(lora_model, tmp_path):
    ids = torch.arange(3, 20)[None]
    merged = Taught(stage(), min_accuracy=0, merge=True)(lora_model, DATA, tmp_path)
    assert not isinstance(merged.model, PeftModel)
    with torch.no_grad():
        taught = merged.model(input_ids=ids).logits
        merged.weights.make_trainable()
        with merged.weights.reference("start", torch.float32).switch(
            merged.model
        ):  # the reference of a merged target is the fresh adapter switched off
            assert torch.equal(merged.model(input_ids=ids).logits, taught)


def test_untaught_is_the_model_itself(lora_model, tmp_path):
    assert Untaught()(lora_model, DATA, tmp_path) is lora_model


def test_runs_that_want_the_same_target_at_once_teach_it_once(tiny_folder, tmp_path):
    program = textwrap.dedent("""
        import sys, torch
        from pathlib import Path
        from unlearnkit.data.examples import Data, Example
        from unlearnkit.losses import NLL
        from unlearnkit.models import load_source
        from unlearnkit.stages import Finetune
        from unlearnkit.controls.taught import Taught
        from unlearnkit.models.templates import Template
        rows = [Example(f"a{n}", f"Who is {n}?", f"He is {n}.") for n in range(4)]
        lora = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
        model = load_source("tiny", sys.argv[1], "float32", lora, Template())
        arguments = {"learning_rate": 1e-2, "disable_tqdm": True, "logging_steps": 1}
        stage = Finetune({"target": NLL("target")}, max_steps=40, batch_size=4, arguments=arguments)
        Path(sys.argv[2]).mkdir()
        Taught(stage, min_accuracy=0)(model, Data("made", {"target": rows}), Path(sys.argv[2]))
    """)
    runs = [
        Started("-c", program, str(tiny_folder), str(tmp_path / name), UNLEARNKIT_CACHE=str(tmp_path / "cache"))
        for name in ("first", "second")
    ]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sorted(len(taught_log(tmp_path / name)) for name in ("first", "second")) == [0, 40]
    assert sum("Taught in" in out for out, _ in said) == 1
