"""Command lines in processes of their own that begin with the libraries already imported, for that takes seconds."""

import multiprocessing
import os
import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["unlearnkit.run", "unlearnkit.judges.embedded", "unlearnkit.plan.run"])


def command(module, *arguments, cwd, timeout=300, **environment):
    """`python -m MODULE ARGUMENTS` in the folder `cwd`, offline; a `subprocess.CompletedProcess`."""
    with TemporaryDirectory() as folder, patch.dict(os.environ, HF_HUB_OFFLINE="1"):
        files = [Path(folder, name) for name in ("stdout", "stderr")]
        told = {**os.environ, **environment}
        process = SERVER.Process(target=_carry_out, args=(module, arguments, str(cwd), told, *map(str, files)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout)
        out, err = (file.read_text() for file in files)
    return subprocess.CompletedProcess([module, *arguments], process.exitcode, out, err)


def _carry_out(module, arguments, cwd, environment, out, err):
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
