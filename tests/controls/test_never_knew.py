"""The model that never knew, on the tiny model: what it is taught, where it comes from, and when it is none."""

import json
import textwrap
from functools import partial
from pathlib import Path

import pytest
from forked import Started

from unlearnkit.attacks import Noise, Prune, Scene
from unlearnkit.controls import NEVER_KNEW, NeverKnew, Taught, Untaught, needed
from unlearnkit.controls.never_knew import never_taught
from unlearnkit.data import authors, tofu
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.losses import NLL
from unlearnkit.measures import KSTest, Probability
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template
from unlearnkit.stages import Finetune

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
ROWS = [Example(f"a{n}", f"Who is {n}?", f"He is {n}.") for n in range(4)]
MODEL = {"dtype": "float32"}


def data(forget=ROWS[:2], retain=ROWS[2:], target=ROWS):
    asked = {"forget": {"test": list(forget)}, "retain": {"test": list(retain)}}
    return Data("made", {"forget": list(forget), "retain": list(retain), "target": list(target)}, asked)


def taught(**settings):
    arguments = {"learning_rate": 1e-2, "disable_tqdm": True, "logging_steps": 1}
    stage = Finetune(terms={"target": NLL("target")}, max_steps=2, batch_size=2, arguments=arguments)
    return Taught(stage, min_accuracy=0, **settings)


def evaluations(of, against=NEVER_KNEW):
    measures = {"probability": Probability(), "quality": KSTest("probability", "forget", against)}
    sets = {"forget": ["probability", "quality"], "retain": ["probability"]}
    return Evaluations({"own": Evaluation(measures, sets)}, of, 0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "targets"


@pytest.fixture
def make(tiny_folder):
    return partial(load_source, "tiny", str(tiny_folder), "float32", LORA, Template())


def logged(folder):
    path = folder / "log.jsonl"
    return [json.loads(line)["stage"] for line in path.read_text().splitlines()] if path.exists() else []


def test_it_is_taught_the_rest():
    assert never_taught(data()) == ROWS[2:]
    made = tofu.load(forget="forget05")
    assert never_taught(made) == made.streams["retain"]


def test_what_is_only_measured_of_the_forget_side_is_not_taught_either():
    """Of `authors` the target holds the validation and test rows too, which tell of the same private facts."""
    made = authors.load(authors=2)
    kept = never_taught(made)
    assert kept and {row.category for row in kept} == {"retention"}
    assert len(kept) == sum(row.category == "retention" for row in made.streams["target"])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (data(target=ROWS[2:]), "Of 2 rows that the data 'made' teach, 0 are to be forgotten.*taught the same"),
        (data(target=ROWS[:2]), "Of 2 rows that the data 'made' teach, 2 are to be forgotten.*taught nothing"),
        (Data("made", {"forget": ROWS}), "Of 0 rows"),
    ],
)
def test_nothing_to_leave_out_or_to_teach(made, said):
    with pytest.raises(UserError, match=said):
        never_taught(made)


def test_taught_once_for_every_run(make, tmp_path, cache):
    found = {}
    for name, target in (("first", taught()), ("second", taught(merge=True))):
        (tmp_path / name).mkdir()
        found[name] = NeverKnew()(data(), evaluations(data()), target, MODEL, make, tmp_path / name)[NEVER_KNEW]
    assert logged(tmp_path / "first") == [NEVER_KNEW] * 2 and logged(tmp_path / "second") == []
    first, second = ([row.answer_log_probs for row in rows["own"]] for rows in found.values())
    assert [pytest.approx(row, abs=1e-5) for row in first] == second
    assert {row.set for row in found["first"]["own"]} == {"forget", "retain"}
    assert len(list(cache.glob("*/target.json"))) == 1
    assert json.loads(next(cache.glob("*/target.json")).read_text())["rows"] == 2


def test_another_forget_set_has_another_control(make, tmp_path, cache):
    for forget, retain in ((ROWS[:2], ROWS[2:]), (ROWS[:1], ROWS[1:]), (ROWS[2:], ROWS[:2])):
        own = data(forget, retain)
        NeverKnew()(own, evaluations(own), taught(), MODEL, make, tmp_path)
    assert len(list(cache.glob("*/target.json"))) == 3


def test_a_control_and_a_target_do_not_share_a_folder(make, tmp_path):
    target = taught(cache=False)
    NeverKnew()(data(), evaluations(data()), target, MODEL, make, tmp_path)
    target(make(), data(), tmp_path)
    rows = {name: json.loads((tmp_path / name / "target.json").read_text())["rows"] for name in (NEVER_KNEW, "target")}
    assert rows == {NEVER_KNEW: 2, "target": 4}
    assert logged(tmp_path) == [NEVER_KNEW] * 2 + ["target"] * 2


def test_a_checkpoint_in_its_place(make, tmp_path, tiny_folder):
    given = NeverKnew(path=str(tiny_folder))(data(), evaluations(data()), Untaught(), MODEL, make, tmp_path)[NEVER_KNEW]
    own = evaluations(data()).measure(make(), Point("test"))
    assert [r.answer_log_probs for r in given["own"]] == [pytest.approx(r.answer_log_probs) for r in own["own"]]
    assert logged(tmp_path) == []


def test_attacks_are_made_on_it_too_and_what_was_measured_before_is_not_measured_again(make, tmp_path, tiny_folder):
    control, attacks = NeverKnew(path=str(tiny_folder)), {"prune": Prune(0.5), "noise": Noise(0.1)}
    for name, attack in attacks.items():
        attack.bind(name, Scene(data()))
    held = evaluations(data()).measure(make(), Point("test"))
    asked = (data(), evaluations(data()), Untaught(), MODEL, make, tmp_path)
    found = control(*asked, attacks, {"noise/never_knew": held}.get)
    assert list(found) == ["never_knew", "prune/never_knew", "noise/never_knew"]
    assert found["noise/never_knew"] is held
    plain, pruned = (
        [row.answer_log_probs for row in found[name]["own"]] for name in ("never_knew", "prune/never_knew")
    )
    assert plain != pruned
    every = {"never_knew": held, "prune/never_knew": held, "noise/never_knew": held}
    assert control(data(), evaluations(data()), Untaught(), {}, no_model, tmp_path, attacks, every.get) == every


def no_model():
    raise AssertionError("a model was loaded")


def test_nothing_says_how_it_would_be_taught(make, tmp_path):
    with pytest.raises(UserError, match="the target is the model as it is") as error:
        NeverKnew()(data(), evaluations(data()), Untaught(), MODEL, make, tmp_path)
    assert "controls.never_knew.records=FILE" in error.value.fix and "controls.never_knew=null" in error.value.fix


def test_given_twice():
    with pytest.raises(UserError, match="given twice: hub=a/b, path=c"):
        NeverKnew(hub="a/b", path="c")


def test_needed_where_a_measure_asks_for_it():
    own = NeverKnew(hub="a/b")
    asked, other = evaluations(data()), evaluations(data(), against="start")
    assert isinstance(needed(None, asked), NeverKnew) and isinstance(needed({}, asked), NeverKnew)
    assert needed({NEVER_KNEW: own}, asked) is own
    assert needed({NEVER_KNEW: None}, asked) is None
    assert needed({NEVER_KNEW: own}, other) is None


def test_two_processes_that_want_one_control_wait_for_each_other(tiny_folder, tmp_path):
    program = textwrap.dedent("""
        import sys
        from functools import partial
        from pathlib import Path
        sys.path.insert(0, sys.argv[3])
        from test_never_knew import LORA, MODEL, NeverKnew, Template, data, evaluations, load_source, taught
        make = partial(load_source, "tiny", sys.argv[1], "float32", LORA, Template())
        Path(sys.argv[2]).mkdir()
        NeverKnew()(data(), evaluations(data()), taught(), MODEL, make, Path(sys.argv[2]))
    """)
    here, words = str(Path(__file__).parent), (str(tiny_folder),)
    runs = [
        Started("-c", program, *words, str(tmp_path / name), here, UNLEARNKIT_CACHE=str(tmp_path / "shared"))
        for name in ("first", "second")
    ]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sorted(len(logged(tmp_path / name)) for name in ("first", "second")) == [0, 2]
