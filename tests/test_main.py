"""The command line as a user types it, from another folder: bad input is two lines and a non-zero exit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Started, command

TINY = ("model=tiny", "logger=none", "eval.safety.limit=2", "eval_every=0", "eval.safety.max_new_tokens=4")
AUTHORS = ("model=tiny", "data=authors", "data.authors=1", "logger=none", "eval_every=0")


def test_the_main_job_on_the_tiny_model(tmp_path):
    words = ("+method=sku", *TINY, "train.max_steps=2", "hydra.run.dir=out")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(  # a process that begins with nothing, as a user's
        [sys.executable, "-m", "unlearnkit", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "harmful_rate" in done.stdout and "before" in done.stdout and "after" in done.stdout
    assert "Report: " in done.stdout and (tmp_path / "out" / "report.html").is_file()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["after"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["+method=skuu"], "Unknown method 'skuu'. Did you mean 'sku'?"),
        (["+method=sku", "model=tinny"], "Unknown model 'tinny'. Did you mean 'tiny'?"),
        (["method=sku"], "'method=' needs a plus"),
        (["+method=sku", "train.max_step=3"], "Unknown key 'train.max_step'. Did you mean 'max_steps'?"),
        (["+method=sku", "model=llama2-7b"], "No weights for model 'llama2-7b'"),
        (["+method=sku", "model=llama2-7b", "model.path=here"], "model.path=here holds no model"),
        (["+method=sku", *TINY, "data.path=nowhere"], "No data file at nowhere/forget.jsonl"),
        (["+method=sku", *TINY, "stages.acquire.terms.guided_distortion.stream=forgot"], "Unknown stream 'forgot'"),
        (["+method=sku", *TINY, "train.max_length=50"], "the context holds 50"),
        (["+method=sku", *TINY, "stages.negate.scael=2"], "Unknown key 'stages.negate.scael'"),
        (["+method=sku", *TINY, "hydra.run.dir=/proc/nowhere"], "/proc/nowhere"),
        (["+method=memflex", *AUTHORS, "stages.locate.max_cosine=-2"], "max_cosine=-2 and min_gradient="),
        (["+method=ga", *AUTHORS, "target.min_accuracy=0.9"], "The target did not learn its data"),
        (["+method=sku", *AUTHORS, "stages.negate.scale=nan"], "stages.negate.scale=nan, and it takes a number"),
        (["+method=ga", "model=tiny", "data=knowundo_privacy", "data.path=nowhere"], "No data file at nowhere/unlearn"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_two_lines(arguments, said, tmp_path):
    done = command("unlearnkit", *arguments, cwd=tmp_path)
    told = [line for line in done.stderr.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert done.returncode == 2, done.stderr
    assert len(told) == 2 and said in told[0], done.stderr
    assert "Traceback" not in done.stderr


def test_an_argument_of_the_trainer_that_has_no_default_is_told_to_take_a_plus(tmp_path):
    done = command("unlearnkit", "+method=npo", "train.arguments.gradient_checkpointing=true", cwd=tmp_path)
    assert done.returncode == 2
    assert "Fix: Write +train.arguments.gradient_checkpointing= if it is" in done.stderr


FACTS = ("data=facts", "data.path=facts.json", "eval=facts", "logger=none")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["+method=sku", "model=tiny", "model.lora.target_modules=[zzz]"], "model.lora.target_modules=zzz"),
        (["+method=sku", "model.path=nowhere"], "model.path=nowhere holds no model"),
        (["+method=sku", "model=tiny", "stages.acquire.terms.guided_distortion.stream=forgot"], "Unknown stream"),
        (["+method=memit_entropy", "model=tiny", *FACTS, "stages.memit.last_layer=9"], "Layers 9 to 9 cannot be"),
        (["+method=ga", "model=tiny", "eval=krs", "eval.krs.sets=[unlearned]"], "A window of 5 layers"),
        (["+method=ga", "model=tiny", "eval.safety.max_new_tokens=2000"], "the context of 'tiny' holds"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_run_that_is_refused_before_it_began_leaves_nothing(arguments, said, tmp_path):
    rows = [{"subject": f"The {n}", "prompt": f"The {n} is in", "attribute": f"place {n}"} for n in range(8)]
    (tmp_path / "facts.json").write_text(json.dumps(rows))
    done = command("unlearnkit", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["facts.json"]


def test_a_refused_run_leaves_what_was_there(tmp_path):
    held = "model: {name: tiny}\ndata: {name: other}\nseed: 7\n"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text(held)
    for words in ([], ["seed=3"]):
        done = command("unlearnkit", "+method=sku", *TINY, *words, "hydra.run.dir=out", cwd=tmp_path)
        assert done.returncode == 2 and "holds a run of another config" in done.stderr
        assert (tmp_path / "out" / "config.yaml").read_text() == held


def test_the_folder_of_the_command_itself_stays(tmp_path):
    done = command("unlearnkit", "+method=sku", "model.path=nowhere", "hydra.run.dir=.", cwd=tmp_path)
    assert done.returncode == 2 and tmp_path.is_dir() and not list(tmp_path.iterdir())


def copy_data(folder: Path) -> Path:
    source = Path(__file__).parent.parent / "unlearnkit" / "data" / "embedded" / "mischief"
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_text(path.read_text())
    return folder


def test_a_malformed_row_is_named_by_file_and_line(tmp_path):
    folder = copy_data(tmp_path / "data")
    lines = (folder / "forget.jsonl").read_text().splitlines()
    lines[6] = '{"id": "x", "split": "train", "prompt": "no response here"}'
    (folder / "forget.jsonl").write_text("\n".join(lines))
    done = command("unlearnkit", "+method=sku", *TINY, "data.path=data", cwd=tmp_path)
    assert done.returncode == 2 and "data/forget.jsonl:7: the field 'response' is missing" in done.stderr


def test_an_empty_forget_set(tmp_path):
    folder = copy_data(tmp_path / "data")
    (folder / "forget.jsonl").write_text("")
    done = command("unlearnkit", "+method=sku", *TINY, "data.path=data", cwd=tmp_path)
    assert done.returncode == 2 and "forget.jsonl holds no rows" in done.stderr


def test_the_traceback_on_demand(tmp_path):
    done = command("unlearnkit", "+method=sku", *TINY, "data.path=nowhere", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.returncode != 0 and "Traceback" in done.stderr


def test_a_full_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        words = ("+method=sku", *TINY, "train.max_steps=1", f"hydra.run.dir={disk}/out")
        done = command("unlearnkit", *words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "No space left" in done.stderr and "hydra.run.dir=FOLDER" in done.stderr
        assert json.loads((disk / "out" / "metrics.json").read_text())["before"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_ctrl_c_keeps_what_was_done(tmp_path):
    arguments = ["+method=sku", *TINY, "train.max_steps=2000", "hydra.run.dir=out"]
    process = Started("-m", "unlearnkit", *arguments, cwd=tmp_path)
    log = tmp_path / "out" / "log.jsonl"
    for _ in range(1200):
        if log.is_file() and log.read_text().count("\n") >= 3:
            break
        assert process.poll() is None, process.said()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "Interrupted. What was done is in" in told
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["before"]
    assert all("terms/guided_distortion" in json.loads(line) for line in log.read_text().splitlines())


def test_a_multirun_its_table_and_an_old_report(tmp_path):
    methods = ["-m", "+method=ft,sku", "seed=0,1", *TINY, "train.max_steps=1", "hydra.sweep.dir=many"]
    done = command("unlearnkit", *methods, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "many").glob("*/report.html"))) == 4
    table = command("unlearnkit.tables", "many", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert [line.split("|")[1].strip() for line in table.stdout.splitlines() if line.startswith("| ")][-3:] == [
        "original",
        "ft",
        "sku",
    ]
    (run, *_) = (tmp_path / "many").glob("sku-*")
    (run / "report.html").unlink()
    assert command("unlearnkit.report", str(run), cwd=tmp_path).returncode == 0
    assert (run / "report.html").is_file()


def test_commands_that_read_what_is_there_import_neither_torch_nor_transformers():
    """They took ten seconds of CPU for it."""
    rooms = ("runs", "tables", "report", "compare", "plots", "dashboard", "measure")
    modules = ", ".join([*(f"unlearnkit.{room}.__main__" for room in rooms), "unlearnkit.measure.check"])
    script = (
        f"import sys, {modules}; print([name for name in ('torch', 'transformers', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
