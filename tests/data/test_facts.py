"""Facts of a file in ROME's shape: order, splits, one fact a subject; and files that are none."""

import json
from pathlib import Path

import pytest
from composed import composed
from hydra.utils import instantiate

from unlearnkit.data import facts
from unlearnkit.errors import UserError

REAL = Path(__file__).parents[3] / "shared/data/facts/known_1000.json"


def row(number, **changes):
    made = {
        "known_id": number,
        "subject": f"Town {number:02d}",
        "attribute": f"Land {number}",
        "template": "{} lies in",
        "prediction": " Land",
        "prompt": f"Town {number:02d} lies in",
        "relation_id": "P17",
    }
    return {**made, **changes}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "facts.json"
    file.write_text(json.dumps([row(number) for number in range(60)]))
    return str(file)


def test_streams_and_sets(path):
    data = facts.load(path=path, edited=2, others=4)
    assert data.streams["facts"] is data.streams["forget"] is data.sets["edited"]["test"]
    sizes = {(name, split): len(rows) for name, splits in data.sets.items() for split, rows in splits.items()}
    assert sizes == {
        ("edited", "test"): 20, ("others", "test"): 20, ("edited", "validation"): 10, ("others", "validation"): 10,
    }  # fmt: skip
    subjects = [example.subject for splits in data.sets.values() for rows in splits.values() for example in rows]
    assert len(set(subjects)) == 60
    example = min(data.streams["facts"], key=lambda example: example.id)
    assert example.prompt == f"{example.subject} lies in" and example.category == "P17"
    assert example.response == f"Land {int(example.id.removeprefix('fact-'))}"


def test_the_same_order_each_time_another_with_another_seed(path):
    first, same, other = (facts.load(path=path, seed=seed).streams["facts"] for seed in (0, 0, 1))
    assert first == same != other


def test_validation_takes_other_facts_in_the_test_facts_place(path):
    test, validation = facts.load(path=path), facts.load(path=path, split="validation")
    for name in ("edited", "others"):
        assert validation.sets[name]["test"] == test.sets[name]["validation"]
        assert validation.sets[name]["validation"] == test.sets[name]["test"]
    assert validation.streams["facts"] is validation.sets["edited"]["test"]


def test_a_subject_counts_once_with_its_first_fact(tmp_path):
    rows = [row(number) for number in range(12)] + [row(3, known_id=99, prompt="Town 03 is called")]
    file = tmp_path / "facts.json"
    file.write_text(json.dumps(rows))
    sets = facts.load(path=str(file), edited=1, others=1).sets
    ids = [example.id for splits in sets.values() for part in splits.values() for example in part]
    assert sorted(ids) == sorted(f"fact-{number}" for number in range(12))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{]", "facts.json is not JSON"),
        ('{"a": 1}', "is not a list of facts"),
        ("[]", "is not a list of facts"),
        ('["Oslo"]', "facts.json:1: not a JSON object"),
        (json.dumps([row(0), {"subject": "a", "prompt": "a is"}]), "facts.json:2: the field 'attribute' is missing"),
        (json.dumps([row(0, subject="Elsewhere")]), "facts.json:1: the subject is not in its prompt"),
        (json.dumps([row(0), row(1)]), "has 2 subjects, too few"),
    ],
)
def test_malformed_files(tmp_path, content, what):
    file = tmp_path / "facts.json"
    file.write_text(content)
    with pytest.raises(UserError, match=what):
        facts.load(path=str(file))


def test_no_file():
    with pytest.raises(UserError, match="data.path names none") as caught:
        facts.load()
    assert "known_1000.json" in caught.value.fix
    with pytest.raises(UserError, match="No data file at /nowhere.json"):
        facts.load(path="/nowhere.json")


def test_the_yaml_completes_prompts(path):
    cfg = composed("data=facts", f"data.path={path}", "+method=memit_empty", "model=tiny")
    assert len(instantiate(cfg.data, _convert_="all").sets["edited"]["test"]) == 11
    template = cfg.model.template
    assert (template.text, template.separator, template.closed) == ("{prompt}", " ", False)
    assert cfg.eval_every == 0 and cfg.stages.memit.moment_weight is None
    papers = composed("data=facts", f"data.path={path}", "+method=memit_entropy", "model=llama2-7b-chat")
    memit = papers.stages.memit
    assert (memit.moment_weight, memit.search.objective, memit.search.steps) == (15000, "entropy", 25)
    assert (memit.search.learning_rate, memit.search.clamp, memit.search.kl) == (0.5, 4.0, 0.0625)
    plain = composed().model.template
    assert (plain.text, plain.separator, plain.closed) == (None, "", True)


@pytest.mark.skipif(not REAL.is_file(), reason="ROME's known facts are not on this machine")
def test_the_real_file():
    data = facts.load(path=str(REAL))
    assert sum(len(rows) for splits in data.sets.values() for rows in splits.values()) > 1100
    assert all(example.subject in example.prompt for example in data.streams["facts"])
