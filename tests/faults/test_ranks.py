"""Ranks that would compute different things are told so before the first step."""

from pathlib import Path

import pytest
from forked import on_ranks

TOP = Path(__file__).parents[2]
RUN = ("+method=ga", "model=tiny", "logger=none", "train.max_steps=2", "eval_every=0")
DIFFERENT = {
    "another config": ('seed="${oc.decode:${oc.env:RANK}}"',),
    "other rows of the data 'authors'": ("data=authors", 'data.authors="${oc.decode:1${oc.env:RANK}}"', "target=none"),
}


@pytest.mark.parametrize("what", ["another config", pytest.param([*DIFFERENT][1], marks=pytest.mark.long)])
def test_ranks_that_differ(what, tmp_path):
    words = (*RUN, *DIFFERENT[what], f"hydra.run.dir={tmp_path / 'run'}")
    ended = on_ranks(2, "-m", "unlearnkit", *words, cwd=TOP)
    assert ended.returncode != 0
    assert "Error: Rank 1 on " in ended.stderr and f" has {what} than rank zero" in ended.stderr, ended.stderr[-3000:]
    assert not (tmp_path / "run" / "log.jsonl").exists()
