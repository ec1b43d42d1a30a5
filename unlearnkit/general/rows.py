"""Local files of the general tasks -> the documents that the harness's own tasks read from the hub."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unlearnkit.data.examples import check_row, malformed, read_jsonl
from unlearnkit.data.rows import rows as read_rows
from unlearnkit.errors import UserError

Documents = dict[str, list[dict[str, Any]]]  # split -> documents

MMLU_COLUMNS = ("question", "choice0", "choice1", "choice2", "choice3", "answer")
TRUTHFULQA_COLUMNS = ("Question", "Best Answer", "Correct Answers", "Incorrect Answers")
LETTERS = ("A", "B", "C", "D")


def mmlu(folder: Path) -> dict[str, Documents]:
    """Subject -> dev and test documents, of `mmlu/{dev,test}/SUBJECT_{dev,test}.csv`, or `mmlu/data/...`.

    A file has a line of names (question, choice0 to choice3, answer from 0 to 3), or none, as the authors ship it:
    question, four choices, and the answer's letter.
    """
    top = folder / "mmlu" / "data" if (folder / "mmlu" / "data" / "test").is_dir() else folder / "mmlu"
    tests = sorted((top / "test").glob("*_test.csv"))
    if not tests:
        raise missing("mmlu", folder / "mmlu" / "test" / "SUBJECT_test.csv")
    subjects = [path.name.removesuffix("_test.csv") for path in tests]
    return {
        subject: {
            split: [_mmlu_row(*row) for row in _csv(top / split / f"{subject}_{split}.csv", "mmlu", MMLU_COLUMNS)]
            for split in ("dev", "test")
        }
        for subject in subjects
    }


def _mmlu_row(path: Path, number: int, row: dict[str, str]) -> dict[str, Any]:
    check_row(row, MMLU_COLUMNS, path, number)
    if row["answer"] in LETTERS:
        row = {**row, "answer": str(LETTERS.index(row["answer"]))}
    if row["answer"] not in ("0", "1", "2", "3"):
        raise malformed(path, number, "'answer' is none of 0, 1, 2, 3 or A, B, C, D", row["answer"])
    choices = [row[f"choice{place}"] for place in range(4)]
    return {"question": row["question"], "choices": choices, "answer": int(row["answer"])}


def arc_challenge(folder: Path) -> Documents:
    """Of `arc_challenge_test.jsonl`, in AI2's form."""
    path = folder / "arc_challenge_test.jsonl"
    if not path.is_file():
        raise missing("arc_challenge", path)
    documents = []
    for number, row in enumerate(read_jsonl(path, ("id", "answerKey")), start=1):
        try:
            stem, choices = row["question"]["stem"], row["question"]["choices"]
            text, label = [str(c["text"]) for c in choices], [str(c["label"]) for c in choices]
        except (KeyError, TypeError):
            raise malformed(path, number, "no question with stem and choices of text and label", str(row)) from None
        if row["answerKey"] not in label:
            raise malformed(path, number, f"'answerKey' is none of {', '.join(label)}", row["answerKey"])
        fields = {"id": row["id"], "question": stem, "choices": {"text": text, "label": label}}
        documents.append({**fields, "answerKey": row["answerKey"]})
    return {"test": documents}


def social_iqa(folder: Path) -> Documents:
    """Of `social_iqa/dev.jsonl` and `social_iqa/dev-labels.lst`; a label is 1, 2 or 3.

    A row has `options`, or answerA, answerB and answerC, as the authors ship it.
    """
    path, labels = folder / "social_iqa" / "dev.jsonl", folder / "social_iqa" / "dev-labels.lst"
    for file in (path, labels):
        if not file.is_file():
            raise missing("social_iqa", file)
    rows, numbers = read_jsonl(path, ("context", "question")), labels.read_text().split()
    if len(rows) != len(numbers):
        raise UserError(f"{labels} has {len(numbers)} labels for {len(rows)} rows of {path}", "Get both files again")
    documents = []
    for number, (row, label) in enumerate(zip(rows, numbers, strict=True), start=1):
        options = row.get("options") or [row.get(name) for name in ("answerA", "answerB", "answerC")]
        if not (isinstance(options, list) and len(options) == 3 and all(isinstance(o, str) for o in options)):
            raise malformed(path, number, "'options' is no list of three strings", str(options))
        if label not in ("1", "2", "3"):
            raise malformed(labels, number, "the label is none of 1, 2, 3", label)
        if row.get("answer", options[int(label) - 1]) != options[int(label) - 1]:
            raise malformed(path, number, f"'answer' is not option {label}, which {labels.name} names", row["answer"])
        answers = dict(zip(("answerA", "answerB", "answerC"), options, strict=True))
        documents.append({"context": row["context"], "question": row["question"], **answers, "label": label})
    return {"validation": documents}


def race(folder: Path) -> Documents:
    """Of `race/high/*.txt`, an article each, by number; the harness asks an article's last question."""
    paths = sorted((folder / "race" / "high").glob("*.txt"), key=lambda path: (len(path.stem), path.stem))
    if not paths:
        raise missing("race", folder / "race" / "high" / "*.txt")
    documents = []
    for path in paths:
        rows = read_jsonl(path, ("article",))
        try:
            (row,) = rows
            parts = zip(row["questions"], row["answers"], row["options"], strict=True)
            problems = [{"question": q, "answer": a, "options": list(o)} for q, a, o in parts]
            whole = bool(problems) and all(
                isinstance(p["question"], str) and p["answer"] in LETTERS and len(p["options"]) == 4 for p in problems
            )
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            why = "no article with as many questions as options (four each) and answers (A to D)"
            raise malformed(path, 1, why, json.dumps(rows))
        documents.append({"article": row["article"], "problems": str(problems)})  # the harness reads a literal
    return {"test": documents}


def truthfulqa(folder: Path) -> Documents:
    """Of `TruthfulQA.csv`, in `folder`, in its `truthfulqa` or in a `truthfulqa` beside it.

    The answer lists are those of the hub's `multiple_choice`: for MC1 the best answer and the incorrect ones, for
    MC2 all correct and all incorrect ones, the true ones first and nothing put behind them.
    """
    places = [folder, folder / "truthfulqa", folder.resolve().parent / "truthfulqa"]
    files = [place / "TruthfulQA.csv" for place in places if (place / "TruthfulQA.csv").is_file()]
    if not files:
        raise missing("truthfulqa", folder / "truthfulqa" / "TruthfulQA.csv")
    documents = []
    for path, number, row in _csv(files[0], "truthfulqa"):
        check_row(row, TRUTHFULQA_COLUMNS, path, number)
        correct, incorrect = (_answers(row[f"{kind} Answers"]) for kind in ("Correct", "Incorrect"))
        if not (correct and incorrect):
            raise malformed(path, number, "no correct or no incorrect answers", str(row))
        best = row["Best Answer"].strip()
        documents.append(
            {
                "question": row["Question"].strip(),
                "mc1_targets": _targets([best], [answer for answer in incorrect if answer != best]),
                "mc2_targets": _targets(correct, incorrect),
            }
        )
    return {"validation": documents}


def wmdp(folder: Path, subject: str) -> Documents:
    """Of `wmdp/SUBJECT.jsonl` (or .json, .parquet; also as wmdp_SUBJECT), or the hub's `wmdp-SUBJECT/` beside it.

    A row has a question, four choices and an answer from 0 to 3.
    """
    own = [
        folder / "wmdp" / f"{stem}{subject}{end}" for stem in ("", "wmdp_") for end in (".jsonl", ".json", ".parquet")
    ]
    files = [file for file in (*own, folder / f"wmdp-{subject}", folder / "wmdp" / f"wmdp-{subject}") if file.exists()]
    if not files:
        raise missing(f"wmdp_{subject}", own[0])
    documents = []
    for row in read_rows(str(files[0]), "eval.general.data_dir"):
        file, _, number = row.place.rpartition(":") if ", row " not in row.place else row.place.rpartition(", row ")
        check_row(row.values, ("question",), file, int(number))
        choices, answer = row.values.get("choices"), row.values.get("answer")
        if not (isinstance(choices, list) and len(choices) == 4 and all(isinstance(c, str) and c for c in choices)):
            raise malformed(file, int(number), "'choices' is no list of four texts", str(choices))
        if isinstance(answer, bool) or answer not in (0, 1, 2, 3):
            raise malformed(file, int(number), "'answer' is none of 0, 1, 2, 3", str(answer))
        documents.append({"question": row.values["question"], "choices": choices, "answer": answer})
    return {"test": documents}


def _answers(text: str) -> list[str]:
    return list(dict.fromkeys(answer.strip() for answer in text.split(";") if answer.strip()))


def _targets(true: list[str], false: list[str]) -> dict[str, list[Any]]:
    return {"choices": [*true, *false], "labels": [1] * len(true) + [0] * len(false)}


def _csv(path: Path, task: str, names: Sequence[str] | None = None) -> Iterator[tuple[Path, int, dict[str, str]]]:
    """(file, line that a row ends on, row).

    Args:
        names: of the columns, where the first line does not give them.
    """
    if not path.is_file():
        raise missing(task, path)
    number = 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            if names and (reader.fieldnames or names)[0] != names[0]:
                file.seek(0)
                reader = csv.DictReader(file, fieldnames=names)
            for row in reader:
                number = reader.line_num
                yield path, number, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise malformed(path, reader.line_num + 1, f"not readable ({error})", "") from None
    if not number:
        raise UserError(f"{path} holds no rows", "Get the file again")


def missing(task: str, path: Path) -> UserError:
    """The error for a task's file that is not there."""
    return UserError(
        f"eval.general.data_dir has no data for the task '{task}': there is no {path}",
        "Give a folder with this file, take the task out of eval.general.tasks=, or leave data_dir out for the hub",
    )
