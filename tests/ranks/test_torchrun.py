"""torchrun that ends with its ranks' words: in their own processes, as the launch scripts start it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

TINY = ("model=tiny", "logger=none", "eval.safety.limit=2", "eval_every=0", "eval.safety.max_new_tokens=4")


def torchrun(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "unlearnkit.ranks.torchrun", *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sigterm_lets_two_ranks_write_a_checkpoint(tmp_path):
    run = ["+method=sku", *TINY, "train.max_steps=2000", "hydra.run.dir=out"]
    launcher = torchrun("--standalone", "--local-addr=localhost", "--nproc-per-node=2", "--", *run, cwd=tmp_path)
    log = tmp_path / "out" / "log.jsonl"
    end = time.monotonic() + 400
    while not (log.is_file() and log.read_text().count("\n") >= 2):
        assert launcher.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    launcher.send_signal(signal.SIGTERM)
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode == 75, said
    assert "Traceback" not in said
    step = re.search(r"Stopped as asked at step (\d+) of 2000", said)[1]
    assert (tmp_path / "out" / "checkpoints" / "acquire" / f"checkpoint-{step}").is_dir()


def test_a_taken_port_is_two_lines(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        meet = ["--nnodes=2", "--node-rank=0", "--master-addr=127.0.0.1", f"--master-port={port}"]
        launcher = torchrun(*meet, "--nproc-per-node=1", "--", "+method=sku", cwd=tmp_path)
        _, said = launcher.communicate(timeout=120)
    assert launcher.returncode == 2
    told = [line for line in said.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert len(told) == 2 and f"the ranks cannot meet at 127.0.0.1:{port}" in told[0] and "Traceback" not in said


@pytest.mark.parametrize("place", ["http://ann:canaryPass99xx@nowhere:1", "nowhere.invalid:port"])
def test_a_place_that_is_none_is_two_lines(place, tmp_path):
    launcher = torchrun("--nproc-per-node=1", f"--rdzv-endpoint={place}", "--", "+method=sku", cwd=tmp_path)
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode == 2 and "the ranks cannot meet at" in said
    assert "Traceback" not in said and "canaryPass" not in said


def test_options_and_arguments_need_a_line_between_them(tmp_path):
    launcher = torchrun("--standalone", "+method=sku", cwd=tmp_path)
    _, said = launcher.communicate(timeout=60)
    assert launcher.returncode == 2 and said.startswith("Error: no -- between torchrun's options and the run's")


def test_a_model_that_has_become_no_numbers_ends_both_in_two_lines(tmp_path):
    small = ["eval.safety.limit=1", "train.max_steps=1", "stages.negate.scale=1e39", "hydra.run.dir=out"]
    run = ["+method=task_vector", *TINY, *small]
    launcher = torchrun("--standalone", "--local-addr=localhost", "--nproc-per-node=2", "--", *run, cwd=tmp_path)
    _, said = launcher.communicate(timeout=400)
    assert launcher.returncode == 2 and "Traceback" not in said, said
    told = [line for line in said.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert len(told) == 2 and "The stage 'negate' left weights that are no numbers" in told[0]
    assert not (tmp_path / "out" / "records" / "after-safety.parquet").exists()
