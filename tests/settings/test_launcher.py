"""Runs under `accelerate launch`, typed by habit."""

import subprocess
import sys

import pytest

from unlearnkit.errors import UserError
from unlearnkit.settings.launcher import check_launcher

PLAIN = {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "True", "ACCELERATE_DYNAMO_BACKEND": "NO"}
RANKS = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    "environment", [{}, PLAIN, {**PLAIN, **RANKS, "WORLD_SIZE": "2", "RANK": "1"}, {**RANKS, "WORLD_SIZE": "1"}, RANKS]
)
def test_what_changes_nothing(environment):
    check_launcher(environment)


@pytest.mark.parametrize(
    ("environment", "said", "fix"),
    [
        ({**PLAIN, "ACCELERATE_MIXED_PRECISION": "bf16"}, "mixed precision (bf16)", "model.dtype=bfloat16"),
        ({**PLAIN, "ACCELERATE_USE_FSDP": "true"}, "asks for FSDP", "deepspeed=zero2"),
        ({**PLAIN, "ACCELERATE_USE_DEEPSPEED": "true"}, "asks for DeepSpeed", "deepspeed=zero2"),
        ({**PLAIN, **RANKS}, "several processes and started one", "torchrun --nproc_per_node N"),
    ],
)
def test_what_no_config_would_say(environment, said, fix):
    with pytest.raises(UserError) as raised:
        check_launcher(environment)
    assert said in raised.value.what and fix in raised.value.fix


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param(("--num_processes", "2"), "started one", marks=pytest.mark.long),
        (("--num_processes", "1", "--mixed_precision", "bf16"), "mixed precision (bf16)"),
        (("--num_processes", "1"), None),
    ],
)
def test_the_launcher_itself(flags, said, tmp_path):
    launcher = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", *flags, "-m", "unlearnkit")
    short = ("model=tiny", "logger=none", "eval.safety.limit=1", "eval.safety.max_new_tokens=2", "save_model=false")
    done = subprocess.run([*launcher, *short, f"hydra.run.dir={tmp_path / 'run'}"], capture_output=True, text=True)
    assert (tmp_path / "run" / "metrics.json").exists() == (said is None), done.stderr[-2000:]
    assert (done.returncode == 0) == (said is None) and (said or "") in done.stderr
