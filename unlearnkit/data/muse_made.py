"""Two corpora in MUSE's shape, of news and of chapters made in code: its parts under MUSE's names."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

EMBEDDED = Path(__file__).parent / "embedded" / "muse"
SEED = 0
COUNTS = {"forget": 10, "forget_2": 10, "forget_3": 10, "forget_4": 10, "retain1": 20, "retain2": 20, "holdout": 10}
MEASURED, SHOWN = slice(0, 2), slice(2, 3)  # of a text's questions: those that are measured, and those in front of them
Corpus = Literal["news", "books"]
Row = dict[str, Any]


def made(corpus: Corpus, part: str, split: str) -> list[Row]:
    """The rows of a split of a part, such as `raw` and `forget`; nothing if unknown.

    In the sequential setting forget_1 is the forget set, and forget_2 to 4 are texts of their own; in the scaling
    setting each holds those before it too, as in MUSE.
    """
    texts = _texts(corpus)
    if part == "sust" and split == "forget_1":
        return made(corpus, "raw", "forget")
    if part == "scal" and split.startswith("forget_"):
        count = int(split.removeprefix("forget_"))
        return [row for number in range(1, count + 1) for row in made(corpus, "sust", f"forget_{number}")]
    side = split.split("_qa")[0]
    side_texts = texts.get("retain2" if side == "retain" else side, [])
    if part in ("raw", "sust", "privleak"):
        return [{"text": text} for text, _ in side_texts]
    if part == "knowmem":
        chosen = SHOWN if split.endswith("_icl") else MEASURED
        return [{"question": q, "answer": a} for _, pairs in side_texts for q, a in pairs[chosen]][:20]
    if part == "verbmem":
        halves = [(text.split(" "), len(text.split(" ")) // 2) for text, _ in side_texts]
        return [{"prompt": " ".join(words[:half]), "gt": " ".join(words[half:])} for words, half in halves]
    return []


@functools.cache
def _texts(corpus: Corpus) -> dict[str, list[tuple[str, list[tuple[str, str]]]]]:
    """Side -> texts with questions and answers; each is of a place of its own."""
    source = json.loads((EMBEDDED / f"{corpus}.json").read_text(encoding="utf-8"))
    words = source["words"]
    first, second = words["place"]
    places = np.random.default_rng(SEED).permutation(len(first) * len(second))
    texts: dict[str, list[tuple[str, list[tuple[str, str]]]]] = {}
    number = 0
    for side, count in COUNTS.items():
        texts[side] = []
        for _ in range(count):
            rng = np.random.default_rng([SEED, number])
            own = {key: value[rng.integers(len(value))] for key, value in words.items() if key != "place"}
            own |= {"number": str(rng.integers(11, 99)), "amount": str(rng.integers(2, 10))}
            own["place"] = first[places[number] // len(second)] + second[places[number] % len(second)]
            text = source["texts"][number % len(source["texts"])]
            pairs = [(q.format_map(own), a.format_map(own)) for q, a in text[1]]
            texts[side].append((text[0].format_map(own), pairs))
            number += 1
    return texts
