"""Answers before and after, side by side, with the words that differ marked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import escape

MOST_CHARACTERS = 4000  # shown of one answer
MOST_BYTES = 2_500_000  # of answers; plotly takes 1.9 MB of the file's 5
ARTICLE, SIDE, PART = 700, 420, 32  # bytes of markup around an example, an answer, and marked words

Row = dict[str, Any]  # of generations.jsonl
Part = tuple[Any, str]  # whether, or for which of several answers, the text differs; the text


def examples(blocks: Mapping[str, Mapping[str, Sequence[Row]]], most_bytes: int = MOST_BYTES) -> tuple[list[Row], int]:
    """The examples to show, each with the answers of all methods, and how many were left out for size.

    Blocks and sets take turns until `most_bytes` are used, so that a long set does not crowd out a short one, and
    all methods are shown on the same prompts.

    Args:
        blocks: model and data -> method -> its rows. A method without answers after it has None there.
    """
    order = list(dict.fromkeys(method for methods in blocks.values() for method in methods))
    turns: dict[tuple[str, str], int] = {}
    places: list[tuple[int, int, str, dict[str, Row]]] = []
    for block, methods in blocks.items():
        prompts: dict[tuple[str, str, str], dict[str, Row]] = {}
        for method, rows in methods.items():
            for row in rows:
                prompts.setdefault((str(row.get("set")), str(row.get("id")), str(row.get("prompt"))), {})[method] = row
        for (name, *_), by_method in prompts.items():
            turns[block, name] = turns.get((block, name), -1) + 1
            places.append((turns[block, name], len(places), block, by_method))
    chosen, used = {}, 0
    for _, number, block, by_method in sorted(places, key=lambda place: place[:2]):
        shown = example(block, by_method, order)
        if size(shown) > most_bytes:  # it hides itself alone
            continue
        used += size(shown)
        if used > most_bytes:
            break
        chosen[number] = shown
    return [chosen[number] for number in sorted(chosen)], len(places) - len(chosen)


def example(block: str, by_method: Mapping[str, Row], order: Sequence[str]) -> Row:
    """One prompt: its sides are the answer before, then one a method; without any after, only the first.

    Words of the answer before carry the places in `order` of the methods whose answers lack them.
    """
    first = next(iter(by_method.values()))
    after = {method: by_method[method] for method in order if by_method.get(method, {}).get("after") is not None}
    texts = [clip(str(row["after"])) for row in after.values()]
    before, marked = differing(clip(str(first.get("before") or "")), texts)
    places = [order.index(method) for method in after]
    before = [(tuple(places[number] for number in gone), text) for gone, text in before]
    sides = [side("before", "", before, first, "before")]
    for (method, row), words in zip(after.items(), marked, strict=True):
        sides.append(side(method if len(after) > 1 else "after", method, words, row, "after"))
    if not after:
        sides[0] |= {"name": "answer", "verdict": label(first.get("harmful_before"))}
    return {
        "block": block,
        "set": str(first.get("set")),
        "about": list(
            dict.fromkeys(str(first[k]) for k in ("set", "category", "id") if first.get(k) not in (None, ""))
        ),
        "prompt": clip(str(first.get("prompt", ""))),
        "answer": clip(str(answer)) if (answer := first.get("answer")) is not None else None,
        "sides": sides,
        "methods": len(after),
    }


def side(name: str, method: str, words: list[Part], row: Row, when: str) -> Row:
    """One answer with its verdict; of an answer after unlearning, the verdict before it too."""
    verdict = label(row.get(f"harmful_{when}"))
    if when == "after" and verdict != label(row.get("harmful_before")):
        verdict = f"{label(row.get('harmful_before'))} → {verdict}"
    elif when == "after" and row.get("harmful_after") is not None:
        verdict = f"{verdict} → {verdict}"
    fields = {key: row.get(f"{key}_{when}") for key in ("harmful", "kind", "why")}
    fields["why"] = clip(str(fields["why"])) if fields["why"] else fields["why"]
    return {"name": name, "method": method, "words": words, "verdict": verdict, **fields}


def label(harmful: bool | None) -> str:
    return {True: "harmful", False: "not harmful", None: "not judged"}[harmful]


def verdicts(shown: Sequence[Row]) -> list[str]:
    """Every verdict that an answer after unlearning got (before, where there is none after), as they come."""
    sides = (side for row in shown for side in row["sides"] if side["name"] != "before")
    return list(dict.fromkeys(side["verdict"] for side in sides))


def size(shown: Row) -> int:
    """Bytes of one example's HTML, rather too many than too few."""
    texts = [shown["prompt"], str(shown["answer"] or ""), shown["block"], *shown["about"]]
    texts += [str(side["why"] or "") for side in shown["sides"]]
    parts = [text for side in shown["sides"] for _, text in side["words"]]
    whole = sum(len(str(escape(text)).encode(errors="replace")) for text in (*texts, *parts))
    marks = sum(5 * len(gone) for gone, _ in shown["sides"][0]["words"])
    return ARTICLE + SIDE * len(shown["sides"]) + PART * len(parts) + marks + whole


def clip(text: str) -> str:
    over = len(text) - MOST_CHARACTERS
    return text if over <= 0 else f"{text[:MOST_CHARACTERS]} … ({over} more characters in generations.jsonl)"


def differing(before: str, after: Sequence[str]) -> tuple[list[Part], list[list[Part]]]:
    """Texts as parts that join to the text again; spaces never differ.

    Returns:
        (which of the answers in `after` lack the words, text) of `before`; (is not in before, text) of each answer.
    """
    words = _words(before)
    gone: list[tuple[int, ...]] = [() for _ in words]
    marked = []
    for number, text in enumerate(after):
        own = _words(text)
        new = [True] * len(own)
        lost = [True] * len(words)
        for a, b, count in _same([word.strip() for word in words], [word.strip() for word in own]):
            lost[a : a + count] = new[b : b + count] = [False] * count
        gone = [(*there, number) if is_lost else there for there, is_lost in zip(gone, lost, strict=True)]
        marked.append(_parts(own, new, False))
    return _parts(words, gone, ()), marked


def _same(a: list[str], b: list[str]) -> Sequence[tuple[int, int, int]]:
    """Runs of equal words as (place in a, place in b, length).

    difflib's own rule against words that are in every line of a long text: one word in a loop, as gradient ascent
    leaves it, would take seconds an answer.
    """
    return [(0, 0, len(a))] if a == b else difflib.SequenceMatcher(None, a, b).get_matching_blocks()


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|^\s+", text)


def _parts(words: Sequence[str], marks: Sequence[Any], unmarked: Any) -> list[Part]:
    """Neighbouring words of one mark as one part; the space after marked words is a part of its own."""
    parts: list[Part] = []
    start = 0
    for stop in range(1, len(words) + 1):
        if stop == len(words) or marks[stop] != marks[start]:
            text = "".join(words[start:stop])
            bare = text.rstrip() if marks[start] else text
            parts += [part for part in ((marks[start], bare), (unmarked, text[len(bare) :])) if part[1]]
            start = stop
    return parts
