"""Local files of the general tasks become the harness's documents; what is missing or malformed is named."""

import ast
import csv
import json
import shutil
from pathlib import Path

import pytest

from unlearnkit.errors import UserError
from unlearnkit.general import rows
from unlearnkit.general.local import FILES, generate

REAL = Path(__file__).parents[3] / "shared/data/general"


@pytest.fixture
def files(written, tmp_path):
    shutil.copytree(written, tmp_path / "general")
    return tmp_path / "general"


def test_documents(written):
    assert rows.mmlu(written)["philosophy"]["test"][1] == {
        "question": "What, in\nphilosophy, is 1?", "choices": ["one", "two, or more", "three", "four"], "answer": 1,
    }  # fmt: skip
    assert rows.mmlu(written)["marketing"]["dev"][0] == {"question": "Dev 0?", "choices": list("abcd"), "answer": 1}
    assert rows.arc_challenge(written)["test"][3] == {
        "id": "a3", "question": "Which is 3?", "answerKey": "3",
        "choices": {"text": ["part 1", "part 2", "part 3"], "label": ["1", "2", "3"]},
    }  # fmt: skip
    assert rows.social_iqa(written)["validation"][0] == {
        "context": "Ann met 0.", "question": "Why?", "answerA": "to eat", "answerB": "to go", "answerC": "to see",
        "label": "3",
    }  # fmt: skip
    articles = rows.race(written)["test"]
    assert [row["article"] for row in articles] == [f"Article {n}." for n in range(1, 12)]  # by number, not by letter
    assert ast.literal_eval(articles[0]["problems"])[1] == {
        "question": "It's 1, 'or' not?", "answer": "C", "options": ["yes", "no", "both", "none"],
    }  # fmt: skip
    assert rows.truthfulqa(written)["validation"][2] == {
        "question": "Is 2 so?",
        "mc1_targets": {"choices": ["It is not", "It is", "It is always"], "labels": [1, 0, 0]},
        "mc2_targets": {"choices": ["It is not", "No, never", "It is", "It is always"], "labels": [1, 1, 0, 0]},
    }


def test_truthfulqa_is_found_in_or_beside_the_folder(files):
    expected = rows.truthfulqa(files)
    (files / "truthfulqa").rename(files.parent / "truthfulqa")
    assert rows.truthfulqa(files) == expected
    shutil.move(files.parent / "truthfulqa" / "TruthfulQA.csv", files)
    assert rows.truthfulqa(files) == expected


def spoil(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("mmlu/test/philosophy_test.csv", "four,1", "four,7", "philosophy_test.csv:5: 'answer' is none of 0, 1, 2, 3"),
        ("mmlu/dev/marketing_dev.csv", "choice3", "choice9", "marketing_dev.csv:2: the field 'choice3' is missing"),
        ("arc_challenge_test.jsonl", '"answerKey": "B"', '"answerKey": "F"', "test.jsonl:2: 'answerKey' is none of A"),
        ("arc_challenge_test.jsonl", '"stem"', '"stam"', "test.jsonl:1: no question with stem"),
        ("arc_challenge_test.jsonl", '"id": "a1"', '"id": a1', "test.jsonl:2: not JSON"),
        ("social_iqa/dev.jsonl", '"to go", ', "", "dev.jsonl:1: 'options' is no list of three"),
        ("social_iqa/dev-labels.lst", "3\n", "4\n", "dev-labels.lst:1: the label is none of"),
        ("social_iqa/dev-labels.lst", "3\n", "", "has 2 labels for 3 rows"),
        ("race/high/7.txt", '"answers": ["A", ', '"answers": [', "7.txt:1: no article with as many questions"),
        ("truthfulqa/TruthfulQA.csv", "It is; It is always; It is", " ; ", "TruthfulQA.csv:2: no correct or no"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(files, file, old, new, said):
    spoil(files / file, old, new)
    with pytest.raises(UserError) as caught:
        generate(files, list(FILES))
    assert said in caught.value.what and caught.value.fix


@pytest.mark.parametrize(
    ("file", "task"),
    [
        ("mmlu/dev/philosophy_dev.csv", "mmlu"),
        ("mmlu/test", "mmlu"),
        ("arc_challenge_test.jsonl", "arc_challenge"),
        ("social_iqa/dev-labels.lst", "social_iqa"),
        ("race", "race"),
        ("truthfulqa", "truthfulqa"),
    ],
)
def test_a_missing_file_is_named_with_its_task(files, file, task):
    path = files / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=f"no data for the task '{task}': there is no .*{path.name.split('.')[0]}"):
        generate(files, list(FILES))
    generate(files, [name for name in FILES if not name.startswith(task)])  # the others need it not


def test_a_subject_that_mmlu_has_not(files):
    for split in ("dev", "test"):
        (files / "mmlu" / split / f"marketing_{split}.csv").rename(files / "mmlu" / split / f"marketting_{split}.csv")
    with pytest.raises(UserError, match="MMLU has no subject 'marketting'. Did you mean 'marketing'"):
        generate(files, ["mmlu"])


def test_the_same_rows_are_written_once_and_others_elsewhere(files):
    first = generate(files, ["race"])
    assert generate(files, ["race"]) == first
    spoil(files / "race" / "high" / "7.txt", "Article 7", "Article seven")
    assert generate(files, ["race"]) != first


@pytest.mark.skipif(not REAL.is_dir(), reason="the original files are not here")
def test_the_original_files():
    assert {subject: len(splits["test"]) for subject, splits in rows.mmlu(REAL).items()} == {
        "college_computer_science": 100, "high_school_biology": 310, "high_school_world_history": 237,
        "marketing": 234, "philosophy": 311, "us_foreign_policy": 100,
    }  # fmt: skip
    assert all(len(splits["dev"]) == 5 for splits in rows.mmlu(REAL).values())
    assert len(rows.arc_challenge(REAL)["test"]) == 1150
    assert len(rows.social_iqa(REAL)["validation"]) == 1954
    assert len(rows.race(REAL)["test"]) == 80
    assert len(rows.truthfulqa(REAL)["validation"]) == 817


def test_mmlu_as_its_authors_ship_it(files):
    """No line of names, letters for answers, all of it below data/."""
    expected = rows.mmlu(files)
    for file in (files / "mmlu").rglob("*.csv"):
        found = list(csv.reader(file.open(newline="")))[1:]
        with file.open("w", newline="") as out:
            csv.writer(out).writerows([[*row[:5], "ABCD"[int(row[5])]] for row in found])
    assert rows.mmlu(files) == expected
    (files / "mmlu").rename(files / "data")
    (files / "mmlu").mkdir()
    (files / "data").rename(files / "mmlu" / "data")
    assert rows.mmlu(files) == expected
    spoil(files / "mmlu/data/test/marketing_test.csv", ",A\n", ",E\n")
    with pytest.raises(UserError, match="marketing_test.csv:.*'answer' is none of 0, 1, 2, 3 or A, B, C, D"):
        rows.mmlu(files)


def test_social_iqa_as_its_authors_ship_it(files):
    expected, file = rows.social_iqa(files), files / "social_iqa/dev.jsonl"
    found = [json.loads(line) for line in file.open()]
    for row in found:
        row |= dict(zip(("answerA", "answerB", "answerC"), row.pop("options"), strict=True))
    file.write_text("".join(json.dumps(row) + "\n" for row in found))
    assert rows.social_iqa(files) == expected
    spoil(file, '"answerB"', '"answerD"')
    with pytest.raises(UserError, match="dev.jsonl:1: 'options' is no list of three strings"):
        rows.social_iqa(files)
