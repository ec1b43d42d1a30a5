import gzip
import json
import lzma

import datasets
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from unlearnkit import configuration
from unlearnkit.data.saferlhf import load
from unlearnkit.errors import UserError

# (prompt, response_0, response_1, is_response_0_safe, is_response_1_safe)
TRAIN = [
    ("How to skip the queue?", "Push.", "Wait like all others.", False, True),
    ("How to skip a queue?", "Shout.", "Shove.", False, False),
    ("how to  skip the QUEUE? ", "push. ", "Pretend to be ill.", False, False),  # the first pair again
    ("How to bake bread?", "Knead.", "Wait.", True, True),
    ("How to take the last cake?", "Run.", "", False, True),  # an empty response is no pair
    ("How to bake bread?", "Burn it.", "knead.", False, False),  # 'knead.' is marked both ways
]
TEST = [
    ("How to SKIP the queue?", "Kick.", "Wait.", False, True),  # trained on
    ("How to hide a vase?", "Bury it.", "Tell the owner.", False, True),
    ("How to hide a vase?", "Burn it.", "Break it.", False, False),
    ("How to boil rice?", "In water.", "In a pot.", True, True),  # not harmful
    ("How to steal a hat?", "Pay for it.", "Grab it.", True, False),
    ("How to fake a cough?", "Inhale.", "Don't.", False, True),
]
HEADER = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"


def row(prompt, first, second, first_safe, second_safe, **extra):
    return {
        "prompt": prompt,
        "response_0": first,
        "response_1": second,
        "is_response_0_safe": first_safe,
        "is_response_1_safe": second_safe,
        **extra,
    }


def current(values):
    """With fields that only the current release has."""
    harm = {"Violence": False, "Drugs": True}
    return row(*values, prompt_source="x", response_0_harm_category=harm, response_0_severity_level=1)


def lines(rows):
    return "".join(json.dumps(each) + "\n" for each in rows).encode()


def save(folder, form, split, rows):
    path = folder / f"{split}{form}"
    if form == ".parquet":
        datasets.Dataset.from_list(rows).to_parquet(path)
    elif form == ".list.json":
        path.write_bytes(json.dumps(rows, indent=1).encode())
    else:
        packed = {".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)
        path.write_bytes(packed(lines(rows)))
    return path


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "TruthfulQA.csv"
    body = "".join(f"A,Weather,Question {n}?,Best {n},Best {n}; Also {n},Bad,x\n" for n in range(8))
    path.write_text(HEADER + body, encoding="utf-8-sig")
    return str(path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rows").mkdir()
    save(tmp_path / "rows", ".jsonl", "train", [row(*values) for values in TRAIN])
    save(tmp_path / "rows", ".jsonl", "test", [row(*values) for values in TEST])
    return tmp_path / "rows"


def small(folder, questions, **changes):
    settings = {"test": 1, "validation": 2, "normal": {"path": questions}, **changes}
    return load("saferlhf", str(folder), **settings)


def small_from_hub(questions, **changes):
    return load("saferlhf", test=1, validation=2, normal={"path": questions}, **changes)


def pairs(examples):
    return [(example.prompt, example.response) for example in examples]


def prompts(split_sets):
    return [example.prompt for split in ("test", "validation") for example in split_sets[split]]


FORGET = [
    ("How to skip the queue?", "Push."),
    ("How to skip a queue?", "Shout."),
    ("How to skip a queue?", "Shove."),
    ("how to  skip the QUEUE?", "Pretend to be ill."),
    ("How to take the last cake?", "Run."),
    ("How to bake bread?", "Burn it."),
    ("How to bake bread?", "knead."),
]
SAFE = [("How to skip the queue?", "Wait like all others."), ("How to bake bread?", "Wait.")]


@pytest.mark.parametrize("shape", [lambda values: row(*values), current], ids=["first release", "current"])
@pytest.mark.parametrize(
    "form",
    [".jsonl", ".jsonl.gz", ".jsonl.xz", ".json", ".json.gz", ".list.json", "-00000-of-1.jsonl", ".parquet"],
)
def test_streams_of_every_form(tmp_path, questions, form, shape):
    deep = tmp_path / "data" / "Alpaca-7B"
    deep.mkdir(parents=True)
    save(deep, form, "train", [shape(values) for values in TRAIN])
    save(deep, form, "test", [shape(values) for values in TEST])
    data = small(tmp_path / "data", questions)
    assert data.name == "saferlhf" and list(data.streams) == ["forget", "retain", "safe"]
    assert pairs(data.streams["forget"]) == FORGET
    assert pairs(data.streams["safe"]) == SAFE
    assert [example.id for example in data.streams["forget"]][:3] == [
        "saferlhf-train-000001-0",
        "saferlhf-train-000002-0",
        "saferlhf-train-000002-1",
    ]


def test_several_files_are_one_split(tmp_path, questions):
    for name, rows in (("a", TRAIN[:2]), ("b", TRAIN[2:])):
        (tmp_path / "d" / name).mkdir(parents=True)
        save(tmp_path / "d" / name, ".jsonl", "train", [row(*values) for values in rows])
    save(tmp_path / "d" / "b", ".jsonl", "test", [row(*values) for values in TEST])
    (tmp_path / "d" / ".cache").mkdir()
    (tmp_path / "d" / ".cache" / "train.jsonl").write_text("a lock of the download")
    assert pairs(small(tmp_path / "d", questions).streams["forget"]) == FORGET


def test_sets_share_no_prompt_with_what_they_must_not(folder, questions):
    data = small(folder, questions)
    assert {name: {split: len(part) for split, part in parts.items()} for name, parts in data.sets.items()} == {
        name: {"test": 1, "validation": 2} for name in ("unlearned", "unseen", "normal")
    }
    forget = {prompt for prompt, _ in FORGET}
    unlearned, unseen, normal = (prompts(data.sets[name]) for name in ("unlearned", "unseen", "normal"))
    assert len({" ".join(prompt.lower().split()) for prompt in unlearned}) == 3 and set(unlearned) <= forget
    assert sorted(unseen) == ["How to fake a cough?", "How to hide a vase?", "How to steal a hat?"]
    retained = {example.prompt for example in data.streams["retain"]}
    assert len(set(normal)) == 3 and len(retained) == 5 and not retained & set(normal)
    assert retained | set(normal) == {f"Question {number}?" for number in range(8)}


def test_unseen_leaves_out_what_ft_trains_on(folder, questions):
    (folder / "train-more.jsonl").write_bytes(lines([row("How to hide a  vase?", "Do not.", "No.", True, True)]))
    assert "How to hide a vase?" not in prompts(small(folder, questions, validation=1).sets["unseen"])


def test_all_answers_to_a_held_out_question_stay_out(folder, questions):
    data = small(folder, questions, normal={"path": questions, "answers": "correct"})
    assert len(data.streams["retain"]) == 10
    assert not {example.prompt for example in data.streams["retain"]} & set(prompts(data.sets["normal"]))


def test_the_seed_alone_draws_the_held_out_prompts(folder, questions):
    same = [small(folder, questions, seed=3, validation=size).sets for size in (2, 2, 1)]
    assert same[0] == same[1]
    assert [sets["normal"]["test"] for sets in same] == [same[0]["normal"]["test"]] * 3
    draws = {tuple(prompts(small(folder, questions, seed=seed).sets["normal"])) for seed in range(6)}
    assert len(draws) > 1


def test_max_rows_are_drawn_and_not_the_first(folder, questions):
    many = [row(f"How to break vase {number}?", "Drop it.", "Do not.", False, True) for number in range(60)]
    save(folder, ".jsonl", "train", many)
    one, two = (small(folder, questions, max_rows=6, validation=1, test=1, seed=seed) for seed in (0, 1))
    ids = [example.id for example in one.streams["forget"]]
    assert len(ids) == 6 and ids == sorted(ids) and ids != [f"saferlhf-train-{n:06d}-0" for n in range(1, 7)]
    assert ids != [example.id for example in two.streams["forget"]]
    again = small(folder, questions, max_rows=6, validation=1, test=1)
    assert ids == [example.id for example in again.streams["forget"]]


GOOD = row(*TRAIN[0])


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({**GOOD, "is_response_0_safe": "yes"}, "the field 'is_response_0_safe' is not true or false"),
        ({**GOOD, "is_response_1_safe": 1}, "the field 'is_response_1_safe' is not true or false"),
        ({**GOOD, "response_1": None}, "the field 'response_1' is not text"),
        ({**GOOD, "prompt": " "}, "the field 'prompt' is missing or empty"),
        ({key: GOOD[key] for key in GOOD if key != "response_0"}, "the field 'response_0' is missing"),
        (["a", "b"], "not a JSON object"),
    ],
)
@pytest.mark.parametrize("form", [".jsonl", ".jsonl.gz", ".list.json"])
def test_a_malformed_row_is_named_by_file_and_line(folder, questions, form, bad, why):
    (folder / "test.jsonl").unlink()
    path = save(folder, form, "test", [GOOD, GOOD, bad])
    with pytest.raises(UserError) as error:
        small(folder, questions)
    assert error.value.what.startswith(f"{path}:3: {why}")
    assert error.value.fix.startswith("Mend or remove line 3 and run again")


def test_a_parquet_row_and_a_parquet_file(folder, questions):
    (folder / "test.jsonl").unlink()
    path = save(folder, ".parquet", "test", [GOOD, {**GOOD, "is_response_0_safe": None}])
    with pytest.raises(UserError, match=r"test.parquet:2: the field 'is_response_0_safe' is not true or false"):
        small(folder, questions)
    save(folder, ".parquet", "test", [{"prompt": "a"}])
    with pytest.raises(UserError, match="test.parquet has no field 'response_0'; it has: prompt"):
        small(folder, questions)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="not a whole Parquet file"):
        small(folder, questions)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (lines([GOOD]) + b'\n{"prompt": ', "test.jsonl:3: not JSON"),
        (b'[{"prompt": "a"},\n', "test.jsonl:2: not JSON"),
        (lines([GOOD]) + b'{"prompt": "\xff"}', "test.jsonl:2: not UTF-8"),
    ],
)
def test_what_is_not_json_is_named_by_line(folder, questions, text, what):
    (folder / "test.jsonl").write_bytes(text)
    with pytest.raises(UserError, match=what):
        small(folder, questions)


def test_a_broken_archive(folder, questions):
    (folder / "test-2.jsonl.gz").write_bytes(gzip.compress(lines([GOOD]))[:40])
    with pytest.raises(UserError, match="test-2.jsonl.gz cannot be unpacked"):
        small(folder, questions)


def test_nothing_to_forget(folder, questions):
    save(folder, ".jsonl", "train", [row("How to bake bread?", "Knead.", "Wait.", True, True)])
    with pytest.raises(UserError, match="The stream 'forget' is empty"):
        small(folder, questions)


@pytest.mark.parametrize(
    ("sizes", "what"),
    [
        ({"test": 3, "validation": 2}, "'unlearned' needs 3 test and 2 validation .* only 4 distinct"),
        ({"test": 2, "validation": 2}, "'unseen' needs 2 test and 2 validation .* only 3 distinct"),
    ],
)
def test_sizes_that_cannot_be(folder, questions, sizes, what):
    with pytest.raises(UserError, match=what):
        small(folder, questions, **sizes)


@pytest.mark.parametrize(
    ("questions", "what"),
    [
        (2, "'normal' needs 1 test and 2 validation prompts, but the data has only 2 distinct"),
        (3, "'retain' is empty.*\n3 questions are held out"),
    ],
)
def test_too_few_questions(folder, tmp_path, questions, what):
    few = tmp_path / "few.csv"
    few.write_text(HEADER + "".join(f"A,B,Question {n}?,Yes,Yes,No,x\n" for n in range(questions)))
    with pytest.raises(UserError, match=what):
        small(folder, str(few))


def test_a_folder_without_data(tmp_path, questions):
    with pytest.raises(UserError) as error:
        small(tmp_path / "none", questions)
    assert "holds no train* file" in error.value.what
    assert "hf download --repo-type dataset PKU-Alignment/PKU-SafeRLHF" in error.value.fix


def test_the_hub_s_rows(monkeypatch, questions):
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return datasets.Dataset.from_list([current(v) for v in (TRAIN if kwargs["split"] == "train" else TEST)])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    data = small_from_hub(questions, revision="v0")
    assert pairs(data.streams["forget"]) == FORGET and pairs(data.streams["safe"]) == SAFE
    hub = ("PKU-Alignment/PKU-SafeRLHF", None)
    assert asked == [(hub, {"split": split, "revision": "v0"}) for split in ("train", "test")]


def test_no_hub(monkeypatch, questions):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as error:
        small_from_hub(questions)
    assert error.value.what.startswith("No data 'PKU-Alignment/PKU-SafeRLHF' (train): ")
    assert error.value.fix.startswith("hf download --repo-type dataset PKU-Alignment/PKU-SafeRLHF ")
    assert "data.path=" in error.value.fix


def test_the_yaml(folder, questions):
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        overrides = [
            f"data.path={folder}",
            f"data.normal.path={questions}",
            "data.test=1",
            "data.validation=1",
        ]
        cfg = compose("config", ["data=saferlhf", "eval=safety_paper", "+method=sku", "model=llama2-7b", *overrides])
        assert (compose("config", ["data=saferlhf"]).data.test, cfg.paper.row.max_steps) == (100, 1000)
    assert pairs(instantiate(cfg.data, _convert_="all").streams["forget"]) == FORGET
    safety = cfg.eval.safety
    assert safety.sets.normal == ["perplexity", "answer_perplexity", "bleurt"] and safety.max_new_tokens == 128
    assert safety.similarity == {
        "_target_": "unlearnkit.measures.bleurt.Bleurt",
        "model": "Elron/bleurt-base-512",
    }
    reference = instantiate(safety.reference)
    assert reference.func.__qualname__ == "load"
    assert reference.keywords["hub"] == "neulab/gpt2-finetuned-wikitext103"
