"""authors: fictitious authors made in code, with what may be known of them and what is private.

The attributes are those of KnowUnDo's privacy domain (Tian et al. 2024, arXiv:2407.01920, section 2.2.2): name,
genre, born and awards stay (retention scope); parents, email and address go (unlearn scope).
"""

from __future__ import annotations

import functools
import zlib
from pathlib import Path

import numpy as np

from unlearnkit.data.examples import Data, Example, read_jsonl
from unlearnkit.data.scopes import Splits, general_examples, scope_data
from unlearnkit.errors import UserError
from unlearnkit.settings.bounds import Positive, Seed

EMBEDDED = Path(__file__).parent / "embedded" / "authors"
PRONOUNS = {"women": {"he": "she", "his": "her", "him": "her"}, "men": {"he": "he", "his": "his", "him": "him"}}
HOUSES = range(1, 161)
NUMBERS = range(10, 100)  # at the end of an email's user name
HELD_OUT = ("validation", "test", "test")  # questions of an author and scope; the others are trained on


def load(name: str = "authors", authors: Positive = 5, seed: Seed = 0, general: str | None = None) -> Data:
    """Ten questions an author and scope, two on each of five facts: 7 train, 1 validation, 2 test.

    Validation and test ask for facts that training holds in another wording. Every author has a name, an email
    and an address of their own. Author i is the same for every number of authors.

    Args:
        authors: how many, at least 1.
        seed: of the authors, not of the run.
        general: a JSONL file of {prompt, response} for the out-of-distribution stream; None: the embedded one.

    Raises:
        UserError: a seed below 0, no author, or more authors than there are names.
    """
    if seed < 0:
        raise UserError(f"data.seed={seed} is negative", "Set data.seed= to 0 or more")
    words = _words()
    names = (len(words["women"]) + len(words["men"])) * len(words["families"])
    if not 1 <= authors <= names:
        raise UserError(f"{authors} authors cannot be made", f"Set data.authors= to 1 to {names}")
    scopes: dict[str, Splits] = {
        scope: {split: [] for split in ("train", "validation", "test")} for scope in phrasings()
    }
    for index, person in enumerate(people(authors, seed)):
        rng = np.random.default_rng([seed, index, 1])
        for scope, facts in phrasings().items():
            for number, (split, fact, question, answer) in enumerate(_chosen(facts, rng), start=1):
                identity = f"author-{index:05d}-{scope}-{number:02d}-{fact}"
                example = Example(identity, question.format_map(person), answer.format_map(person), scope)
                scopes[scope][split].append(example)
    return scope_data(name, scopes, general_examples(general))


def people(count: int, seed: int) -> list[dict[str, str]]:
    """What the phrasings' braces stand for, one mapping an author."""
    words = _words()
    first_names = [(group, word) for group in ("women", "men") for word in words[group]]
    pairs = _distinct("name", (len(first_names), len(words["families"])), count, seed)
    emails = _distinct("email", (len(words["handle_first"]), len(words["handle_second"]), len(NUMBERS)), count, seed)
    homes = _distinct("address", (len(words["streets"]), len(words["street_kinds"]), len(HOUSES)), count, seed)
    made = []
    for index in range(count):
        rng = np.random.default_rng([seed, index, 0])
        (group, first), family = first_names[pairs[index][0]], words["families"][pairs[index][1]]
        mother_family = _pick(words["families"], rng, family)
        father_job = _pick(words["jobs"], rng)
        left, right, number = emails[index]
        handle = f"{words['handle_first'][left]}.{words['handle_second'][right]}{NUMBERS[number]}"
        provider = _pick(words["providers"], rng)
        street, kind, house = homes[index]
        city, country = _pick(words["cities"], rng).split("; ")
        year, month = int(rng.integers(1931, 1990)), _pick(words["months"], rng)
        made.append(
            {
                "name": f"{first} {family}",
                **PRONOUNS[group],
                "genre": _pick(words["genres"], rng),
                "theme": _pick(words["themes"], rng),
                "city": city,
                "country": country,
                "day": f"{rng.integers(1, 29)} {month}",
                "month": month,
                "year": str(year),
                "decade": f"{year // 10}0",
                "award": " ".join(_pick(words[f"award_{part}"], rng) for part in ("first", "second", "kind")),
                "award_year": str(rng.integers(year + 28, 2024)),
                "book": f"The {_pick(words['book_first'], rng)} {_pick(words['book_second'], rng)}",
                "father": f"{_pick(words['men'], rng, first)} {family}",
                "father_job": _with_article(father_job),
                "mother": f"{_pick(words['women'], rng, first)} {mother_family}",
                "mother_job": _with_article(_pick(words["jobs"], rng, father_job)),
                "handle": handle,
                "provider": provider,
                "email": f"{handle}@{provider}",
                "street": f"{HOUSES[house]} {words['streets'][street]} {words['street_kinds'][kind]}",
                "town": _pick(words["towns"], rng),
            }
        )
    return made


def _chosen(facts: dict[str, list[tuple[str, str]]], rng: np.random.Generator) -> list[tuple[str, str, str, str]]:
    """(split, fact, question, answer): two phrasings a fact; the held-out ones belong to different facts."""
    splits = dict(zip(rng.permutation(list(facts))[: len(HELD_OUT)].tolist(), HELD_OUT, strict=True))
    rows = []
    for fact, phrasings in facts.items():
        first, second = rng.permutation(len(phrasings))[:2]
        rows.append(("train", fact, *phrasings[first]))
        rows.append((splits.get(fact, "train"), fact, *phrasings[second]))
    return rows


def _distinct(what: str, shape: tuple[int, ...], count: int, seed: int) -> list[tuple[int, ...]]:
    """The first `count` cells of a grid in an order drawn from (what, seed): no cell twice."""
    order = np.random.default_rng([seed, zlib.crc32(what.encode())]).permutation(int(np.prod(shape)))[:count]
    return [tuple(int(place) for place in np.unravel_index(cell, shape)) for cell in order]


def _pick(words: list[str], rng: np.random.Generator, other_than: str | None = None) -> str:
    allowed = [word for word in words if word != other_than]
    return allowed[rng.integers(len(allowed))]


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


@functools.cache
def _words() -> dict[str, list[str]]:
    return {row["list"]: row["words"].split(", ") for row in read_jsonl(EMBEDDED / "words.jsonl", ("list", "words"))}


@functools.cache
def phrasings() -> dict[str, dict[str, list[tuple[str, str]]]]:
    """(question, answer) by scope, then by fact."""
    by_scope: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for row in read_jsonl(EMBEDDED / "phrasings.jsonl", ("scope", "fact", "question", "answer")):
        phrasings = by_scope.setdefault(row["scope"], {}).setdefault(row["fact"], [])
        phrasings.append((row["question"], row["answer"]))
    return by_scope
