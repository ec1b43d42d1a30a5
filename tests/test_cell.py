"""Sweeps carried out on the tiny model: every one there is, cut off, failing, changed, side by side."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from filelock import FileLock
from forked import Started, command, python

from unlearnkit import configuration, sweeps

TESTS = Path(__file__).parent
# Two methods of the SKU paper, ten steps, a checkpoint every two.
TWO = ("+sweep=sku_figure4", "+scale=smoke", "logger=none", "train.max_steps=10", "train.save_every=2", "eval_every=5")


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    return tmp_path


def start(*arguments, **started):
    return Started("-m", "unlearnkit", *arguments, TQDM_DISABLE="1", **started)


def ended(process, code=0):
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, (process.returncode, out[-3000:], err[-3000:])
    return out, err


def here(code, *arguments):
    """What the command says, in the working folder, when it ends with an exit code."""
    done = command("unlearnkit", *arguments, cwd=Path.cwd())
    assert done.returncode == code, (done.returncode, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout, done.stderr


def numbers(cell):
    metrics = json.loads((cell.folder / "metrics.json").read_text())
    (metrics["after"] or {}).pop("cost", None)
    return {key: metrics[key] for key in ("before", "after", "curve")}


def times(cells):
    return {cell.folder.name: (cell.folder / "metrics.json").stat().st_mtime_ns for cell in cells}


def two(folder, *more):
    return sweeps.load("sku_figure4", "smoke", folder / "results", [*TWO[2:], *more])


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What the two cells are when nothing happens to them."""
    folder = tmp_path_factory.mktemp("unbroken")
    out, _ = ended(start(*TWO, cwd=folder))
    assert "sku_figure4-smoke: 2 cells in results/runs, 2 missing" in out
    assert re.search(r"ft, tiny, mischief, seed 0: done in .* minutes \(1 of 2 cells, about .* left\)", out)
    assert re.search(r"sku_as_published, tiny, mischief, seed 0: done in .* minutes \(2 of 2 cells\)", out)
    return two(folder).cells


SWEEPS = configuration.options("sweep")
SAMPLE = {"dissecting_figure1", "knowundo_table2", "knowundo_table5", "sku_figure4", "sku_table1"}


@pytest.fixture(scope="module")
def smoked(tmp_path_factory, request):
    """(folder, what came of each) of the sweeps asked for; in one results folder, so that they share what they can."""
    folder = tmp_path_factory.mktemp("smoke")
    asked = [item for item in request.session.items if "smoked" in getattr(item, "fixturenames", ())]
    names = [item.callspec.params["name"] for item in asked]
    done = python(str(TESTS / "every_sweep.py"), "told.json", *names, cwd=folder, timeout=1500, TQDM_DISABLE="1")
    assert done.returncode == 0, done.stderr
    return folder, json.loads((folder / "told.json").read_text())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SAMPLE else pytest.mark.long) for name in SWEEPS]
)
def test_every_sweep_in_seconds(name, smoked, monkeypatch):
    folder, told = smoked
    came = told[name]
    assert came["code"] == 0, came["err"]
    monkeypatch.chdir(folder)
    sweep = sweeps.load(name, "smoke", overrides=["logger=none"])
    assert [cell.state for cell in sweep.cells] == ["done"] * len(sweep.cells)
    assert f"{name}-smoke: {len(sweep.cells)} of {len(sweep.cells)} cells are done" in came["out"]
    already = [cell for cell in sweep.cells if str(cell.folder) in came["before"]]
    assert came["out"].count(": done already") == len(already)
    assert all(came["after"][run] == then for run, then in came["before"].items())
    assert (sweep.folder / "table.md").is_file() and (sweep.folder / "report.html").is_file()
    assert (sweep.folder / "matched.md").is_file() == ("matched" in sweep.spec)
    for figure in sweep.spec.get("figures", []):
        assert list(sweep.folder.glob(f"{figure}*.png")) and list(sweep.folder.glob(f"{figure}*.svg"))
    assert not [cell for cell in sweep.cells if "sweep:" in (cell.folder / "config.yaml").read_text()]


def test_a_killed_run_is_gone_on_with_and_what_was_done_is_not_done_again(unbroken, tmp_path):
    dying = ("logger._target_=dying.Dies", "+logger.stage=acquire", "+logger.step=5", "+logger.kill=true")
    ended(start(*TWO, *dying, cwd=tmp_path), -signal.SIGKILL)
    cells = two(tmp_path).cells
    assert [cell.state for cell in cells] == ["done", "cut"]
    kept = times(cells[:1])
    out, _ = ended(start(*TWO, cwd=tmp_path))
    assert "2 cells in results/runs, 1 done, 1 cut" in out and "done already" in out
    assert out.count("Going on from ") == 1 and times(cells[:1]) == kept
    assert [numbers(cell) for cell in cells] == [numbers(cell) for cell in unbroken]
    assert [cell.folder.name for cell in cells] == [cell.folder.name for cell in unbroken]
    assert {path.name for path in (tmp_path / "results/runs").iterdir()} == {cell.folder.name for cell in cells}


@pytest.mark.long
def test_a_killed_sweep_of_several_processes_ends_as_an_unbroken_one(unbroken, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    process = start(*TWO, *joblib, cwd=tmp_path, session=True)
    cells, until = two(tmp_path).cells, time.monotonic() + 400
    while not any((cell.folder / "log.jsonl").is_file() for cell in cells):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.5)
    states = {cell.folder.name: cell.state for cell in cells}
    assert set(states.values()) - {"done"}
    kept = times(cell for cell in cells if states[cell.folder.name] == "done")
    out, _ = ended(start(*TWO, *joblib, cwd=tmp_path))
    assert "2 of 2 cells are done" in out
    assert times(cell for cell in cells if cell.folder.name in kept) == kept
    assert [numbers(cell) for cell in cells] == [numbers(cell) for cell in unbroken]


def test_a_failed_cell_is_told_and_the_sweep_goes_on(there):
    """In the folder of one of two cells lies something that no run has written."""
    once = [*TWO[:3], "train.max_steps=2"]
    sweep = sweeps.load("sku_figure4", "smoke", overrides=[*once[2:], "+method=sku,ft"])
    folder = sweep.cells[0].folder
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    out, err = here(1, *once, "+method=sku,ft")
    assert [cell.state for cell in sweep.cells] == ["failed", "done"]
    assert f"sku, tiny, mischief, seed 0: failed: {folder.absolute()} is no run's folder" in out
    assert "1 of 2 cells are done" in out and "error.txt" in err
    error = (folder / "error.txt").read_text()
    assert error.startswith(f"{folder.absolute()} is no run's folder") and "Traceback" in error
    assert (sweep.folder / "table.md").is_file()
    # It is tried again, and only then forgotten.
    assert "1 failed" in here(1, *once, "+method=sku")[0]


def test_a_cell_whose_config_has_changed_is_computed_anew_and_said(there):
    once = ["+sweep=knowundo_finding3", "+scale=smoke", "logger=none"]
    here(0, *once)
    said, _ = here(0, *once, "data.authors=2")
    assert "base, tiny, authors, seed 0: computed anew, its config has changed: data.authors is 1 there, 2 here" in said
    assert len(list((there / "results/runs").iterdir())) == 2
    said, _ = here(0, *once)  # the old one is still there
    assert "done already" in said and "computed anew" not in said


@pytest.mark.long
def test_two_sweeps_do_not_meet_in_a_cell(tmp_path):
    once = ("+sweep=knowundo_finding3", "+scale=smoke", "logger=none")
    (cell,) = sweeps.load("knowundo_finding3", "smoke", tmp_path / "results", once[2:]).cells
    cell.folder.mkdir(parents=True)
    with FileLock(cell.folder / ".lock"):
        process = start(*once, cwd=tmp_path)
        time.sleep(0.1)
        for line in process.stdout:
            if "waiting for it" in line:
                break
        assert process.poll() is None and cell.state == "running"
    ended(process)
    assert cell.state == "done"


def test_ctrl_c_ends_the_sweep_and_tells_how_to_go_on(tmp_path):
    process = start(*TWO, "train.max_steps=5000", cwd=tmp_path)
    until = time.monotonic() + 400
    while not list(tmp_path.glob("results/runs/*/log.jsonl")):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = ended(process, 130)
    (again,) = [line for line in err.splitlines() if line.startswith("Interrupted.")]
    assert "to go on: python -m unlearnkit +sweep=sku_figure4 +scale=smoke" in again
    assert "Traceback" not in err
    assert len(list((tmp_path / "results/runs").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["+sweep=sku_tabel1"], "Unknown sweep 'sku_tabel1'. Did you mean 'sku_table1'?"),
        (["+sweep=sku_table1", "+scale=cpus"], "Unknown scale 'cpus'. Did you mean 'cpu'?"),
        (["sweep=sku_table1"], "'sweep=' needs a plus"),
        (["+sweep=sku_figure3", "+scale=smoke", "train.max_step=3"], "Unknown key 'train.max_step'"),
        (["+sweep=dissecting_figure1", "+scale=smoke", "data.path=none.json"], "No concept file at none.json"),
        (["+sweep=dissecting_figure1", "+scale=smoke", "seed=-1"], "seed=-1, and it takes a whole number at least 0"),
        (["+sweep=memflex_ablation", "target.sed=0"], "Unknown key 'target.sed'. Did you mean 'seed'?"),
        (["+sweep=memflex_ablation", "+method=ga,memflx"], "Unknown method 'memflx'. Did you mean 'memflex'?"),
    ],
)
def test_bad_input_is_two_lines(arguments, what, there):
    before = sorted(there.iterdir())
    told = here(2, *arguments)[1].splitlines()
    assert sorted(there.iterdir()) == before
    assert len(told) == 2 and told[0].startswith(f"Error: {what}") and told[1].startswith("  Fix: ")


def test_results_of_another_version_are_two_lines(there):
    once = ["+sweep=knowundo_finding3", "+scale=smoke", "logger=none"]
    (cell,) = sweeps.load("knowundo_finding3", "smoke", overrides=once[2:]).cells
    cell.folder.mkdir(parents=True)
    run = {"finished": True, "minutes": 1.0, "versions": {"unlearnkit": "0.0.1"}}
    (cell.folder / "metrics.json").write_text(json.dumps({"run": run}))
    assert "was made by unlearnkit 0.0.1" in here(2, *once)[1]
