"""WMDP (Li et al. 2024, arXiv:2403.03218; MIT): texts of a subject that is to be forgotten, and texts of any other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from unlearnkit.data.corpus import paragraphs, pieces
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.scopes import general_examples
from unlearnkit.data.sources import hub_rows
from unlearnkit.data.spread import evenly_spaced
from unlearnkit.errors import UserError
from unlearnkit.notices import notice
from unlearnkit.settings.bounds import Positive

EMBEDDED = Path(__file__).parent / "embedded" / "wmdp"
Subject = Literal["bio", "cyber"]
FILES = {  # what the archive of the authors, and copies of it, call them
    "forget": ("{}-forget-corpus", "{}_forget_corpus", "{}_remove_dataset"),
    "retain": ("{}-retain-corpus", "{}_retain_corpus"),
}
ENDINGS = (".jsonl", ".json", ".parquet", ".txt")
GATED = {"bio": "cais/wmdp-bio-forget-corpus"}  # not among the hub's corpora: its readers are asked who they are
WIKITEXT = ("Salesforce/wikitext", "wikitext-2-raw-v1")
SHORTEST = 50  # letters; a text of less says nothing
MEASURED = 40  # texts a set and split
SUBJECTS: tuple[Subject, ...] = ("bio", "cyber")


def load(
    name: str = "wmdp",
    subjects: list[Subject] | None = None,
    path: str | None = None,
    hub: str | None = None,
    retain: str = "wikitext",
    texts: Positive | None = 2000,
    words: Positive | None = 350,
    general: str | None = None,
) -> Data:
    """Streams `forget` and `retain`, plain text, and `general`; sets of both sides, for curves.

    The questions are those of `eval=wmdp`. Forget texts that are measured are trained on, too; a fifth of the retain
    texts, 80 at most, is held out for it.

    Args:
        subjects: bio, cyber; both if None.
        path: a folder with SUBJECT-forget-corpus.jsonl, and ...-retain-corpus.jsonl where asked for. Wins over `hub`.
        hub: cais/wmdp-corpora; without it and a path the texts are ones made for this project, about harmless things.
        retain: wikitext (the hub's, or the embedded texts), corpora (the subjects' own), or any corpus
            (`corpus.paragraphs`).
        texts: at most so many of a subject and of the retain side; None: all.
        words: of a piece of a text; None: whole texts.
        general: a JSONL file of {prompt, response} for the out-of-distribution stream; None: the embedded one.

    Raises:
        UserError: no such subject or file, or a row without a text.
    """
    chosen = list(dict.fromkeys(subjects or SUBJECTS))
    folder = Path(path).expanduser() if path else None if hub else EMBEDDED
    forget = [row for subject in chosen for row in islice(_corpus(folder, hub, subject, "forget", words), texts)]
    retained = list(islice(_retained(folder, hub, chosen, retain, words), texts))
    for side, own in (("forget", forget), ("retain", retained)):
        if len(own) < 3:
            raise UserError(f"data=wmdp has {len(own)} {side} texts, too few to train on", "Give a larger corpus")
    measured = evenly_spaced(retained, max(2, min(2 * MEASURED, len(retained) // 5)))
    seen = {row.id for row in measured}
    sets = {"forget": evenly_spaced(forget, 2 * MEASURED), "retain": measured}
    source = f"of {folder or hub}" if path or hub else "(made for this project, in WMDP's shape)"
    notice(f"Texts of '{name}' {source}: forget {len(forget)} ({', '.join(chosen)}), retain {len(retained)} ({retain})")
    streams = {"forget": forget, "retain": [row for row in retained if row.id not in seen]}
    splits = {side: {"validation": own[::2], "test": own[1::2]} for side, own in sets.items()}
    return Data(name, streams | {"general": general_examples(general)}, splits)


def _retained(
    folder: Path | None, hub: str | None, subjects: list[Subject], retain: str, words: int | None
) -> Iterator[Example]:
    if retain == "corpora":
        for subject in subjects:
            yield from _corpus(folder, hub, subject, "retain", words)
    elif retain != "wikitext":
        yield from _examples("retain", paragraphs(retain), words)
    elif folder == EMBEDDED:
        yield from _examples("retain", paragraphs(str(EMBEDDED / "retain.jsonl")), words)
    else:
        rows = hub_rows(WIKITEXT[0], "train", ["text"], "data.retain=FILE", config=WIKITEXT[1])
        yield from _examples("retain", (row["text"] for row in rows), words)


def _corpus(folder: Path | None, hub: str | None, subject: Subject, side: str, words: int | None) -> Iterator[Example]:
    if subject not in SUBJECTS:
        raise UserError(f"data=wmdp has no subject '{subject}'; it has: {', '.join(SUBJECTS)}", "Set data.subjects=")
    if folder is None:
        gated = side == "forget" and subject in GATED
        name, config = (GATED[subject], None) if gated else (str(hub), f"{subject}-{side}-corpus")
        texts: Iterable[str] = (row["text"] for row in hub_rows(name, "train", ["text"], "data.path=FOLDER", config))
    else:
        names = [name.format(subject) + ending for name in FILES[side] for ending in ENDINGS]
        file = next((folder / name for name in names if (folder / name).is_file()), None)
        if file is None:
            raise UserError(
                f"No data file at {folder / names[0]}",
                "Give data.path= the folder of WMDP's corpora; bio's forget side has to be asked for at"
                f" huggingface.co/datasets/{GATED['bio']}, and data.subjects=[cyber] does without",
            )
        texts = paragraphs(str(file))
    yield from _examples(f"{subject}-{side}", texts, words)


def _examples(name: str, texts: Iterable[str], words: int | None) -> Iterator[Example]:
    """Texts in pieces, without headings."""
    number = 0
    for text in texts:
        bare = text.strip()
        if len(bare) < SHORTEST or (bare.startswith("=") and bare.endswith("=")):
            continue
        for piece in pieces(text, words):
            number += 1
            yield Example(f"{name}-{number:05d}", "", piece)
