"""The command line as a user types it: bad input is two lines and exit code 2."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest


def start(*arguments, cwd, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "unlearnkit.build", *arguments],
        cwd=cwd,
        env={**os.environ, "UNLEARNKIT_CACHE": str(cwd / "cache"), "OPENAI_API_KEY": "k", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], ["No domain is chosen. Valid: copyright, privacy", "Choose one of these with +domain="]),
        (["+domain=privacy"], ["No names are given.", "Add names=FILE"]),
        (["+domain=privcy"], ["Unknown domain 'privcy'. Did you mean 'privacy'?", "Choose one of these with"]),
        (["+domain=privacy", "model=m"], ["'model=' is no key of a build.", "Write server.model="]),
        (["+domain=privacy", "nams=x"], ["'nams=' is no key of a build. Did you mean 'names'?", "Valid: names, "]),
        (["+domain=privacy", "names=[A]", "+server.modl=m"], ["Nothing reads 'server.modl'. Did you mean", "Leave it"]),
        (["+domain=privacy", "names=[A]", "+seeds=1"], ["Nothing reads 'seeds'. Did you mean 'seed'?", "Leave it out"]),
        (
            ["+domain=privacy", "names=[A]", "domain.questions=many"],
            ["domain.questions=many, and it takes", ""],
        ),
        (["+domain=privacy", "names=[A]", "server.timeout=soon"], ["server.timeout=soon, and it takes a number", ""]),
        (["+domain=privacy", "names=[A]", "output=3"], ["output=3, and it takes text", "Set output= to"]),
        (["+domain=privacy", "names=[A]", "server.modl=m"], ["Unknown key 'server.modl'. Did you mean 'model'?", ""]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_two_lines(arguments, told, tmp_path):
    process = start(*arguments, cwd=tmp_path)
    _, shown = process.communicate(timeout=60)
    lines = [line for line in shown.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert process.returncode == 2 and "Traceback" not in shown, shown
    assert len(lines) == 2, shown
    assert lines[0].startswith(f"Error: {told[0]}") and lines[1].startswith(f"  Fix: {told[1]}"), shown
    assert list(tmp_path.iterdir()) == []


def test_a_build_litters_nothing(serve, replies, tmp_path):
    (tmp_path / "names.txt").write_text("Ida Moser\nJon Fell\n")
    server = serve(replies["privacy"])
    given = ("names=names.txt", "server.model=m", f"server.base_url={server.url}", "output=made/authors")
    process = start("+domain=privacy", *given, cwd=tmp_path)
    shown, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "40 rows (unlearn 20, retention 20) of 2 names" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "made", "names.txt"]
    assert sorted(path.name for path in (tmp_path / "made" / "authors").iterdir()) == [
        "build.json",
        "full.json",
        "retention_train.json",
        "retention_val.json",
        "unlearn_train.json",
        "unlearn_val.json",
    ]
    assert json.loads((tmp_path / "made" / "authors" / "build.json").read_text())["settings"]["names"] == "names.txt"


def test_ctrl_c_keeps_what_was_answered(serve, replies, tmp_path):
    server = serve(lambda prompt, number: replies["privacy"](prompt) if number <= 2 else 30.0)
    given = ("names=[Ida,Jon]", "server.model=m", f"server.base_url={server.url}", "concurrency=1")
    process = start("+domain=privacy", *given, cwd=tmp_path)
    for _ in range(600):
        if len(server.bodies) >= 3:
            break
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=20)
    assert process.returncode == 130 and "Interrupted. Run the same command again" in shown
    assert len(list((tmp_path / "cache" / "build").glob("*/*/entry.json"))) == 2
