"""What goes to Weights & Biases offline is read back from its file."""

import subprocess
import sys
from pathlib import Path

import pytest
from composed import composed
from hydra.utils import instantiate
from offline_wandb import Offline, offline_runs
from written import metrics, scores

from unlearnkit.runs.tracking import WandB

CONFIG = {
    "method": "sku",
    "model": {"name": "tiny", "dtype": "auto"},
    "data": {"name": "mischief"},
    "seed": 3,
    "sweep": {"name": "sku_table1", "paper": {"llama2-7b": {"sku": [3, 25.45]}}},
}
ANSWERS = [
    {"prompt": "a?", "before": "b", "after": "c", "harmful_after": None},
    {"prompt": "d?", "before": "e", "after": None, "harmful_after": True},
]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> tuple[Path, Offline]:
    """A whole run, as run.py tells it."""
    folder = tmp_path_factory.mktemp("tracked") / "run"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("HOME", str(folder.parent / "home"))
        patch.delenv("WANDB_DATA_DIR", raising=False)
        track(folder)
    (found,) = offline_runs(folder)
    return folder, found


def track(folder):
    tracker = WandB("unlearnkit-test", ["sku", "tiny", "mischief", "seed 3"], "sku_table1", "sku, tiny, seed 3")
    tracker.start(CONFIG, folder)
    tracker.point({"stage": "acquire", "step": 0, "safety/normal/perplexity": 8.0})
    tracker.log({"stage": "acquire", "step": 1, "loss": 2.5, "terms/forget": 1.5})
    tracker.log({"stage": "acquire", "step": 2, "loss": 1.5})
    tracker.point({"stage": "acquire", "step": 2, "safety/normal/perplexity": 9.0, "krs/attention/layer_00": 1.0})
    (folder / "report.html").write_text("<p>a report</p>")
    after = metrics(0.03, 19.0) | {"krs": {"attention": scores(0.1, 0.6), "coefficients": scores(0.2, 0.3)}}
    tracker.finish({"before": metrics(0.55, 18.5), "after": after}, ANSWERS)


def test_an_offline_run_holds_its_curves(tracked):
    _, found = tracked
    assert found.curve("train/acquire/loss") == [(1, 2.5), (2, 1.5)]
    assert found.curve("train/acquire/terms/forget") == [(1, 1.5)]
    assert found.curve("curve/safety/normal/perplexity") == [(0, 8.0), (2, 9.0)]
    assert found.curve("krs/attention", over="layer") == [(0, 0.1), (1, 0.6)]
    assert found.curve("krs/coefficients", over="layer") == [(0, 0.2), (1, 0.3)]
    assert found.axes["*"] == "step" and found.axes["krs/attention"] == "layer"
    assert not any("layer_" in key for row in found.rows for key in row)


def test_it_is_grouped_tagged_and_described(tracked):
    _, found = tracked
    assert (found.run.run_group, found.run.project) == ("sku_table1", "unlearnkit-test")
    assert found.run.display_name == "sku, tiny, seed 3"
    assert sorted(found.run.tags) == ["mischief", "seed 3", "sku", "tiny"]
    config = {key: value for key, value in found.config.items() if not key.startswith("_")}
    assert config == CONFIG | {"sweep": "sku_table1", "model_name": "tiny", "data_name": "mischief"}


def test_it_holds_numbers_tables_and_the_report(tracked):
    folder, found = tracked
    assert found.summary["before/safety/unseen/harmful_rate"] == 0.55
    assert found.summary["after/safety/unseen/harmful_rate"] == 0.03
    assert found.summary["after/krs/attention/peak"] == 0.6
    assert not any("layer_" in key for key in found.summary)
    answers, numbers = found.table("answers"), found.table("metrics")
    assert (answers["columns"], answers["data"]) == (list(ANSWERS[0]), [list(row.values()) for row in ANSWERS])
    assert numbers["columns"] == ["metric", "when", "value", "low", "high", "n"]
    assert ["safety/unseen/harmful_rate", "before", 0.55, pytest.approx(0.45), 0.65, 60] in numbers["data"]
    assert ["krs/attention/layer_01", "after", 0.6, 0.5, 0.7, 60] in numbers["data"]
    (report,) = [artifact for artifact in found.artifacts if artifact.type == "report"]
    (kept,) = report.manifest.contents
    assert kept.path == "report.html" and Path(kept.local_path).read_text() == "<p>a report</p>"
    assert folder in Path(kept.local_path).parents  # it goes where the run's folder goes
    assert not list((folder.parent / "home").rglob("staging/*"))


def test_a_run_that_goes_on_is_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    for step in (1, 2):
        tracker = WandB(project="unlearnkit-test")
        tracker.start({"seed": 0}, tmp_path)
        tracker.log({"stage": "acquire", "step": step, "loss": 1.0})
        tracker.run.finish()
    assert len({found.run.run_id for found in offline_runs(tmp_path)}) == 1


def test_a_run_without_a_method(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = WandB(project="unlearnkit-test")
    tracker.start({"seed": 0}, tmp_path)
    tracker.finish({"before": metrics(0.55, 18.5), "after": None}, [])
    (found,) = offline_runs(tmp_path)
    assert found.summary["before/safety/normal/perplexity"] == 18.5
    assert not any(key.startswith("after") for key in found.summary)
    assert found.run.run_group == "" and found.config["sweep"] is None


def test_the_composed_logger_knows_its_sweep():
    alone = instantiate(composed("+method=sku", "model=tiny", "seed=3").logger, _convert_="all")
    assert isinstance(alone, WandB) and alone.group is None
    assert alone.tags == ["sku", "tiny", "mischief", "seed 3"] and alone.name == "sku, tiny, mischief, seed 3"
    swept = instantiate(composed("+method=sku", "model=tiny", "+sweep.name=sku_table1").logger)
    assert swept.group == "sku_table1"


KILLED_AND_RESUMED = """
import os, signal, subprocess, sys
from pathlib import Path

child = '''
import os, signal, sys
from pathlib import Path
from unlearnkit.runs.tracking import WandB
WandB().start({}, Path(sys.argv[1]))
if sys.argv[2] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
'''
import wandb

wandb.setup()
assert os.environ["WANDB_SERVICE"]
for end in ("die", "live"):
    ended = subprocess.run([sys.executable, "-c", child, sys.argv[1], end])
    print(ended.returncode)
"""


def test_a_killed_run_goes_on_under_a_parent_with_a_service_of_its_own(tmp_path):
    """A notebook that used W&B hands its service to the runs that it starts."""
    told = subprocess.run([sys.executable, "-c", KILLED_AND_RESUMED, str(tmp_path)], capture_output=True, text=True)
    assert told.stdout.split() == ["-9", "0"], told.stderr[-2000:]
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2  # both under one ID
    assert len({path.name.split("-")[-1] for path in tmp_path.glob("wandb/offline-run-*")}) == 1
