"""Ranks that would compute different things are told so before the first step."""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
LAUNCHER = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "unlearnkit")
RUN = ("+method=ga", "model=tiny", "logger=none", "train.max_steps=2", "eval_every=0")
DIFFERENT = {
    "another config": ('seed="${oc.decode:${oc.env:RANK}}"',),
    "other rows of the data 'authors'": ("data=authors", 'data.authors="${oc.decode:1${oc.env:RANK}}"', "target=none"),
}


@pytest.mark.parametrize("what", ["another config", pytest.param([*DIFFERENT][1], marks=pytest.mark.long)])
def test_ranks_that_differ(what, tmp_path):
    words = [*LAUNCHER, *RUN, *DIFFERENT[what], f"hydra.run.dir={tmp_path / 'run'}"]
    ended = subprocess.run(words, cwd=TOP, capture_output=True, text=True, timeout=300)
    assert ended.returncode != 0
    assert "Error: Rank 1 on " in ended.stderr and f" has {what} than rank zero" in ended.stderr, ended.stderr[-3000:]
    assert not (tmp_path / "run" / "log.jsonl").exists()
