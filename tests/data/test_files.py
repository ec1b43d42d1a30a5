"""One's own rows: what is held out, what is said, and what is refused."""

import pytest
from composed import composed
from hydra.utils import instantiate
from own_rows import jsonl, pairs

from unlearnkit.data.files import load
from unlearnkit.errors import UserError
from unlearnkit.run import run
from unlearnkit.runs.checks import bind_streams, check_stages


def test_a_folder_and_the_splits_that_its_files_are_named_after(tmp_path):
    (tmp_path / "retain/.cache").mkdir(parents=True)
    pairs(tmp_path / "retain/train-00000-of-00001.jsonl", 4)
    pairs(tmp_path / "retain/test.jsonl", 3, "place")
    (tmp_path / "retain/README.md").write_text("about")
    (tmp_path / "retain/.cache/x.json").write_text("{")
    data = load(forget=pairs(tmp_path / "f.jsonl", word="name"), retain=str(tmp_path / "retain"))
    assert [row.prompt for row in data.sets["retain"]["test"]] == [f"What is place {n}?" for n in range(3)]
    assert (len(data.sets["retain"]["validation"]), len(data.streams["retain"])) == (1, 3)


def test_what_is_held_out_hangs_on_the_content_alone(tmp_path, capsys):
    forget, rows = pairs(tmp_path / "f.jsonl", 7, "name"), [{"prompt": f"Name {n}?", "answer": "a"} for n in range(20)]
    held = []
    for ordered in (rows, rows[::-1]):
        data = load(forget=forget, retain=jsonl(tmp_path / "r.jsonl", ordered))
        parts = {**data.sets["retain"], "train": data.streams["retain"]}
        held.append({split: {row.prompt for row in part} for split, part in parts.items()})
    assert held[0] == held[1] and {split: len(part) for split, part in held[0].items()} == {
        "validation": 4, "test": 4, "train": 12}  # fmt: skip
    assert set.union(*held[0].values()) == {f"Name {n}?" for n in range(20)}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "Rows of 'files' (held out by their content, forget rows are measured too): forget: 7 trained on, 3 validation,"
        " 4 test; retain: 12 trained on, 4 validation, 4 test"
    )


def test_every_row_of_the_two_sides_may_be_taught(tmp_path):
    data = load(*("files", pairs(tmp_path / "f.jsonl"), pairs(tmp_path / "r.jsonl", 20, "place")))
    held = [row for part in data.sets["retain"].values() for row in part]
    assert data.streams["target"] == [
        *data.streams["forget"],
        *sorted([*data.streams["retain"], *held], key=lambda row: row.id),
    ]


def test_forget_rows_are_all_trained_on_and_measured(tmp_path):
    data = load(forget=pairs(tmp_path / "f.jsonl"), holdout=pairs(tmp_path / "h.jsonl", 6, "place"))
    measured = [row for part in data.sets["forget"].values() for row in part]
    assert len(data.streams["forget"]) == 10 and sorted(row.id for row in measured) == sorted(
        row.id for row in data.streams["forget"]
    )
    assert set(data.streams) == {"forget", "target"} and set(data.sets) == {"forget", "holdout"}
    assert [len(data.sets["holdout"][split]) for split in ("validation", "test")] == [3, 3]
    assert {name: data.role(name) for name in data.sets} == {"forget": "forget", "holdout": "holdout"}


def test_rows_of_one_prompt_stay_together(tmp_path):
    rows = [{"prompt": f"What  is THING {n % 5}", "response": f"Answer {n}"} for n in range(30)]
    data = load(forget=pairs(tmp_path / "f.jsonl"), retain=jsonl(tmp_path / "r.jsonl", rows))
    parts = [data.streams["retain"], *data.sets["retain"].values()]
    prompts = [{row.prompt for row in part} for part in parts]
    assert [len(part) for part in prompts] == [3, 1, 1] and len(set.union(*prompts)) == 5


def test_splits_of_ones_own_and_test_rows_of_a_file(tmp_path):
    splits = ["train", "val", "test", "training", "dev"]
    rows = [{"prompt": f"p{n}", "response": "r", "split": splits[n % 5]} for n in range(10)]
    forget = pairs(tmp_path / "f.jsonl")
    data = load(forget=forget, retain=jsonl(tmp_path / "r.jsonl", rows))
    assert {row.prompt for row in data.streams["retain"]} == {"p0", "p3", "p5", "p8"}
    assert {row.prompt for row in data.sets["retain"]["test"]} == {"p2", "p7"}
    own = load(forget=forget, retain=pairs(tmp_path / "s.jsonl"), test=pairs(tmp_path / "t.jsonl", 4, "place"))
    assert [row.prompt for row in own.sets["retain"]["test"]] == [f"What is place {n}?" for n in range(4)]
    assert (len(own.streams["retain"]), len(own.sets["retain"]["validation"])) == (8, 2)


@pytest.mark.parametrize("ending", ["jsonl", "txt"])
def test_plain_text_is_trained_on_whole_and_measured_as_a_sentence_to_complete(ending, tmp_path):
    texts = [f"Paragraph {n} tells of towns and rivers." for n in range(6)]
    path = tmp_path / f"f.{ending}"
    path.write_text("\n\n".join(texts)) if ending == "txt" else jsonl(path, [{"text": text} for text in texts])
    data = load(forget=str(path))
    assert [(row.prompt, row.response) for row in data.streams["forget"]] == [("", text) for text in texts]
    asked = [row for part in data.sets["forget"].values() for row in part]
    assert {(row.prompt, row.response) for row in asked} == {
        (f"Paragraph {n} tells", "of towns and rivers.") for n in range(6)
    }


def test_long_text_is_trained_on_in_pieces(tmp_path):
    path = jsonl(tmp_path / "f.jsonl", [{"id": "book", "text": " ".join(f"w{n}" for n in range(25))}])
    rows = load(forget=path, words=10).streams["forget"]
    assert [(row.id, len(row.response.split())) for row in rows] == [("book-1", 10), ("book-2", 10), ("book-3", 5)]


def test_overlap_is_said_by_normalised_text(tmp_path, capsys):
    forget = pairs(tmp_path / "f.jsonl", 5)
    retain = jsonl(
        tmp_path / "r.jsonl",
        [{"prompt": f"what is  THING {n} ?!", "response": "else"} for n in (3, 4)]
        + [{"prompt": f"p{n}", "response": "r"} for n in range(4)],
    )
    test = jsonl(tmp_path / "t.jsonl", [{"prompt": "P0", "response": "r"}, {"prompt": "t", "response": "r"}])
    load(forget=forget, retain=retain, test=test)
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"Overlap: 2 of 5 rows of forget are in retain too, by their prompt or text ({forget}:4)",
        f"Overlap: 1 of 6 rows of retain are in test too, by their prompt or text ({retain}:3)",
    ]


def test_a_row_in_two_splits_of_one_file_is_said(tmp_path, capsys):
    forget, place = pairs(tmp_path / "f.jsonl", 5), tmp_path / "r.jsonl"
    rows = [{"prompt": f"p{n}", "response": "r"} for n in range(8)]
    held = [{"prompt": "P 0", "response": "r", "split": "test"}, {"prompt": "P7 ?", "response": "r", "split": "test"}]
    load(forget=forget, retain=jsonl(place, [*rows, *held, {"prompt": "p1", "response": "r", "split": "validation"}]))
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"Overlap: 1 of 2 test rows of retain are trained on too, by their prompt or text ({place}:10)",
        f"Overlap: 1 of 1 validation rows of retain are trained on too, by their prompt or text ({place}:11)",
    ]


def test_one_id_in_two_splits_is_refused(tmp_path):
    rows = [{"id": 1, "prompt": "p", "response": "r", "split": split} for split in ("train", "test")]
    with pytest.raises(UserError, match=r"f\.jsonl:2: the id '1' is that of .*f\.jsonl:1 too, and their splits differ"):
        load(forget=jsonl(tmp_path / "f.jsonl", rows))


def test_the_same_row_twice_under_one_id_counts_once(tmp_path):
    rows = [{"id": n % 3, "prompt": f"p{n % 3}", "response": "r"} for n in range(6)]
    assert [row.id for row in load(forget=jsonl(tmp_path / "f.jsonl", rows)).streams["forget"]] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "data=files has no rows to forget"),
        ({"forget": "nowhere.jsonl"}, "No file or folder at nowhere.jsonl"),
        ({"forget": "https://example.org/f.jsonl"}, "is no address that data are read from"),
        ({"forget": "F", "columns": {"prompt": "q"}}, "f.jsonl:1: no column 'q'; it has: prompt, response"),
        ({"forget": "F", "test": "F"}, "data.test= holds test rows for data.retain=, which is not set"),
        ({"forget": "F", "retain": "S"}, "data.retain= has 2 different prompts, too few to hold out test and valid"),
    ],
)
def test_settings_that_do_not_fit(settings, said, tmp_path):
    known = {"F": pairs(tmp_path / "f.jsonl"), "S": pairs(tmp_path / "s.jsonl", 2)}
    with pytest.raises(UserError) as raised:
        load(**{key: known.get(value, value) if isinstance(value, str) else value for key, value in settings.items()})
    assert said in raised.value.what


@pytest.mark.parametrize("evaluation", ["files", "safety"])
@pytest.mark.parametrize("kind", ["pairs", "text"])
def test_a_run_is_measured_by_sides(evaluation, kind, tmp_path):
    row = {"pairs": '{{"prompt": "{0} {1}?", "response": "So {1}."}}', "text": '{{"text": "{0} {1} is so."}}'}[kind]
    for side in ("forget", "retain", "holdout", "general"):
        (tmp_path / f"{side}.jsonl").write_text("\n".join(row.format(side, n) for n in range(6)))
    sides = [f"data.{side}={tmp_path / side}.jsonl" for side in ("forget", "retain", "holdout", "general")]
    metrics = run(
        composed(
            "+method=ga_gd", "data=files", *sides, "model=tiny", "logger=none", "train.max_steps=2", "eval_every=1",
            f"eval={evaluation}", f"eval.{evaluation}.max_new_tokens=4",
        ),
        tmp_path / "run",
    )  # fmt: skip
    found = {name: set(numbers) for name, numbers in metrics["after"][evaluation].items()}
    if evaluation == "files":
        measures = {"success", "answer_perplexity", "rouge_l", "similarity"}
        assert found == dict.fromkeys(("forget", "retain", "holdout", "general"), measures)
        assert metrics["after"]["files"]["forget"]["success"]["n"] == 3
    else:
        assert set(found) == {"forget", "holdout", "retain"} and "harmful_rate" in found["forget"]


def test_a_method_that_needs_retain_says_how_to_give_it(tmp_path):
    data = load(forget=pairs(tmp_path / "f.jsonl"))
    cfg = composed("+method=ga_gd", "data=files", "model=tiny")
    with pytest.raises(UserError) as raised:
        check_stages(instantiate(cfg.stages, _convert_="all"), bind_streams(data, {}))
    assert raised.value.what.startswith("Unknown stream 'retain' in stages.finetune.terms.retain.stream. Valid: forget")
    assert raised.value.fix.startswith("Give such rows, data.retain=FILE with data=files")


def test_a_derived_stream_that_needs_retain_says_so_too(tmp_path):
    cfg = composed("+method=ga_mismatch", "data=files", "model=tiny")
    with pytest.raises(UserError) as raised:
        bind_streams(load(forget=pairs(tmp_path / "f.jsonl")), instantiate(cfg.streams, _convert_="all"))
    assert raised.value.what == "Unknown stream 'retain'. The data has: forget, target"
    assert raised.value.fix.startswith("Give such rows, data.retain=FILE with data=files")


def test_rows_that_are_repeated_are_measured_once(tmp_path, capsys):
    """Ten observations of two prompts would have an interval of half the width."""
    rows = [{"prompt": f"What is {n}?", "response": f"It is {n}."} for n in range(4)]
    again = [*rows * 5, {"prompt": "What is 0?", "response": "It is zero."}]
    data = load(forget=jsonl(tmp_path / "f.jsonl", again), retain=jsonl(tmp_path / "r.jsonl", rows))
    assert len(data.streams["forget"]) == 21
    asked = [row.response for split in data.sets["forget"].values() for row in split]
    assert sorted(asked) == ["It is 0.", "It is 1.", "It is 2.", "It is 3.", "It is zero."]
    assert (
        "Repeated: 16 measured rows of forget say what another says, and are measured once" in capsys.readouterr().out
    )
