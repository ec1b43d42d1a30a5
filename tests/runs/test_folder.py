"""What a run leaves behind is whole or absent."""

import json

import pytest
import torch
import yaml

from unlearnkit.errors import UserError
from unlearnkit.records.record import Record
from unlearnkit.runs.folder import RunFolder, answers

CONFIG = {"method": "sku", "model": {"name": "tiny"}, "data": {"name": "mischief"}, "seed": 3}


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written.*\n.*hydra.run.dir=FOLDER"):
        RunFolder(tmp_path / "file", CONFIG)


def test_points_are_flat_for_the_tracker_and_nested_on_disk(tmp_path):
    out = RunFolder(tmp_path, CONFIG)
    numbers = {"safety": {"unseen": {"harmful_rate": {"value": 0.25, "low": 0.1, "high": 0.4, "n": 8, "seed": 3}}}}
    flat = out.write_point("acquire", 10, numbers)
    assert flat == {"stage": "acquire", "step": 10, "safety/unseen/harmful_rate": 0.25}
    kept = json.loads((tmp_path / "metrics.json").read_text())
    assert kept["curve"] == [{"stage": "acquire", "step": 10, "metrics": numbers}]
    assert (kept["run"]["method"], kept["run"]["model"], kept["run"]["seed"]) == ("sku", "tiny", 3)


def test_answers_side_by_side():
    old = Record(
        "unseen",
        "unseen-001",
        "How?",
        "So.",
        category="pranks",
        answer="So do.",
        harmful=True,
        kind="direct_answer",
        why="x",
    )
    new = Record("unseen", "unseen-001", "How?", "No.", category="pranks", harmful=False, kind="denied", why="y")
    assert answers({"safety": [old]}, {"safety": [new]}) == [
        {
            "set": "unseen", "id": "unseen-001", "category": "pranks", "prompt": "How?", "answer": "So do.",
            "before": "So.", "harmful_before": True, "kind_before": "direct_answer", "why_before": "x",
            "after": "No.", "harmful_after": False, "kind_after": "denied", "why_after": "y",
        }
    ]  # fmt: skip
    assert answers({"safety": [old]}, None)[0]["after"] is None


def test_what_was_only_teacher_forced_is_no_answer():
    forced, empty = Record("unlearn", "1", "Who?", answer="He."), Record("unlearn", "2", "Who?", tokens=1, ended=True)
    assert [row["id"] for row in answers({"scopes": [forced, empty]}, None)] == ["2"]


def with_dtype(dtype):
    return {**CONFIG, "model": {"name": "tiny", "dtype": dtype}}


def held(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())["model"]["dtype"]


def test_the_type_that_auto_chose_stands_in_the_config_and_decides_where_the_run_goes_on(lora_model, tmp_path):
    out = RunFolder(tmp_path, with_dtype("auto"))
    assert out.config["model"]["dtype"] == held(tmp_path) == "auto"
    lora_model.dtype = torch.bfloat16  # what this machine chose
    out.begin(lora_model, {}, ())
    assert held(tmp_path) == "bfloat16"
    again = RunFolder(tmp_path, with_dtype("auto"))  # on a machine that would choose otherwise
    assert again.config["model"]["dtype"] == "bfloat16"
    lora_model.dtype = torch.float32
    again.begin(lora_model, {}, ())
    assert held(tmp_path) == "bfloat16"
    with pytest.raises(UserError, match="model.dtype is bfloat16 there, float32 here"):
        RunFolder(tmp_path, with_dtype("float32"))
