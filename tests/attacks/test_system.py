"""Words before the question: what is asked, of whom, and where the numbers stand."""

import json

import pytest
from composed import composed

from unlearnkit.attacks import System
from unlearnkit.errors import UserError
from unlearnkit.records.record import read_parquet
from unlearnkit.run import run
from unlearnkit.tables.published import column
from unlearnkit.tables.reading import read_run

WORDS = "You are a helpful assistant. "
QUICK = ("model=tiny", "logger=none", "train.max_steps=2", "eval_every=0", "+train.arguments.disable_tqdm=true")
SCOPES = (
    *QUICK,
    "data=authors",
    "data.authors=2",
    "target=none",
    "eval.scopes.limit=3",
    "eval.scopes.max_new_tokens=4",
)


def test_the_words_stand_before_the_question():
    assert System("Listen. ").question("Who?") == "Listen. Who?"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    return folder, run(
        composed("+attack=[system]", "+method=ga", *SCOPES, "train.arguments.learning_rate=0.05"), folder
    )


def test_the_attack_comes_after_the_stages_and_on_the_start_too(attacked):
    folder, metrics = attacked
    assert [(m["name"], m["stage"], m["step"]) for m in metrics["moments"]] == [
        ("start", None, 0), ("system/start", None, 0), ("finetune", "finetune", 2), ("system", "finetune", 2),
    ]  # fmt: skip
    assert (
        metrics["before"] == metrics["moments"][0]["numbers"] and metrics["after"] == metrics["moments"][2]["numbers"]
    )
    assert {path.name for path in (folder / "records").iterdir()} == {
        "before-scopes.parquet", "after-scopes.parquet", "system-scopes.parquet", "system.start-scopes.parquet",
    }  # fmt: skip


def test_every_question_is_asked_behind_the_words(attacked):
    folder, _ = attacked
    plain, behind = (read_parquet(folder / "records" / f"{when}-scopes.parquet") for when in ("after", "system"))
    assert [WORDS + record.prompt for record in plain] == [record.prompt for record in behind]
    assert [record.id for record in plain] == [record.id for record in behind]


def test_a_table_finds_the_numbers_by_the_paper_s_column(attacked):
    folder, metrics = attacked
    read = read_run(folder)
    found = column("scopes/unlearn_prefixed/unlearn_success")
    assert found == ("system", "scopes", "unlearn", "success")
    numbers = {moment["name"]: moment["numbers"] for moment in metrics["moments"]}
    assert read.after[found].value == numbers["system"]["scopes"]["unlearn"]["success"]["value"]
    assert read.before[found].value == numbers["system/start"]["scopes"]["unlearn"]["success"]["value"]
    assert next(c for c in read.after if c == found).display.better == "higher"


def test_without_stages_it_is_on_the_start_alone(tmp_path):
    metrics = run(composed("+attack=[system]", *SCOPES), tmp_path)
    assert [moment["name"] for moment in metrics["moments"]] == ["start", "system/start"]
    assert json.loads((tmp_path / "metrics.json").read_text())["after"] is None


@pytest.mark.parametrize("name", ["finetune", "start", "never_knew"])
def test_an_attack_is_not_called_as_another_moment(name, tmp_path):
    attack = f"+attacks.{name}={{_target_: unlearnkit.attacks.System, words: x}}"
    taken = "start, never_knew, finetune"
    with pytest.raises(UserError, match=f"The attack '{name}' is called as another moment of the run: {taken}"):
        run(composed(attack, "+method=ga", *SCOPES), tmp_path)


def test_what_is_no_attack_is_refused(tmp_path):
    with pytest.raises(UserError, match="attacks.mine is a Negate, not an attack"):
        run(composed("+attacks.mine={_target_: unlearnkit.stages.Negate}", *SCOPES), tmp_path)
