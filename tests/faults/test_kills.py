"""A run that is killed at any moment, again and again, ends with the numbers of one that was not, to the last byte."""

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from forked import command
from outcome import outcome

TOP = Path(__file__).parents[2]
SMALL = (
    "model=tiny", "train.max_steps=4", "train.save_every=1", "eval_every=2", "eval.safety.limit=2",
    "eval.safety.curve_limit=1", "eval.safety.max_new_tokens=3", "+train.arguments.disable_tqdm=true",
)  # fmt: skip
DROPOUT = ("+model.lora.lora_dropout=0.2",)
KINDS = {
    "lora": ("+method=npo", *SMALL, *DROPOUT),
    "full": ("+method=ga", *SMALL, "model.lora=null", "logger=none"),
    "sku": ("+method=sku", *SMALL, *DROPOUT, "logger=none"),
    "taught": (
        "+method=ga_gd", "model=tiny", "data=authors", "data.authors=2", "logger=none", "eval.scopes.limit=3",
        "target.min_accuracy=0", "target.cache=false", "target.stage.max_steps=4", "target.stage.epochs=null",
        "eval.scopes.max_new_tokens=3", "train.max_steps=3", "train.save_every=1", "eval_every=1", *DROPOUT,
    ),
    "krs": (
        "+method=ga", "model=tiny", "data=concepts", "eval=krs", "logger=none", "train.max_steps=2",
        "train.save_every=1", "eval_every=0", "eval.krs.limit=3", "eval.krs.window=1", *DROPOUT,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """kind -> (what it comes to, the seconds it takes)."""
    made = {}

    def make(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp("unbroken") / "run"
            started = time.monotonic()
            ended = command("unlearnkit", *KINDS[kind], f"hydra.run.dir={folder}", cwd=TOP)
            assert ended.returncode == 0, ended.stderr[-3000:]
            made[kind] = outcome(folder), time.monotonic() - started
        return made[kind]

    return make


def killed_and_ended(kind, folder, moments):
    """Start it, kill it after each of these seconds, and let it end."""
    for moment in moments:
        try:
            command("unlearnkit", *KINDS[kind], f"hydra.run.dir={folder}", cwd=TOP, timeout=moment)
        except subprocess.TimeoutExpired:
            continue
    ended = command("unlearnkit", *KINDS[kind], f"hydra.run.dir={folder}", cwd=TOP)
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr[-3000:]
    assert not list(folder.rglob("*.partial")) and not (folder / "checkpoints").exists()
    return outcome(folder)


@pytest.mark.parametrize("kind", ["lora"])
def test_killed_twice(kind, unbroken, tmp_path):
    whole, seconds = unbroken(kind)
    chosen = random.Random(kind)
    assert killed_and_ended(kind, tmp_path / "run", [chosen.uniform(0.3, 0.9) * seconds for _ in range(2)]) == whole


@pytest.mark.long
@pytest.mark.parametrize("trial", range(int(os.environ.get("KILLS", "100"))))
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment(kind, trial, unbroken, tmp_path):
    whole, seconds = unbroken(kind)
    chosen = random.Random(f"{kind} {trial}")
    moments = [chosen.uniform(0, 1.05) * seconds for _ in range(chosen.choice((1, 1, 2)))]
    assert killed_and_ended(kind, tmp_path / "run", moments) == whole
    shutil.rmtree(tmp_path)
