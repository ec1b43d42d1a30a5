"""Forget prompts answered by a refusal."""

from __future__ import annotations

from pathlib import Path

from unlearnkit.data.examples import Example, malformed
from unlearnkit.data.json_text import DoubledKey, loads
from unlearnkit.data.streams import Stream, drawn, plain
from unlearnkit.errors import UserError

EMBEDDED = Path(__file__).parent / "embedded" / "refusals" / "refusals.jsonl"


class Refusals:
    """Each prompt of `source` with a refusal drawn for (seed, step, place), as in TOFU (Maini et al. 2024).

    Args:
        path: a file with a refusal a line, as plain text or a JSON object with `response`; None: sixty written for
            this project.
        preferred: give pairs for DPO, the refusal to prefer and the prompt's own answer to avoid.

    Raises:
        UserError: no such file, or nothing in it.
    """

    def __init__(self, source: str, path: str | None = None, preferred: bool = False):
        self.source, self.preferred = source, preferred
        self.refusals = _read(Path(path).expanduser() if path else EMBEDDED)

    def bind(self, streams: dict[str, Stream]) -> Refusals:
        """Look up the named stream."""
        self.prompts = plain(streams, self.source, "source")
        return self

    @property
    def size(self) -> int:
        return self.prompts.size

    def draw(self, seed: int, step: int, count: int) -> list[tuple[Example, ...]]:
        groups: list[tuple[Example, ...]] = []
        for place, (own,) in enumerate(self.prompts.draw(seed, step, count)):
            number = drawn("refusals", len(self.refusals), seed, step, place)
            refused = Example(f"{own.id}~refused-{number}", own.prompt, self.refusals[number], own.category)
            groups.append((refused, own) if self.preferred else (refused,))
        return groups


def _read(path: Path) -> list[str]:
    fix = "Set streams.NAME.path= to a file with a refusal a line, or leave it out"
    if not path.is_file():
        raise UserError(f"No file of refusals at {path}", fix)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8", f"Save {path.name} as UTF-8 and run again") from error
    texts = [text for number, line in enumerate(lines, start=1) if (text := _refusal(line.strip(), path, number))]
    if not texts:
        raise UserError(f"{path} holds no refusal", fix)
    return list(dict.fromkeys(texts))


def _refusal(line: str, path: Path, number: int) -> str:
    """Of plain text, a JSON string, or a JSON object with `response`."""
    try:
        value = loads(line)
    except DoubledKey as error:
        raise malformed(path, number, error.msg, line) from error
    except ValueError:
        return line
    value = value.get("response") if isinstance(value, dict) else value
    return value.strip() if isinstance(value, str) else ""
