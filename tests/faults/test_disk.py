"""A full disk is two lines that say which folder is full."""

import os
import subprocess
from pathlib import Path

import pytest
from forked import command

TOP = Path(__file__).parents[2]
RUN = (
    "+method=ga", "model=tiny", "logger=none", "model.lora=null", "train.max_steps=2", "train.save_every=1",
    "eval_every=0", "eval.safety.limit=2", "eval.safety.max_new_tokens=3", "+train.arguments.disable_tqdm=true",
)  # fmt: skip
PLACES = {"run": "hydra.run.dir=FOLDER", "cache": "UNLEARNKIT_CACHE=FOLDER", "temporary": "TMPDIR=FOLDER"}


@pytest.fixture
def small(tmp_path):
    """small(kilobytes) -> a folder that holds no more."""
    mounted = []

    def mount(size):
        folder = tmp_path / "small"
        folder.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)], capture_output=True
        )
        if made.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {made.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    if os.geteuid():
        pytest.skip("mounting a tmpfs needs root")
    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


SIZES = [pytest.param(place, size, marks=() if place == "run" and size == 400 else pytest.mark.long)
         for place in PLACES for size in (4, 16, 64, 200, 400, 800, 1500)]  # fmt: skip


@pytest.mark.parametrize(("place", "size"), SIZES)
def test_a_full_disk(place, size, small, tmp_path):
    full = small(size)
    folders = {"run": tmp_path / "run", "cache": tmp_path / "cache", "temporary": tmp_path / "tmp"}
    folders["temporary"].mkdir()
    folders[place] = full / "run" if place == "run" else full
    environment = {"UNLEARNKIT_CACHE": str(folders["cache"]), "TMPDIR": str(folders["temporary"])}
    ended = command("unlearnkit", *RUN, f"hydra.run.dir={folders['run']}", cwd=TOP, **environment)
    assert "Traceback" not in ended.stderr, ended.stderr[-3000:]
    if ended.returncode == 0:
        assert size > 200 or place != "run"
        return
    told = [line for line in ended.stderr.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert ended.returncode == 2 and len(told) == 2, ended.stderr[-3000:]
    assert str(full) in told[0] and PLACES[place] in told[1], told
