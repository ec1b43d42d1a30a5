"""Nothing that a run is to tell is lost after it is called finished."""

import json

import pytest
from composed import composed
from dying import Died

from unlearnkit.run import run
from unlearnkit.runs.tracking import Nowhere

RUN = (
    "+method=ga", "model=tiny", "train.max_steps=2", "eval_every=0", "eval.safety.limit=1", "train.save_every=1",
    "eval.safety.max_new_tokens=2", "+train.arguments.disable_tqdm=true",
)  # fmt: skip


class Ends(Nowhere):
    """Dies in `finish` as often as it is told to, and counts."""

    dying, finished = 0, 0

    def finish(self, metrics, answers):
        if Ends.dying:
            Ends.dying -= 1
            raise Died
        Ends.finished += 1


def test_a_tracker_that_dies_is_told_again(tmp_path, monkeypatch):
    monkeypatch.setattr(Ends, "dying", 2)
    monkeypatch.setattr(Ends, "finished", 0)
    words = (*RUN, "logger=none", "logger._target_=test_end.Ends")
    monkeypatch.setitem(__import__("sys").modules, "test_end", __import__("sys").modules[__name__])
    for _ in range(2):
        with pytest.raises(Died):
            run(composed(*words), tmp_path)
        assert json.loads((tmp_path / "metrics.json").read_text())["run"]["finished"] is False
    run(composed(*words), tmp_path)
    assert Ends.finished == 1 and not (tmp_path / "checkpoints").exists()
    assert json.loads((tmp_path / "metrics.json").read_text())["run"]["finished"] is True
    run(composed(*words), tmp_path)
    assert Ends.finished == 1


def test_what_a_death_after_the_end_leaves_is_taken_away(tmp_path):
    words = (*RUN, "logger=none")
    first = run(composed(*words), tmp_path)
    (tmp_path / "checkpoints" / "finetune").mkdir(parents=True)
    (tmp_path / "base.partial").mkdir()
    (tmp_path / "metrics.json.host-1-2.partial").write_text("{")
    assert run(composed(*words), tmp_path) == first
    assert not (tmp_path / "checkpoints").exists() and not list(tmp_path.rglob("*.partial"))
