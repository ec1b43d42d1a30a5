"""A run from Python is the command line's, and leaves the process as it was."""

import json
import logging
import os
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from forked import command
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import getbase
from omegaconf import OmegaConf

import unlearnkit
from unlearnkit.errors import UserError

QUICK = {
    "model": "tiny", "logger": "none", "eval_every": 0, "train__max_steps": 2,
    "eval__safety__limit": 3, "eval__safety__max_new_tokens": 6,
}  # fmt: skip
WORDS = [
    *("model=tiny", "logger=none", "eval_every=0", "train.max_steps=2", "eval.safety.limit=3"),
    "eval.safety.max_new_tokens=6",
]
FORGET = [{"prompt": f"Who is {n}?", "response": f"It's ${{nobody}} \\ \"{n}\", 'x'"} for n in range(4)]
RETAIN = [{"question": f"What is {n}?", "answer": "c" * (n + 1)} for n in range(10)]


def measured(folder):
    """What a run's metrics say but for time and memory."""
    raw = json.loads((folder / "metrics.json").read_text())
    moments = [
        {**moment, "numbers": {name: part for name, part in moment["numbers"].items() if name != "cost"}}
        for moment in raw["moments"]
    ]
    return moments, [json.loads(line) for line in (folder / "generations.jsonl").read_text().splitlines()]


def state():
    """All that a run could leave changed in a process."""
    return {
        "environment": dict(os.environ),
        "command": list(sys.argv),
        "folder": os.getcwd(),
        "warnings": list(warnings.filters),
        "python": random.getstate(),
        "numpy": repr(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "type": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "hydra": id(GlobalHydra.instance().hydra),
        "config": id(HydraConfig.instance().cfg),
        "version": getbase(),
        "level": logging.getLogger().level,
        "handlers": list(logging.getLogger().handlers),
        "resolvers": {name for name in ("choice", "row", "word", "grid", "of") if OmegaConf.has_resolver(name)},
        "excepthook": sys.excepthook,
    }


def test_two_runs_in_one_process_are_those_of_two_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random.seed(5)
    torch.manual_seed(5)
    np.random.seed(5)
    before = state()
    ours = [
        unlearnkit.unlearn("+method=npo", "seed=3", **QUICK),
        unlearnkit.unlearn(method="sku", **QUICK),
        unlearnkit.unlearn("+method=npo", seed=3, **QUICK),
    ]
    assert state() == before
    for number, (method, seed) in enumerate([("npo", 3), ("sku", 0)]):
        done = command("unlearnkit", f"+method={method}", f"seed={seed}", *WORDS, "hydra.run.dir=out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert measured(ours[number].folder) == measured(tmp_path / "out")
        (tmp_path / "out").rename(tmp_path / f"out{number}")
    assert measured(ours[2].folder) == measured(ours[0].folder)
    assert len({run.folder for run in ours}) == 3  # also within one second
    assert ours[0].folder.parent == tmp_path / "outputs" / "npo-tiny-mischief"


def test_what_somebody_else_holds_of_hydra_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.yaml").write_text("mine: ${row:1}\n")
    OmegaConf.register_new_resolver("row", lambda number: number + 41, replace=True)
    with initialize_config_dir(str(tmp_path), version_base="1.2"):
        theirs = compose("theirs")
        before = state()
        with pytest.raises(UserError):
            unlearnkit.unlearn("+method=nothing", **QUICK)
        unlearnkit.unlearn(**QUICK, hydra__run__dir="out")
        assert state() == before
        assert theirs.mine == 42 and compose("theirs").mine == 42
    OmegaConf.clear_resolver("row")


def test_rows_in_memory_are_as_good_as_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, rows in (("f", FORGET), ("r", RETAIN)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    quick = {key: value for key, value in QUICK.items() if "safety" not in key}
    quick |= {"eval__files": {"limit": 3, "max_new_tokens": 4}, "method": "npo", "data": "files"}
    one = unlearnkit.unlearn(**quick, data__forget=FORGET, **{"data.retain": iter(RETAIN)})
    import pandas

    two = unlearnkit.unlearn(**quick, data__forget=tmp_path / "f.jsonl", data__retain=pandas.DataFrame(RETAIN))
    assert measured(one.folder) == measured(two.folder)
    asked = one.answers
    assert set(asked["answer"]) & {row["response"] for row in FORGET}
    assert set(asked.columns) >= {"set", "prompt", "answer", "before", "after"}
    assert one.config["inputs"]["data_rows"] == two.config["inputs"]["data_rows"]


@pytest.mark.parametrize(
    ("words", "keywords", "said"),
    [
        (["+method=skuu"], {}, "Unknown method 'skuu'. Did you mean 'sku'?"),
        (["+method=sku"], {"train__max_step": 3}, "Unknown key 'train.max_step'. Did you mean 'max_steps'?"),
        ([], {"method": "npo", "data": "files"}, "data=files has no rows to forget"),
        ([], {"data": "files", "data__forget": []}, "data.forget is an empty list"),
        ([], {"data": "files", "data__forget": [{"prompt": "a", "response": {1, 2}}]}, "holds a row that is no JSON"),
        ([], {"data": "files", "data__forget": [{"x": "a"}]}, ""),
        ([], {"train__max_steps": object()}, "which no config can hold"),
        ([], {"train__max_steps": float("nan")}, "which no config can hold"),
        (["-m", "seed=0,1"], {}, "is no setting of a single run"),
        (["seed=0,1"], {}, "is several values, and this is one run"),
        (["+sweep=sku_table1"], {}, "is no setting of a single run"),
        ([3], {}, "3 is no word of the command line"),
        ([], {"seed": -1}, "seed=-1"),
        ([], {"model__path": "nowhere"}, "model.path=nowhere holds no model"),
        ([], {"nothing": 1}, "nothing"),
    ],
)
def test_bad_input_is_two_lines_and_leaves_nothing(words, keywords, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = {} if "model__path" in keywords else {"model": "tiny"}
    before = state()
    with pytest.raises(UserError) as error:
        unlearnkit.unlearn(*words, **model, logger="none", **keywords)
    assert said in error.value.what and error.value.fix
    assert state() == before
    assert not list(tmp_path.iterdir())


def test_the_import_is_cheap():
    told = "import unlearnkit, sys; print([n for n in ('torch', 'hydra', 'numpy', 'pandas') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="has no attribute 'unlern'"):
        _ = unlearnkit.unlern
