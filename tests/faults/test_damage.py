"""A file that is not as it was written is made anew or refused in two lines; it is never used, and no traceback."""

import os
import shutil
from pathlib import Path

import pytest
from forked import command
from outcome import outcome

from unlearnkit.errors import UserError
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template

TOP = Path(__file__).parents[2]
RUN = (
    "+method=ga", "model=tiny", "train.max_steps=3", "train.save_every=1", "eval_every=1", "eval.safety.limit=2",
    "eval.safety.curve_limit=1", "eval.safety.max_new_tokens=3", "+train.arguments.disable_tqdm=true",
)  # fmt: skip


def cut(share):
    return lambda content: content[: int(len(content) * share)]


def turned(content):
    place = len(content) * 2 // 3
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :] if content else b"x"


DAMAGES = {"emptied": lambda content: b"", "turned": turned, **{f"cut at {s}": cut(s) for s in (0.1, 0.5, 0.95)}}


def start(folder, *words, cache=None, module="unlearnkit", **more):
    environment = {"UNLEARNKIT_CACHE": str(cache)} if cache else {}
    environment["PYTHONPATH"] = str(TOP / "tests")
    return command(module, *words, *((f"hydra.run.dir={folder}",) if folder else ()), cwd=TOP, **environment, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run, one that died after step 2 and one after its stages, their cache, and what the run comes to."""
    top = tmp_path_factory.mktemp("damage")
    cache = top / "cache"
    assert start(top / "finished", *RUN, cache=cache).returncode == 0
    dying = ("logger._target_=dying.Dies", "+logger.stage=finetune", "+logger.step=3", "+logger.kill=true")
    dies = [word for word in RUN if not word.startswith("logger")]
    assert start(top / "training", *dies, "logger=none", *dying, cache=cache).returncode == -9
    shutil.copytree(top / "finished", top / "measured")
    return top, cache, outcome(top / "finished")


def refused(ended):
    """Two lines that name a file and a way out, and nothing else in the shape of an error."""
    told = [line for line in ended.stderr.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    return ended.returncode == 2 and len(told) == 2 and "Traceback" not in ended.stderr


def damaged_files(folder):
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    unread = (".owner", ".owner.lock", "report.html")
    return [name for name in names if name.name not in unread and name.parts[0] != "wandb" or name.name == "id"]


def every(folder, damages, tmp_path, words, cache, whole):
    """(healed, refused) over all files of a folder; stops at the first that is neither."""
    counts = {"healed": 0, "refused": 0}
    for name in damaged_files(folder):
        for damage in damages:
            copy, own = tmp_path / "run", tmp_path / "cache"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.rmtree(own, ignore_errors=True)
            shutil.copytree(folder, copy)
            shutil.copytree(cache, own)
            content = (copy / name).read_bytes()
            (copy / name).write_bytes(DAMAGES[damage](content))
            ended = start(copy, *words, cache=own)
            what = f"{name} {damage}: {ended.returncode}\n{ended.stderr[-2000:]}"
            assert "Traceback" not in ended.stderr, what
            if ended.returncode:
                assert refused(ended), what
                counts["refused"] += 1
                continue
            found = outcome(copy)
            assert found["metrics.json"] == whole["metrics.json"], what
            if name.parts[0] not in ("model", "records", "log.jsonl", "generations.jsonl"):
                assert found == whole, what
            counts["healed"] += 1
    return counts


@pytest.mark.parametrize("state", ["finished", "training"])
def test_a_sample(state, made, tmp_path, monkeypatch):
    top, cache, whole = made
    few = {"finished": ("config.yaml", "metrics.json"), "training": ("complete.json", "before-safety.parquet")}[state]
    monkeypatch.setitem(globals(), "damaged_files", lambda folder: [
        max(path.relative_to(folder) for path in folder.rglob(name)) for name in few
    ])  # fmt: skip
    words = RUN if state == "finished" else (*RUN, "logger=none")
    counts = every(top / state, ["turned"], tmp_path, words, cache, whole)
    assert counts == {"finished": {"healed": 0, "refused": 2}, "training": {"healed": 2, "refused": 0}}[state]


@pytest.mark.long
@pytest.mark.parametrize("state", ["finished", "training"])
def test_every_file_of_a_run(state, made, tmp_path):
    top, cache, whole = made
    words = RUN if state == "finished" else (*RUN, "logger=none")
    print(state, every(top / state, DAMAGES, tmp_path, words, cache, whole))


@pytest.mark.long
def test_every_file_of_the_cache(made, tmp_path):
    top, cache, whole = made
    files = [path.relative_to(cache) for path in sorted(cache.rglob("*")) if path.is_file()]
    for name in files:
        for damage, change in DAMAGES.items():
            own, copy = tmp_path / "cache", tmp_path / "run"
            shutil.rmtree(own, ignore_errors=True)
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(cache, own)
            (own / name).write_bytes(change((own / name).read_bytes()))
            ended = start(copy, *RUN, cache=own)
            what = f"{name} {damage}: {ended.returncode}\n{ended.stderr[-2000:]}"
            assert ended.returncode == 0 and "Traceback" not in ended.stderr, what
            assert outcome(copy) == whole, what
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
        with pytest.raises(UserError, match=f"{name}"):
            load_source("tiny", str(tmp_path / "model"), "float32", None, Template())


@pytest.mark.long
@pytest.mark.parametrize("module", ["unlearnkit.report", "unlearnkit.tables", "unlearnkit.plots"])
def test_what_reads_runs(module, made, tmp_path):
    top, cache, _ = made
    for name in damaged_files(top / "finished"):
        for damage, change in DAMAGES.items():
            copy = tmp_path / "run"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(top / "finished", copy)
            (copy / name).write_bytes(change((copy / name).read_bytes()))
            ended = start(None, str(copy), cache=cache, module=module)
            assert "Traceback" not in ended.stderr, f"{name} {damage}\n{ended.stderr[-2000:]}"


def test_the_command_in_the_second_line_heals(made, tmp_path):
    top, cache, whole = made
    shutil.copytree(top / "finished", tmp_path / "run")
    file = tmp_path / "run" / "metrics.json"
    file.write_bytes(turned(file.read_bytes()))
    ended = start(tmp_path / "run", *RUN, cache=cache)
    assert refused(ended) and f"rm '{file}'" in ended.stderr
    assert os.system(f"rm '{file}'") == 0
    assert start(tmp_path / "run", *RUN, cache=cache).returncode == 0
    assert outcome(tmp_path / "run") == whole
