"""MUSE (Shi et al. 2025, arXiv:2407.06460; CC-BY-4.0): news or books that are to be forgotten as running text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.muse_made import Corpus
from unlearnkit.data.muse_parts import Parts, Placed
from unlearnkit.data.overlap import normalised
from unlearnkit.data.roles import OF_BENCHMARKS
from unlearnkit.data.scopes import general_examples
from unlearnkit.data.spread import held_out
from unlearnkit.errors import UserError, beginning
from unlearnkit.notices import notice
from unlearnkit.settings.bounds import Count, Positive, Share

Forget = Literal["raw", "scal_1", "scal_2", "scal_3", "scal_4", "sust_1", "sust_2", "sust_3", "sust_4"]
LAST = 4  # requests of the sequential setting, and sizes of the scaling one
BEGINNING = 300  # letters of a held-out text by which it is found in what is taught


def load(
    name: str = "muse",
    corpus: Corpus = "news",
    forget: Forget = "raw",
    path: str | None = None,
    hub: str | None = None,
    revision: str | None = None,
    words: Positive | None = 350,
    shots: Count = 10,
    validation: Share = 0.2,
    general: str | None = None,
) -> Data:
    """Streams `forget` and `retain` (retain1), texts in pieces, `general`, and `target`, all texts; six sets.

    `knowmem_forget` and `knowmem_retain` are questions behind examples of such, `verbmem_forget` beginnings of texts
    with what follows, `privleak_forget`, `privleak_retain` and `privleak_holdout` texts; the last are never taught.

    Args:
        corpus: of the two that are made in code, where neither `path` nor `hub` is given.
        forget: raw, the forget set; scal_1 to 4, growing ones; sust_1 to 4, requests that come one after the other: a
            run starts from the model of the one before (`model.path`), and what was forgotten then is in the stream
            `forgotten`, which no retain side has.
        path: a folder with PART/SPLIT.json. Wins over `hub`.
        hub: muse-bench/MUSE-News or muse-bench/MUSE-Books.
        words: of a piece of a text; None: whole texts.
        shots: answered questions in front of one.
        validation: share of each set's rows that settings are chosen on, evenly spaced; 0 measures all, as MUSE does.
        general: a JSONL file of {prompt, response} for the out-of-distribution stream; None: the embedded one.

    Raises:
        UserError: a part that is not there, a row without a field, too few examples, a held-out text that is taught.
    """
    parts = Parts(corpus, path, hub, revision)
    known = {side: parts.read("raw", side) for side in ("forget", "retain1", "retain2")}
    setting, _, number = forget.partition("_")
    gone, forgotten, later = known["forget"], [], []
    if setting == "scal":
        gone, later = parts.read("scal", f"forget_{number}"), parts.read("scal", f"forget_{LAST}")
    elif setting == "sust":
        requests = [parts.read("sust", f"forget_{place}") for place in range(1, LAST + 1)]
        gone = requests[int(number) - 1]
        forgotten, later = (
            [row for request in some for row in request] for some in (requests[: int(number) - 1], requests)
        )
    never = {row["text"] for _, row in (*gone, *forgotten)}
    retained = [placed for placed in known["retain1"] if placed[1]["text"] not in never]
    taught = {
        row["text"]: (place, row) for place, row in (*known["retain1"], *known["retain2"], *known["forget"], *later)
    }
    streams = {"forget": _pieces(gone, words), "retain": _pieces(retained, words), "general": general_examples(general)}
    streams |= {"target": _pieces(list(taught.values()), words)}
    streams |= {"forgotten": _pieces(forgotten, words)} if forgotten else {}
    texts = {f"privleak_{side}": parts.read("privleak", side, f"{side}2") for side in ("forget", "retain", "holdout")}
    _check_unseen(texts["privleak_holdout"], list(taught.values()))
    own = {f"knowmem_{side}": _questions(parts, side, shots) for side in ("forget", "retain")}
    own["verbmem_forget"] = [
        Example(f"verbmem-{n:04d}", row["prompt"], row["gt"])
        for n, (_, row) in enumerate(parts.read("verbmem", "forget"), start=1)
    ]
    for key, rows in texts.items():
        own[key] = [Example(f"{key}-{n:04d}", "", row["text"].strip()) for n, (_, row) in enumerate(rows, start=1)]
    sets = {key: held_out(rows, validation) for key, rows in own.items()}
    counts = ", ".join(f"{key} {len(splits['test'])}" for key, splits in sets.items())
    sizes = ", ".join(f"{key} {len(streams[key])}" for key in ("forget", "retain", "target"))
    notice(f"Texts of '{name}' {parts}: {sizes}; measured: {counts}")
    return Data(name, streams, sets, {**{key: OF_BENCHMARKS[key] for key in sets}, "forgotten": "forget"})


def _questions(parts: Parts, side: str, shots: int) -> list[Example]:
    """Questions, each behind the same answered ones.

    Raises:
        UserError: there are fewer of these than asked for.
    """
    placed = parts.read("knowmem", f"{side}_qa", f"{side}2_qa")
    shown = parts.read("knowmem", f"{side}_qa_icl", f"{side}2_qa_icl") if shots else []
    if len(shown) < shots:
        raise UserError(
            f"data.shots={shots}, and there are {len(shown)} answered questions to put in front of others",
            f"Set data.shots= to {len(shown)} at most",
        )
    front = "".join(f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for _, row in shown[:shots])
    return [
        Example(f"knowmem-{side}-{n:04d}", f"{front}Question: {row['question']}\nAnswer:", row["answer"])
        for n, (_, row) in enumerate(placed, start=1)
    ]


def _pieces(texts: list[Placed], words: int | None) -> list[Example]:
    """Each text in pieces of so many words, cut wherever the last of them ends, as MUSE cuts at tokens."""
    pieces = []
    for place, row in texts:
        for number, piece in enumerate(_cut(row["text"], words), start=1):
            pieces.append(Example(f"{place}-{number}", "", piece))
    return pieces


def _cut(text: str, words: int | None) -> Iterator[str]:
    if words is None:
        yield text.strip()
        return
    parts = re.findall(r"\S+\s*", text)
    for start in range(0, len(parts), words):
        yield "".join(parts[start : start + words]).strip()


def _check_unseen(holdout: list[Placed], taught: list[Placed]) -> None:
    """No held-out text begins as a part of one that is taught."""
    known = "\n".join(normalised(row["text"]) for _, row in taught)
    both = [(place, row) for place, row in holdout if normalised(row["text"])[:BEGINNING] in known]
    if both:
        listed = ", ".join(f"{place} ({beginning(row['text'], 60)})" for place, row in both[:3])
        more = f" and {len(both) - 3} more" if len(both) > 3 else ""
        raise UserError(
            f"{len(both)} of {len(holdout)} holdout texts are taught too: {listed}{more}",
            "Take them out: membership is told from texts that were never trained on",
        )
