"""Python in processes of their own that begin with the libraries already imported, for that takes seconds.

What an environment variable decides while a library is imported, such as HF_ENDPOINT, is decided for all of them.
"""

import atexit
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["preloaded"])
TESTS = Path(__file__).parent
SERVE = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "0", "PYTHONPATH": str(TESTS)}


@atexit.register
def _kill():
    for process in multiprocessing.active_children():
        process.kill()


class Started:
    """`python WORDS`, of which the first is -m, -c or a file; what of `subprocess.Popen` the tests use.

    Args:
        session: it leads a session of its own.
        environment: what differs from this process's.
    """

    def __init__(self, *words, cwd=None, session=False, **environment):
        self.words, self.folder = words, TemporaryDirectory()
        self.files = [Path(self.folder.name, name) for name in ("stdout", "stderr")]
        for file in self.files:
            file.touch()
        told = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
        arguments = (words, str(cwd or os.getcwd()), told, *map(str, self.files), session)
        with patch.dict(os.environ, SERVE):
            forkserver.ensure_running()
        self.process = SERVER.Process(target=carry_out, args=arguments)
        self.process.start()
        self.pid, self.stdout = self.process.pid, Lines(self, self.files[0])

    @property
    def returncode(self):
        return self.process.exitcode

    poll = returncode.fget

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.process.kill()

    def wait(self, timeout=300):
        self.process.join(timeout)
        if self.returncode is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.words, timeout, *self.said())
        return self.returncode

    def said(self):
        """What it has written so far to stdout and to stderr."""
        return tuple(file.read_bytes().decode(errors="replace") for file in self.files)

    def communicate(self, timeout=300):
        self.wait(timeout)
        return self.said()


class Lines:
    """The lines of a file as another process writes them, until it ends."""

    def __init__(self, writer, path):
        self.writer, self.file, self.held = writer, path.open(), ""

    def readline(self):
        while True:
            ended = self.writer.poll() is not None
            self.held += self.file.readline()
            if self.held.endswith("\n") or ended:
                line, self.held = self.held, ""
                return line
            time.sleep(0.01)

    def __iter__(self):
        return iter(self.readline, "")


def python(*words, timeout=300, **started):
    """`python WORDS` to its end; a `subprocess.CompletedProcess`."""
    process = Started(*words, **started)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def command(module, *arguments, **started):
    """`python -m MODULE ARGUMENTS` in the folder `cwd`, offline; a `subprocess.CompletedProcess`."""
    return python("-m", module, *arguments, **started)


def ranks(count, *words, **started):
    """So many ranks of `python WORDS`, as torchrun starts them; the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    place |= {"LOCAL_WORLD_SIZE": str(count)}
    return [Started(*words, **started, **place, RANK=str(n), LOCAL_RANK=str(n)) for n in range(count)]


def on_ranks(count, *words, timeout=400, **started):
    """They, to their end: (exit code of the first that failed or 0, what they wrote to stdout, to stderr)."""
    begun = ranks(count, *words, **started)
    said = [process.communicate(timeout) for process in begun]
    code = next((process.returncode for process in begun if process.returncode), 0)
    return subprocess.CompletedProcess(words, code, *("".join(one) for one in zip(*said, strict=True)))


def carry_out(words, cwd, environment, out, err, session=False):
    """In the process itself."""
    if session:
        os.setsid()
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)
    sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [cwd, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    first, *arguments = words
    sys.argv = [first, *arguments] if first not in ("-m", "-c") else [*arguments]
    try:
        if first == "-m":
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        elif first == "-c":
            sys.argv[0] = first
            exec(compile(arguments[0], first, "exec"), {"__name__": "__main__"})
        else:
            sys.path.insert(0, str(Path(first).parent))
            runpy.run_path(first, run_name="__main__")
    finally:
        sys.stdout.flush()
