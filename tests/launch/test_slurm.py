"""`launch/slurm.sbatch` and a submitit sweep on a real Slurm of one controller and two nodes."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from launched import ROOT, TINY, wait_until

STEPS = 40


@pytest.fixture
def checkout(tmp_path):
    """A folder to submit from."""
    shutil.copytree(ROOT / "launch", tmp_path / "launch")
    return tmp_path


def steps(log: Path) -> list[int]:
    return [json.loads(line)["step"] for line in log.read_text().splitlines()] if log.is_file() else []


def test_a_run_on_two_nodes_survives_its_end_of_time_and_a_requeue(slurm, checkout):
    """As Slurm does 120 s before the time is up: SIGUSR1 to the script. Then `scontrol requeue` in mid-training."""
    options = ["--parsable", "--nodes=2", "--time=15"]
    run = ["+method=sku", *TINY, f"train.max_steps={STEPS}"]
    number = slurm.call("sbatch", *options, "launch/slurm.sbatch", *run, cwd=checkout, RANKS="1").strip()
    folder, printed = checkout / "outputs" / f"slurm-{number}", checkout / f"slurm-{number}.log"
    said = lambda: (printed.read_text()[-4000:] if printed.is_file() else "") + slurm.said()  # noqa: E731
    ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")

    def reaches(step: int) -> None:
        wait_until(lambda: max(steps(folder / "log.jsonl"), default=0) >= step, 400, said)
        assert slurm.job(number)["JobState"] == "RUNNING", said()

    reaches(3)
    slurm.call("scancel", "--signal=USR1", "--batch", number)
    wait_until(lambda: slurm.job(number)["Restarts"] == "1", 120, said)
    assert "Stopped as asked at step" in printed.read_text() and "goes back into the queue" in printed.read_text()
    reaches(max(steps(folder / "log.jsonl")) + 2)
    slurm.call("scontrol", "requeue", number)
    wait_until(lambda: slurm.job(number)["JobState"] in ended, 600, said)

    job = slurm.job(number)
    assert (job["JobState"], job["Restarts"], job["NumNodes"]) == ("COMPLETED", "2", "2"), said()
    assert printed.read_text().count("Going on from") == 2, said()
    assert steps(folder / "log.jsonl") == list(range(1, STEPS + 1))
    assert json.loads((folder / "metrics.json").read_text())["after"]


def test_a_job_without_gpus_says_so(slurm, checkout):
    number = slurm.call("sbatch", "--parsable", "launch/slurm.sbatch", "+method=sku", cwd=checkout).strip()
    printed = checkout / f"slurm-{number}.log"
    wait_until(lambda: printed.is_file() and "Fix: " in printed.read_text(), 90, slurm.said)
    assert printed.read_text() == (
        "Error: The job has no GPUs\n  Fix: ask for them with sbatch --gpus-per-node=N, or for CPU ranks with RANKS=N\n"
    )


@pytest.mark.long
def test_a_submitit_sweep_of_two_methods(slurm, checkout):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    sweep = ["-m", "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=10"]
    run = ["+method=ft,sku", *TINY, "train.max_steps=2", "hydra.sweep.dir=sweep"]
    slurm.call(sys.executable, "-m", "unlearnkit", *sweep, *run, cwd=checkout, timeout=300)
    done = sorted((checkout / "sweep").glob("*/metrics.json"))
    assert [json.loads(path.read_text())["run"]["method"] for path in done] == ["ft", "sku"]
    assert all(json.loads(path.read_text())["after"] for path in done)
