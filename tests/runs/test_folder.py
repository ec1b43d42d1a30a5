"""What a run leaves behind is whole or absent."""

import json

import pytest

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
