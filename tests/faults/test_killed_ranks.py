"""Two ranks under ZeRO-3, killed together or one of them, end with the numbers of two that were not."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import ranks
from outcome import outcome

TOP = Path(__file__).parents[2]
RUN = (
    "+method=ga", "model=tiny", "model.lora=null", "logger=none", "deepspeed=zero3", "train.max_steps=4",
    "train.save_every=1", "eval_every=2", "eval.safety.limit=2", "eval.safety.curve_limit=1",
    "eval.safety.max_new_tokens=3", "+train.arguments.disable_tqdm=true",
)  # fmt: skip
WHO = {"both": (0, 1), "the first": (0,), "the second": (1,)}
TRIALS = int(os.environ.get("KILLS", "100"))


def on_two_ranks(folder, tmp_path, killed=(), moment=None):
    """The exit codes. These ranks are killed after so many seconds, or as soon as a file is there."""
    started = ranks(2, "-m", "unlearnkit", *RUN, f"hydra.run.dir={folder}", cwd=TOP)
    until = time.monotonic() + (moment if isinstance(moment, float) else 500)
    waits = (lambda: not moment.exists()) if isinstance(moment, Path) else (lambda: True)
    while killed and waits() and time.monotonic() < until and any(rank.poll() is None for rank in started):
        time.sleep(0.01)
    for number in killed:
        started[number].kill()
    if killed and not (folder / "config.yaml").is_file():
        time.sleep(1)
        for rank in started:
            if rank.poll() is None:
                rank.send_signal(signal.SIGTERM)  # as their launcher does: one still waits to meet the other
    told = "".join(rank.communicate(500)[1] for rank in started)  # one that is left alone ends by itself
    assert "Traceback" not in told, told[-3000:]
    return [rank.returncode for rank in started]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What the run comes to, and the seconds that it takes."""
    folder = tmp_path_factory.mktemp("unbroken")
    started = time.monotonic()
    assert on_two_ranks(folder / "run", folder) == [0, 0]
    return outcome(folder / "run"), time.monotonic() - started


def killed_and_ended(who, moments, whole, tmp_path):
    folder = tmp_path / "run"
    for moment in moments:
        on_two_ranks(folder, tmp_path, WHO[who], moment)
    assert on_two_ranks(folder, tmp_path) == [0, 0], (tmp_path / "err-0").read_text()
    assert not list(folder.rglob("*.partial")) and not (folder / "checkpoints").exists()
    assert outcome(folder) == whole


@pytest.mark.parametrize("moment", ["finetune/checkpoint-2/complete.json", "finetune/done/complete.json"])
def test_two_ranks_killed(moment, unbroken, tmp_path):
    """In the training, and before what it came to is measured."""
    whole, _ = unbroken
    killed_and_ended("both", [tmp_path / "run" / "checkpoints" / moment], whole, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("trial", range(TRIALS))
def test_killed_at_any_moment(trial, unbroken, tmp_path):
    whole, seconds = unbroken
    chosen = random.Random(f"ranks {trial}")
    moments = [chosen.uniform(0.2, 1) * seconds for _ in range(chosen.choice((1, 1, 2)))]
    killed_and_ended([*WHO][trial % 3], moments, whole, tmp_path)
    shutil.rmtree(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_launcher_that_is_killed(share, unbroken, tmp_path):
    """torchrun's ranks are in sessions of their own: they end by themselves, or finish the run."""
    whole, seconds = unbroken
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "unlearnkit")
    command = [sys.executable, *torchrun, *RUN, f"hydra.run.dir={tmp_path / 'run'}"]
    launcher = subprocess.Popen(command, cwd=TOP, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 200
    while not (tmp_path / "run" / "config.yaml").is_file() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(share * seconds)
    launcher.send_signal(signal.SIGKILL)
    _, told = launcher.communicate(timeout=200)  # its pipe closes when the last of its ranks has ended
    assert b"Traceback" not in told, told[-3000:]
    assert on_two_ranks(tmp_path / "run", tmp_path) == [0, 0]
    assert outcome(tmp_path / "run") == whole
