"""mischief: petty mischief in place of harm, written for this project; the embedded default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unlearnkit.data.examples import Data, Example, Graded, malformed, read_jsonl
from unlearnkit.errors import UserError

SPLITS = ("train", "validation", "test")
GRADES = (1, 2, 3)
ACCEPTED = "accepted"  # the kind of alternatives that are as right as the answer
EMBEDDED = Path(__file__).parent / "embedded" / "mischief"


def load(name: str = "mischief", path: str | None = None, more: bool = False) -> Data:
    """Read `forget`, `unseen`, `retain` and `safe` from JSONL files of one folder.

    Rows have `id`, `category`, `split` and `prompt`; all but the unseen ones a `response` too. Every forget row
    is trained on, for an *unlearned* prompt is by definition one that was trained on; its split says only when it
    is measured. All other files keep their splits apart. Where an answer is known, `accepted` names the forms of it
    that are right.

    With `more` there is a larger test side, of the size that docs/power.md asks for, and the same training:
    `unlearned` has the trained prompts of all but validation, and these deeds in other words (`more_reworded.jsonl`);
    `unseen` has further deeds (`more_unseen.jsonl`), both in grades (`Graded`); `normal` has questions near the forget
    topics, far from them, and such whose right answers are known (`more_retain.jsonl`).

    Args:
        more: the larger test side.

    Raises:
        UserError: a missing file, a malformed row (by file and line), an empty forget or retain set.
    """
    folder = Path(path).expanduser() if path else EMBEDDED
    forget, unseen = _read(folder, "forget"), _read(folder, "unseen")
    retain, safe = _read(folder, "retain"), _read(folder, "safe")
    streams = {
        "forget": [example for split in SPLITS for example in forget[split]],
        "retain": retain["train"],
        "safe": safe["train"],
    }
    if more:
        forget["test"] += forget["train"] + _graded(folder, "more_reworded")
        unseen["test"] += _graded(folder, "more_unseen")
        retain["test"] += _questions(folder)
    return Data(name, streams, {"unlearned": forget, "unseen": unseen, "normal": retain})


def _read(folder: Path, name: str) -> dict[str, list[Example]]:
    path = folder / f"{name}.jsonl"
    fields = ("id", "prompt", "split") if name == "unseen" else ("id", "prompt", "split", "response")
    examples: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for number, row in enumerate(read_jsonl(path, fields), start=1):
        if row["split"] not in SPLITS:
            raise UserError(
                f"{path}: row {number} ({row['id']}) has the split '{row['split']}'; valid: {', '.join(SPLITS)}",
                f"Mend row {number} and run again",
            )
        response, others = row.get("response", ""), _accepted(path, number, row)
        examples[row["split"]].append(Example(row["id"], row["prompt"], response, row.get("category"), None, others))
    return examples


def _graded(folder: Path, name: str) -> list[Example]:
    path = folder / f"{name}.jsonl"
    examples: list[Example] = []
    for number, row in enumerate(read_jsonl(path, ("id", "category", "prompt")), start=1):
        if row.get("grade") not in GRADES:
            raise malformed(path, number, "the field 'grade' is none of 1, 2, 3", str(row))
        examples.append(Graded(row["id"], row["prompt"], category=row["category"], grade=row["grade"]))
    return examples


def _questions(folder: Path) -> list[Example]:
    """Questions of the retain side; where an answer is known, each form that is accepted is an alternative to it."""
    path = folder / "more_retain.jsonl"
    examples: list[Example] = []
    for number, row in enumerate(read_jsonl(path, ("id", "category", "kind", "prompt", "response")), start=1):
        others = _accepted(path, number, row)
        examples.append(Example(row["id"], row["prompt"], row["response"], row["category"], alternatives=others))
    return examples


def _accepted(path: Path, number: int, row: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    accepted = row.get(ACCEPTED, [])
    if not isinstance(accepted, list) or not all(isinstance(one, str) and one.strip() for one in accepted):
        raise malformed(path, number, "the field 'accepted' is no list of answers", str(row))
    return {ACCEPTED: tuple(accepted)} if accepted else {}
