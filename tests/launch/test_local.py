"""`launch/local.sh`: ranks on this box, and what it says where they cannot be had."""

import json
import os
import socket
import subprocess
import sys

import pytest
from launched import ROOT, TINY


def local(*arguments, cwd, **environment):
    known = {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [ROOT / "launch" / "local.sh", *arguments],
        cwd=cwd,
        env={**os.environ, **known, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture
def nvidia_smi(tmp_path):
    """A PATH whose nvidia-smi answers as told; the machine's own would decide the tests."""

    def answering(text: str, code: int = 0) -> str:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{text}'\nexit {code}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
        return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    return answering


def test_two_cpu_ranks_make_one_run(nvidia_smi, tmp_path):
    run = ["+method=sku", *TINY, "train.max_steps=2", "hydra.run.dir=out"]
    done = local("2", *run, cwd=tmp_path, PATH=nvidia_smi("", 9))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Report: ") == 1
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["after"]


def test_no_gpu_and_no_number(nvidia_smi, tmp_path):
    done = local("+method=sku", cwd=tmp_path, PATH=nvidia_smi("no driver\\n", 9))
    assert (done.returncode, done.stderr) == (
        2,
        "Error: nvidia-smi finds no GPU here\n  Fix: give a number of CPU ranks first: launch/local.sh 2 +method=sku\n",
    )


def test_more_ranks_than_gpus(nvidia_smi, tmp_path):
    path = nvidia_smi("GPU 0: NVIDIA A100 (UUID: GPU-1)\\nGPU 1: NVIDIA A100 (UUID: GPU-2)\\n")
    done = local("3", "+method=sku", cwd=tmp_path, PATH=path)
    assert done.returncode == 2 and done.stderr.startswith("Error: 3 ranks were asked for, this machine has 2 GPUs\n")


@pytest.mark.parametrize(("port", "said"), [(None, "is already in use on "), ("http", "MASTER_PORT=http is no port")])
def test_a_port_that_cannot_be_had(port, said, nvidia_smi, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = port or str(taken.getsockname()[1])
        done = local("2", "+method=sku", cwd=tmp_path, PATH=nvidia_smi("", 9), MASTER_PORT=port)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["+method=skuu"], "Unknown method 'skuu'. Did you mean 'sku'?"),
        (["+method=sku", *TINY, "hydra.run.dir=/proc/nowhere"], "No such file or directory: /proc/nowhere"),
    ],
    ids=["method", "unwritable"],
)
def test_one_rank_says_what_is_wrong_and_its_exit_code_comes_through(arguments, said, nvidia_smi, tmp_path):
    done = local("2", *arguments, cwd=tmp_path, PATH=nvidia_smi("", 9))
    assert done.returncode == 2
    first, fix = done.stderr.splitlines()
    assert first.startswith("Error: ") and said in first and fix.startswith("  Fix: ")
