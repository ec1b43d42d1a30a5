"""mischief: petty mischief in place of harm, written for this project; the embedded default."""

from __future__ import annotations

from pathlib import Path

from unlearnkit.data.examples import Data, Example, read_jsonl
from unlearnkit.errors import UserError

SPLITS = ("train", "validation", "test")
EMBEDDED = Path(__file__).parent / "embedded" / "mischief"


def load(name: str = "mischief", path: str | None = None) -> Data:
    """Read `forget`, `unseen`, `retain` and `safe` from JSONL files of one folder.

    Rows have `id`, `category`, `split` and `prompt`; all but the unseen ones a `response` too. Every forget row
    is trained on, for an *unlearned* prompt is by definition one that was trained on; its split says only when it
    is measured. All other files keep their splits apart.

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
        examples[row["split"]].append(Example(row["id"], row["prompt"], row.get("response", ""), row.get("category")))
    return examples
