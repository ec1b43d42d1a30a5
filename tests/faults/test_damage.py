"""A file that is not as it was written is made anew or refused in two lines; it is never used, and no traceback."""

import os
import shutil
from pathlib import Path

import pytest
from composed import composed
from dying import Died
from outcome import outcome

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template
from unlearnkit.report import write_report
from unlearnkit.run import run
from unlearnkit.tables.reading import read_run

SMALL = (
    "model=tiny", "logger=none", "train.max_steps=3", "train.save_every=1", "eval_every=1",
    "+train.arguments.disable_tqdm=true", "+model.lora.lora_dropout=0.2",
)  # fmt: skip
RUN = (
    "+method=pdu", "stages.finetune.terms.retain.epsilon=3", *SMALL, "eval.safety.limit=2",
    "eval.safety.curve_limit=1", "eval.safety.max_new_tokens=3",
)  # fmt: skip
TAUGHT = (
    "+method=ga_gd", *SMALL, "data=authors", "data.authors=2", "target.cache=false", "target.min_accuracy=0",
    "target.stage.max_steps=2", "target.stage.epochs=null", "eval.scopes.limit=3", "eval.scopes.max_new_tokens=3",
)  # fmt: skip


def dies(stage, step):
    return ("logger._target_=dying.Dies", f"+logger.stage={stage}", f"+logger.step={step}")


# The words of a run, and what it died at
STATES = {
    "finished": (RUN, ()),
    "training": (RUN, dies("finetune", 3)),
    "ending": (RUN, dies("end", 0)),
    "taught": (TAUGHT, dies("finetune", 2)),
}


def cut(share):
    return lambda content: content[: int(len(content) * share)]


def turned(content):
    place = len(content) * 2 // 3
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :] if content else b"x"


DAMAGES = {"emptied": lambda content: b"", "turned": turned, **{f"cut at {s}": cut(s) for s in (0.1, 0.5, 0.95)}}
SAMPLE = {
    "finished": (("config.yaml", "metrics.json"), {"healed": 0, "refused": 4}),
    "training": (("complete.json", "before-safety.parquet", "metrics.json", "log.jsonl"), {"healed": 6, "refused": 2}),
    "ending": (("before-safety.parquet",), {"healed": 2, "refused": 0}),
    "taught": (("target.json",), {"healed": 2, "refused": 0}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folders of `STATES`, their cache, and what each comes to in the end."""
    top, whole = tmp_path_factory.mktemp("damage"), {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("UNLEARNKIT_CACHE", str(top / "cache"))
        run(composed(*RUN), top / "finished")
        run(composed(*TAUGHT), top / "other")
        for state, (words, death) in STATES.items():
            whole[state] = outcome(top / ("other" if words == TAUGHT else "finished"))
            if death:
                with pytest.raises(Died):
                    run(composed(*words, *death), top / state)
    return top, top / "cache", whole


def files_of(folder):
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    unread = (".owner", ".owner.lock", "report.html", *(["log.jsonl"] if folder.name == "finished" else []))
    return [name for name in names if name.name not in unread]


def start(folder, words=RUN):
    """The two lines, or None for a run that ends; anything else is an error of this test."""
    try:
        run(composed(*words), folder)
    except Exception as error:
        told = configuration.explain(error)
        assert told is not None, repr(error)
        assert "\n" not in told.what and "\n" not in told.fix
        return told
    return None


def every(top, state, cache, whole, names, damages, tmp_path, monkeypatch):
    """How many were healed and refused, of these files with these damages; stops at the first that is neither."""
    counts = {"healed": 0, "refused": 0}
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    for name in names:
        for damage in damages:
            copy = tmp_path / "run"
            for old, new in ((top / state, copy), (cache, tmp_path / "cache")):
                shutil.rmtree(new, ignore_errors=True)
                shutil.copytree(old, new)
            content = (copy / name).read_bytes()
            (copy / name).write_bytes(DAMAGES[damage](content))
            told = start(copy, STATES[state][0])
            if told is not None:
                assert str(copy) in told.what and ("rm " in told.fix or "hydra.run.dir=" in told.fix), (name, damage)
                counts["refused"] += 1
                continue
            counts["healed"] += 1
            found, unread = outcome(copy), str(name) if state == "finished" else ""  # an answer's file is for people
            for file in whole[state]:
                assert found[file] == whole[state][file] or file == unread, (name, damage, file)
    return counts


@pytest.mark.parametrize("state", SAMPLE)
def test_a_sample(state, made, tmp_path, monkeypatch):
    top, cache, whole = made
    few, counts = SAMPLE[state]
    names = [max(name for name in files_of(top / state) if name.name == one) for one in few]
    assert every(top, state, cache, whole, names, ["turned", "cut at 0.5"], tmp_path, monkeypatch) == counts


@pytest.mark.long
@pytest.mark.parametrize("state", STATES)
def test_every_file_of_a_run(state, made, tmp_path, monkeypatch, capsys):
    top, cache, whole = made
    counts = every(top, state, cache, whole, files_of(top / state), DAMAGES, tmp_path, monkeypatch)
    with capsys.disabled():
        print(f"\n{len(files_of(top / state))} files of a run ({state}): {counts}")


@pytest.mark.long
def test_every_file_of_the_cache(made, tmp_path, monkeypatch, capsys):
    top, cache, whole = made
    files = files_of(cache)
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    for name in files:
        for damage, change in DAMAGES.items():
            for folder in (tmp_path / "cache", tmp_path / "run"):
                shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(cache, tmp_path / "cache")
            file = tmp_path / "cache" / name
            file.write_bytes(change(file.read_bytes()))
            assert start(tmp_path / "run") is None
            assert outcome(tmp_path / "run") == whole["finished"], (name, damage)
    with capsys.disabled():
        print(len(files) * len(DAMAGES), "of the cache, all healed")


@pytest.mark.parametrize(
    "damage", ["turned", *(pytest.param(d, marks=pytest.mark.long) for d in DAMAGES if d != "turned")]
)
def test_every_file_of_a_saved_model(damage, made, tmp_path):
    saved = made[0] / "finished" / "model"
    for name in sorted(path.name for path in saved.iterdir() if path.name not in ("README.md", "SHA256SUMS")):
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        shutil.copytree(saved, tmp_path / "model")
        content = (saved / name).read_bytes()
        (tmp_path / "model" / name).write_bytes(DAMAGES[damage](content))
        with pytest.raises(UserError, match=f"{name} is damaged"):
            load_source("tiny", str(tmp_path / "model"), "float32", None, Template())


@pytest.mark.parametrize(
    ("read", "needed"),
    [
        (read_run, {"config.yaml", "metrics.json"}),
        (write_report, {"config.yaml", "metrics.json", "generations.jsonl", "log.jsonl"}),
    ],
)
def test_what_reads_runs(read, needed, made, tmp_path):
    top, _, _ = made
    for name in (*files_of(top / "finished"), Path("log.jsonl")):
        for damage, change in DAMAGES.items():
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
            shutil.copytree(top / "finished", tmp_path / "run")
            file = tmp_path / "run" / name
            file.write_bytes(change(file.read_bytes()))
            try:
                read(tmp_path / "run")
            except UserError as error:
                assert name.name in error.what, (name, damage, error)
            else:
                assert name.name not in needed


def test_the_command_in_the_second_line_heals(made, tmp_path, monkeypatch):
    top, cache, whole = made
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(cache))
    shutil.copytree(top / "finished", tmp_path / "run")
    file = tmp_path / "run" / "metrics.json"
    file.write_bytes(turned(file.read_bytes()))
    told = start(tmp_path / "run")
    assert told is not None and f"rm '{file}'" in told.fix
    assert os.system(f"rm '{file}'") == 0
    assert start(tmp_path / "run") is None
    assert outcome(tmp_path / "run") == whole["finished"]
