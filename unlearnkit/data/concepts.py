"""Concepts (Hong et al. 2024, section 4, appendix B): paragraphs that mention one, and questions about it and others.

The embedded concept is France, in paragraphs and questions written for this project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tqdm.auto import tqdm

from unlearnkit.cache import load_or_make
from unlearnkit.data import corpus as corpora
from unlearnkit.data.concept_files import Concept, Mentions, called, read_concept
from unlearnkit.data.examples import Data, Example, nonempty, read_jsonl
from unlearnkit.data.scopes import general_examples
from unlearnkit.errors import UserError
from unlearnkit.files import write
from unlearnkit.settings.bounds import Positive

EMBEDDED = Path(__file__).parent / "embedded" / "concepts"
FILE = "paragraphs.json"
FRANCE = "France"
ALIASES = {FRANCE: ["French"]}
SPLITS = ("validation", "test")
RETAIN = ("pages", "corpus")
Texts = dict[str, list[str]]  # stream -> paragraphs


def load(
    name: str = "concepts",
    concept: str | int = FRANCE,
    path: str | None = None,
    corpus: str | None = None,
    named: dict[str, str] | None = None,
    aliases: dict[str, list[str]] | None = None,
    paragraphs: Positive = 6000,
    words: Positive | None = 350,
    retain: str = "pages",
    general: str | None = None,
) -> Data:
    """Streams `forget`, `retain`, `general` and `facts`, sets `target` and `unrelated`.

    `forget` holds the first paragraphs that mention the concept, `retain` such as do not; both are plain text
    (examples without a prompt). `facts` are edits for MEMIT, with their subject word for word in the prompt.
    Validation questions are the embedded concept's own, and sentences to be completed for a file's
    (`concept_files.read_concept`): settings are never chosen on test questions.

    Args:
        concept: a name or an id of the file; the embedded data has France.
        path: a JSON file of the authors; None: the embedded concept.
        corpus: where paragraphs come from (`corpus.paragraphs`), or a name of `named`; None: the concept's own page,
            or the embedded paragraphs.
        named: corpora by short names.
        aliases: what a concept is called too, by its name; None: {France: [French]}.
        paragraphs: at most so many a stream.
        words: a longer paragraph is parted into pieces of so many, so that what is trained on mentions the concept;
            None keeps whole documents, as table 1 counts them.
        retain: "pages" of other concepts, from where DPO's chosen texts come too in the authors' code, or
            paragraphs of the "corpus" without the concept.
        general: a JSONL file of {prompt, response}; None: the embedded ones.

    Raises:
        UserError: an unknown concept, an unreadable corpus, or no paragraph that will do.
    """
    if retain not in RETAIN or (retain == "corpus" and corpus is None):
        raise UserError(
            f"data.retain={retain} with data.corpus={corpus}; valid: {', '.join(RETAIN)} (the latter with a corpus)",
            "Set data.retain=pages, or data.retain=corpus and data.corpus=",
        )
    aliases = ALIASES if aliases is None else aliases
    if path is not None:
        material = read_concept(Path(path).expanduser(), str(concept), aliases, words)
    else:
        material = _embedded(concept, aliases)
    mentions = Mentions(material.names)
    counts = {"forget": paragraphs, "retain": paragraphs if retain == "corpus" else 0}
    if corpus is None:
        texts = _part(iter(material.page), mentions, counts, "the page")
    else:
        texts = _from_corpus((named or {}).get(corpus, corpus), words, mentions, counts)
    if retain == "pages":
        texts["retain"] = [text for text in material.others if not mentions(text)][:paragraphs]
    streams = {stream: _plain(stream, chosen) for stream, chosen in texts.items()}
    nonempty("retain", streams["retain"], "Give data.retain=corpus with data.corpus=, or a file of several concepts")
    others = [row for row in general_examples(general) if not mentions(f"{row.prompt} {row.response}")]
    streams["general"] = nonempty("general", others, "Give rows in data.general= that do not mention the concept")
    streams["facts"] = material.facts
    return Data(name, streams, {"target": material.target, "unrelated": material.unrelated})


def _from_corpus(corpus: str, words: int | None, mentions: Mentions, counts: dict[str, int]) -> Texts:
    """The same paragraphs every time: those of an address, which may take hours to find, are kept in the cache."""
    if "://" not in corpus:
        return _part(corpora.paragraphs(corpus, words), mentions, counts, corpus)

    def make(folder: Path) -> None:
        texts = _part(corpora.paragraphs(corpus, words), mentions, counts, corpus)
        write(folder / FILE, json.dumps(texts, ensure_ascii=False))

    content = {"corpus": corpus, "words": words, "names": mentions.names, "wanted": counts}
    return load_or_make(
        "paragraphs", content, make, lambda folder: json.loads((folder / FILE).read_text(encoding="utf-8"))
    )


def _part(source: Iterator[str], mentions: Mentions, counts: dict[str, int], where: str) -> Texts:
    """The first paragraphs that mention the concept (forget) and that do not (retain); reads no further than that."""
    texts: Texts = {stream: [] for stream in counts}
    read = 0
    with tqdm(total=counts["forget"], desc=f"Paragraphs on {mentions.names[0]}", leave=False) as bar:
        while any(len(texts[stream]) < count for stream, count in counts.items()):
            if (text := next(source, None)) is None:
                break
            read += 1
            stream = "forget" if mentions(text) else "retain"
            if len(texts[stream]) < counts[stream]:
                texts[stream].append(text)
                bar.update(stream == "forget")
    if not texts["forget"]:
        raise UserError(
            f"None of the {read} paragraphs of {where} mentions {' or '.join(mentions.names)}",
            "Give another data.corpus=, or what the concept is called there with '+data.aliases.NAME=[ALIAS]'",
        )
    return texts


def _plain(stream: str, texts: list[str]) -> list[Example]:
    return [Example(f"{stream}-{number:05d}", "", text) for number, text in enumerate(texts, start=1)]


def _embedded(concept: str | int, aliases: dict[str, list[str]]) -> Concept:
    if str(concept).casefold() != FRANCE.casefold():
        raise UserError(
            f"Unknown concept '{concept}'. The embedded data has: {FRANCE}",
            "Give a file of concepts with data.path=FILE, or leave data.concept= out",
        )
    facts = [
        Example(row["id"], row["prompt"], row["response"], subject=row["subject"])
        for row in read_jsonl(EMBEDDED / "facts.jsonl", ("id", "subject", "prompt", "response"))
    ]
    names = called(FRANCE, aliases)
    return Concept(names, _questions("target"), _questions("unrelated"), facts, _texts("forget"), _texts("retain"))


def _questions(name: str) -> dict[str, list[Example]]:
    rows = read_jsonl(EMBEDDED / f"{name}.jsonl", ("id", "split", "prompt"))
    return {split: [Example(row["id"], row["prompt"]) for row in rows if row["split"] == split] for split in SPLITS}


def _texts(name: str) -> list[str]:
    return [row["text"] for row in read_jsonl(EMBEDDED / f"{name}.jsonl", ("id", "category", "text"))]
