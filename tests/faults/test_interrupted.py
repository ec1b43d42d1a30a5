"""Ctrl-C at any moment is one line and the end, within two seconds of an idle machine; the deadline is a busy one's."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SMALL = ("model=tiny", "logger=none", "eval_every=0", "eval.safety.limit=1", "eval.safety.max_new_tokens=3")
ENDLESS = "train.max_steps=20000"
DEADLINE = 10  # seconds; a silent server has 60 here, and the trainings and the answers minutes


def rows(run, stage):
    log = run / "log.jsonl"
    return sum(f'"stage": "{stage}"' in line for line in log.read_text().splitlines()) if log.is_file() else 0


def asked_for(count):
    return lambda run, said, server: len(server.requests) >= count


# The words, and when it is interrupted
MOMENTS = {
    "imports": (("+method=ga", *SMALL), lambda run, said, server: time.sleep(1) is None),
    "training": (("+method=ga", *SMALL, ENDLESS), lambda run, said, server: rows(run, "finetune") > 2),
    "W&B": (("+method=ga", *SMALL[:1], *SMALL[2:], ENDLESS), lambda run, said, server: rows(run, "finetune") > 2),
    "teaching": (
        ("+method=ga_gd", "model=tiny", "logger=none", "data=authors", "target.cache=false", "eval_every=0",
         "target.stage.max_steps=20000", "target.stage.epochs=null"),
        lambda run, said, server: rows(run, "target") > 2,
    ),
    "answers": (
        ("+method=ga", *SMALL[:3], "eval.safety.limit=100", "eval.safety.max_new_tokens=400"),
        lambda run, said, server: "Answering" in said.read_text(errors="replace"),
    ),
    "a silent judge": (("+method=ga", *SMALL, "eval.safety.limit=20", "judge=openai"), asked_for(8)),
    "a busy judge": (("+method=ga", *SMALL, "eval.safety.limit=100", "judge=openai"), asked_for(20)),
}  # fmt: skip


@pytest.mark.parametrize(
    "moment", [m if m in ("imports", "training") else pytest.param(m, marks=pytest.mark.long) for m in MOMENTS]
)
def test_ctrl_c(moment, serve, tmp_path):
    words, now = MOMENTS[moment]

    def slow(handler):
        time.sleep(60 if moment == "a silent judge" else 0.3)
        content = json.dumps({"why": "It tells how.", "kind": "direct_answer"})
        handler.say(200, json.dumps({"choices": [{"index": 0, "message": {"content": content}}]}))

    server, run, said = serve(slow), tmp_path / "run", tmp_path / "err"
    own = (f"judge.base_url={server.url}",) if "judge=openai" in words else ()
    with said.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "unlearnkit", *words, *own, f"hydra.run.dir={run}"],
            cwd=TOP,
            stderr=errors,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    until = time.monotonic() + 300
    try:
        while not now(run, said, server):
            assert process.poll() is None and time.monotonic() < until, said.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.wait(DEADLINE)
    finally:
        process.kill()
    print(f"{moment}: {time.monotonic() - began:.2f} s")
    told = said.read_text(errors="replace")
    assert process.returncode == 130 and "\nInterrupted." in told and "Traceback" not in told, told
    if (run / ".owner.lock").exists():
        assert not (run / ".owner").exists()


COMMANDS = ("compare", "measure", "runs", "tables", "report", "plots", "plan", "show", "dashboard", "build", "probes")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what a process has loaded")
@pytest.mark.parametrize(
    "command", [c if c == "compare" else pytest.param(c, marks=pytest.mark.long) for c in COMMANDS]
)
def test_ctrl_c_while_any_command_imports_libraries(command):
    process = subprocess.Popen(
        [sys.executable, "-m", f"unlearnkit.{command}"], cwd=TOP, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    while "_multiarray_umath" not in Path(f"/proc/{process.pid}/maps").read_text():  # NumPy, which all of them import
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=DEADLINE)[1]
    assert process.returncode == 130 and told.startswith("\nInterrupted.") and told.count("\n") == 2, told
