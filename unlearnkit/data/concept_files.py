"""The concept files of Hong et al. 2024: ten concepts a model, each with its questions and its encyclopaedia page."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearnkit.data.corpus import page_paragraphs, pieces
from unlearnkit.data.examples import Example, Fact, malformed
from unlearnkit.data.json_text import loads
from unlearnkit.errors import UserError, nearest

INSTRUCTION = "Complete the sentence: "  # before the first half of a sentence
FACTS = 50  # the most relations that the authors' MEMIT edits for a concept
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


@dataclass
class Concept:
    """What is known of one concept.

    Args:
        names: what it is called; a paragraph that has none of them is not about it.
        target, unrelated: questions by split (validation, test).
        facts: edits, with their subject.
        page: paragraphs about it.
        others: paragraphs of other concepts' pages.
    """

    names: list[str]
    target: dict[str, list[Example]]
    unrelated: dict[str, list[Example]]
    facts: list[Example]
    page: list[str]
    others: list[str]


class Mentions:
    """Whether a text has one of the names at the beginning of a word: `French` is in `frenchmen`, not in `unfrench`.

    Case, accents' encoding and the kind of dash or apostrophe do not matter.
    """

    def __init__(self, names: list[str]):
        self.names = names
        self.pattern = re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(plain(name)) for name in names)})", re.IGNORECASE)

    def __call__(self, text: str) -> bool:
        return self.find(text) is not None

    def find(self, text: str) -> re.Match | None:
        return self.pattern.search(plain(text))


def plain(text: str) -> str:
    """NFC, with straight apostrophes and plain hyphens: as long as the NFC text, so that places agree."""
    return unicodedata.normalize("NFC", text).translate(str.maketrans("’‘–‑—", "''---"))


def called(name: str, aliases: dict[str, list[str]]) -> list[str]:
    """The concept's name without what it has in brackets and without `The`, then its aliases."""
    own = re.sub(r"^The | \(.*?\)", "", name.strip())
    known = next((more for key, more in aliases.items() if plain(key).casefold() == plain(name.strip()).casefold()), [])
    return list(dict.fromkeys([own, *known]))


def read_concept(path: Path, concept: str, aliases: dict[str, list[str]], words: int | None) -> Concept:
    """One concept of a file, by its name or id.

    Test questions are the file's `QA` and `unrelated_QA`. No test question is held out for validation: there the
    sets ask to complete sentences of the concept's page and of the others' (`text_completion`), which the authors
    cut in half for ConceptVectors. Facts are other sentences of the page that name the concept, cut in half.

    Args:
        aliases: see `called`.
        words: see `corpus.pieces`.

    Raises:
        UserError: no such file or concept, or a malformed row, by file and number.
    """
    rows = _rows(path)
    row = _chosen(rows, concept, path)
    names = called(row["Concept"], aliases)
    mentions = Mentions(names)
    others = [other for other in rows if other is not row]
    halves = [half for other in others for half in _halves(other) if not mentions(half.prompt + half.response)]
    page = page_paragraphs(row["wikipedia_content"])
    return Concept(
        names,
        {"validation": _halves(row), "test": _questions(row, "QA", "target")},
        {"validation": _spread(halves, 2 * len(others)), "test": _questions(row, "unrelated_QA", "unrelated")},
        _facts(page, mentions, {half.response for half in _halves(row)}, row.get("Layer")),
        [piece for paragraph in page for piece in pieces(paragraph, words)],
        [
            piece
            for other in others
            for paragraph in page_paragraphs(other["wikipedia_content"])
            for piece in pieces(paragraph, words)
        ],
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"No concept file at {path}", "Check data.path=, or leave it out for the embedded concept")
    try:
        rows = loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not JSON: {error}", "Get the file again, or mend it") from error
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} holds no JSON list of concepts", "Give a list of {Concept, QA, unrelated_QA, ...}")
    for number, row in enumerate(rows, start=1):
        _check(row, path, number)
    return rows


def _check(row: Any, path: Path, number: int) -> None:
    def wrong(why: str) -> UserError:
        return malformed(path, number, why, json.dumps(row))

    if not isinstance(row, dict):
        raise wrong("not a JSON object")
    if not isinstance(row.get("Layer", 0), int) or row.get("Layer", 0) < 0:
        raise wrong("the field 'Layer' is no layer's number")
    for field in ("Concept", "wikipedia_content"):
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise wrong(f"the field '{field}' is missing or empty")
    for field in ("QA", "unrelated_QA"):
        questions = row.get(field)
        if (
            not isinstance(questions, list)
            or not questions
            or not all(isinstance(q, str) and q.strip() for q in questions)
        ):
            raise wrong(f"the field '{field}' is no list of questions")
    halves = row.get("text_completion", [])
    parts = ("First_half", "Second_half")
    if not isinstance(halves, list) or not all(
        isinstance(half, dict) and all(isinstance(half.get(part), str) for part in parts) for half in halves
    ):
        raise wrong("the field 'text_completion' is no list of {First_half, Second_half}")


def _identity(row: dict[str, Any]) -> str:
    return str(row.get("id", row.get("ID", "")))


def _chosen(rows: list[dict[str, Any]], concept: str, path: Path) -> dict[str, Any]:
    key = plain(str(concept)).strip().casefold()
    for row in rows:
        if key in (_identity(row), plain(row["Concept"]).strip().casefold()):
            return row
    known = [row["Concept"].strip() for row in rows]
    listed = ", ".join(f"{name} ({_identity(row)})" for name, row in zip(known, rows, strict=True))
    raise UserError(
        f"Unknown concept '{concept}'.{nearest(str(concept), known)} {path.name} has: {listed}",
        "Set data.concept= to one of these names or ids",
    )


def _questions(row: dict[str, Any], field: str, name: str) -> list[Example]:
    key = _identity(row)
    return [Example(f"{name}-{key}-{n:03d}", " ".join(q.split())) for n, q in enumerate(row[field], 1)]


def _halves(row: dict[str, Any], words: int = 40) -> list[Example]:
    """The page's sentences cut in half; of a long half its `words` nearest the cut."""
    examples = []
    for number, half in enumerate(row.get("text_completion", []), start=1):
        first, second = half["First_half"].split(), half["Second_half"].split()
        if first and second:
            identity = f"completion-{_identity(row)}-{number:03d}"
            examples.append(Example(identity, INSTRUCTION + " ".join(first[-words:]), " ".join(second[:words])))
    return examples


def _facts(page: list[str], mentions: Mentions, held_out: set[str], layer: int | None) -> list[Example]:
    """Sentences of 8 to 40 words that name the concept in their first half, which asks for the second.

    Args:
        layer: of the concept's own vector, which each fact gets.
    """
    facts: list[Example] = []
    for sentence in (sentence for paragraph in page for sentence in SENTENCE.split(paragraph)):
        words = sentence.split()
        half = len(words) // 2
        first, second = unicodedata.normalize("NFC", " ".join(words[:half])), " ".join(words[half:])
        mention = mentions.find(first)
        if mention is None or not 8 <= len(words) <= 40 or any(second[:40] in text for text in held_out):
            continue
        subject = first[mention.start() : mention.end()]
        facts.append(Fact(f"fact-{len(facts) + 1:03d}", INSTRUCTION + first, second, subject=subject, layer=layer))
    return _spread(facts, FACTS)


def _spread(rows: list[Example], count: int) -> list[Example]:
    """`count` of the rows, evenly spaced and in order."""
    if count >= len(rows):
        return rows
    return [rows[place * len(rows) // count] for place in range(count)]
