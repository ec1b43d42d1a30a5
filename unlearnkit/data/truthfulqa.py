"""TruthfulQA (Lin et al. 2022, arXiv:2109.07958; Apache-2.0): true answers to misleading questions."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from unlearnkit.data.examples import Example, check_row, malformed
from unlearnkit.data.sources import hub_rows, parquet_rows
from unlearnkit.errors import UserError

# The hub's name of each field, and the name of its column in the original CSV.
COLUMNS = {
    "question": "Question",
    "category": "Category",
    "best_answer": "Best Answer",
    "correct_answers": "Correct Answers",
}


def load_pairs(
    path: str | None = None, hub: str = "truthfulqa/truthful_qa", answers: Literal["best", "correct"] = "best"
) -> list[Example]:
    """Questions with true answers, in the order of the source.

    Args:
        path: the original `TruthfulQA.csv`, or the hub's `.parquet` file; wins over `hub`.
        hub: a hub data set with the configuration `generation`.
        answers: "best" gives one pair a question (`truthfulqa-0001`), "correct" one for each distinct correct
            answer (`truthfulqa-0001-1`, `truthfulqa-0001-2`, ...).

    Raises:
        UserError: no such file, hub out of reach, or a malformed row, by file and line.
    """
    pairs = []
    for number, row in enumerate(_rows(path, hub), start=1):
        question, category = row["question"].strip(), row["category"]
        name = f"truthfulqa-{number:04d}"
        if answers == "best":
            pairs.append(Example(name, question, row["best_answer"].strip(), category))
            continue
        distinct = dict.fromkeys(answer.strip() for answer in row["correct_answers"])
        for count, answer in enumerate(distinct, start=1):
            pairs.append(Example(f"{name}-{count}", question, answer, category))
    return pairs


def _rows(path: str | None, hub: str) -> Iterator[dict[str, Any]]:
    """Rows with the hub's field names, checked."""
    if path is None:
        setting = "data.normal.path=FOLDER/generation/*.parquet (by its full name)"
        rows = enumerate(hub_rows(hub, "validation", list(COLUMNS), setting, config="generation"), start=1)
        where = f"{hub} (generation)"
    else:
        file = Path(path).expanduser()
        if not file.is_file():
            raise UserError(
                f"No data file at {file}",
                "Set data.normal.path= to github.com/sylinrl/TruthfulQA's TruthfulQA.csv or the hub's .parquet",
            )
        if file.suffix == ".csv":
            yield from _csv_rows(file)
            return
        rows, where = enumerate(parquet_rows(file, list(COLUMNS)), start=1), str(file)
    for number, row in rows:
        check_row(row, ("question", "category", "best_answer"), where, number)
        correct = row["correct_answers"]
        if not (isinstance(correct, list) and correct and all(isinstance(a, str) and a.strip() for a in correct)):
            raise malformed(where, number, "'correct_answers' is no list of non-empty strings", str(correct))
        yield row


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of the original CSV: a byte order mark, and correct answers parted by "; "."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        line = 1
        try:
            names = reader.fieldnames or []
            if missing := [column for column in COLUMNS.values() if column not in names]:
                raise malformed(path, 1, f"the header has no column '{missing[0]}'", ",".join(names))
            line = reader.line_num + 1
            for row in reader:
                if None in row:
                    raise malformed(path, line, "more values than the header has columns", str(row["Question"]))
                check_row(row, COLUMNS.values(), path, line)
                # Some lists end with a ';' of their own, so the blank that remains is no answer.
                correct = [answer for answer in row["Correct Answers"].split(";") if answer.strip()]
                if not correct:
                    raise malformed(path, line, "'Correct Answers' names no answer", row["Correct Answers"])
                yield {field: row[column] for field, column in COLUMNS.items()} | {"correct_answers": correct}
                line = reader.line_num + 1  # where the next row begins: a row may span lines
        except (csv.Error, UnicodeDecodeError) as error:
            raise malformed(path, line, f"not CSV in UTF-8 ({error})", "") from error
