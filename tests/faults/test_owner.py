"""One run a folder; a folder that is somebody else's is left alone."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from composed import composed
from filelock import FileLock, Timeout
from forked import Started
from outcome import outcome

from unlearnkit.errors import UserError
from unlearnkit.run import run
from unlearnkit.runs import owner

TOP = Path(__file__).parents[2]
RUN = (
    "+method=ga", "model=tiny", "logger=none", "train.max_steps=2", "eval_every=0", "eval.safety.limit=1",
    "eval.safety.max_new_tokens=2", "+train.arguments.disable_tqdm=true",
)  # fmt: skip
FOREIGN = {
    "a model": {"model/weights.bin": "w"},
    "checkpoints": {"checkpoints/finetune/done/complete.json": "{}"},
    "notes": {"notes.txt": "x", "z/y/x.csv": "1"},
    "a hidden file": {".env": "KEY=1"},
    "metrics alone": {"metrics.json": "{}"},
}


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_folder_is_refused_and_left_as_it_is(what, tmp_path):
    for name, text in FOREIGN[what].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = tree(tmp_path)
    with pytest.raises(UserError, match="is no run's folder: it has no config.yaml, and holds "):
        run(composed(*RUN), tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("config", ["", "a: 1\n", "- 1\n", "model: x\ndata: y\n", "model: {", "\x00\x01"])
def test_a_config_that_is_no_runs(config, tmp_path):
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="config.yaml (is no run's|cannot be read)"):
        run(composed(*RUN), tmp_path)
    assert (tmp_path / "model" / "mine.txt").read_text() == "x"


def test_what_is_empty_or_half_written_is_taken(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "config.yaml.host-1-2.partial").write_text("mod")
    (tmp_path / "error.txt").write_text("earlier")
    owner.check_folder(tmp_path)
    owner.check_folder(tmp_path / "none")


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "/etc", "a b"])
def test_names_stay_in_the_folder(name):
    with pytest.raises(UserError, match="is no name for a file"):
        owner.check_names({"eval": {name: {}}})
    with pytest.raises(UserError, match="is no name for a file"):
        owner.check_names({"stages": {name: {}}})
    owner.check_names({"eval": {"safety": {}}, "stages": {"a.b-c=1": {}}})


def test_a_folder_is_let_go_whatever_ends_the_run(tmp_path):
    @owner.owner
    def work(error):
        owner.own(tmp_path)
        with pytest.raises(Timeout):
            FileLock(tmp_path / owner.LOCK).acquire(timeout=0)
        assert (tmp_path / owner.OWNER).read_text().startswith(f"process {os.getpid()} on ")
        raise error

    for error in (ValueError(), KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(error)):
            work(error)
    other = FileLock(tmp_path / owner.LOCK)
    other.acquire(timeout=0)
    (tmp_path / owner.OWNER).write_text("process 7 on elsewhere\n")
    with pytest.raises(UserError, match="belongs to a run that is going on: process 7 on elsewhere"):
        owner.own(tmp_path)


def at_once(count, folders, tmp_path):
    """(exit code, stdout and stderr) of so many starts in one second."""
    runs = [(*RUN, *((f"hydra.run.dir={folder}",) if folder else ())) for folder in folders[:count]]
    processes = [Started("-m", "unlearnkit", *words, cwd=tmp_path) for words in runs]
    said = [process.communicate() for process in processes]
    return [(process.returncode, *each) for process, each in zip(processes, said, strict=True)]


@pytest.mark.parametrize("count", [2, *(pytest.param(n, marks=pytest.mark.long) for n in (3, 6))])
def test_starts_of_one_command_at_once(count, tmp_path):
    one = at_once(count, [tmp_path / "one"] * count, tmp_path)
    assert sorted({code for code, *_ in one}) in ([0], [0, 2]) and [code for code, *_ in one].count(0) >= 1
    for code, out, err in one:
        assert "Traceback" not in err
        told = f"Error: {tmp_path / 'one'} belongs to a run that is going on: process "
        assert ("Report: " in out) if code == 0 else (told in err and "\n  Fix: " in err), err
    log = [json.loads(line)["step"] for line in (tmp_path / "one" / "log.jsonl").read_text().splitlines()]
    assert log == [1, 2]
    own = at_once(count, [None] * count, tmp_path)
    assert [code for code, *_ in own] == [0] * count, own
    folders = {path.parent for path in (tmp_path / "outputs").rglob("metrics.json")}
    assert len(folders) == count
    for folder in folders:
        assert outcome(folder) == outcome(tmp_path / "one")


def test_a_signal_outside_a_step_stops_the_run(tmp_path):
    """It is sent while the libraries are imported or the model is measured, and the run still goes on later."""
    words = (*RUN, "eval.safety.limit=10", f"hydra.run.dir={tmp_path / 'run'}")
    process = Started("-m", "unlearnkit", *words, cwd=TOP)
    while not (tmp_path / "run" / "config.yaml").is_file() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 75, told
    assert "Stopped as asked. The same command goes on from what is kept." in told and "Traceback" not in told
