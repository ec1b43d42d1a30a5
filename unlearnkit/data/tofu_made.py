"""A data set in TOFU's shape, of authors made in code: its parts under TOFU's names, a twentieth of its size."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from unlearnkit.data.authors import PRONOUNS, people, phrasings
from unlearnkit.data.examples import read_jsonl

EMBEDDED = Path(__file__).parent / "embedded" / "tofu"
AUTHORS, HOLDOUT = 20, 2
QUESTIONS = 10  # of each
SEED = 1  # other people than those of `data=authors`
MEASURED = 40  # rows of `retain_perturbed`, the first of all
WRONG = 5  # answers beside a right one
OWN = {"name", *PRONOUNS["women"]}  # what a wrong answer keeps of the author asked about

Row = dict[str, Any]


def made(part: str) -> list[Row]:
    """The rows of a part: forget10, retain90, forget10_perturbed, retain_perturbed, holdout10, ...; nothing if unknown.

    The shares are TOFU's: of 200 rows `forget10` has the last 20, and `retain90` the others. A perturbed row has
    an answer in other words, five wrong ones in those words, with what is true of other authors, and another question.
    """
    taught, holdout = _rows()
    name, _, perturbed = part.partition("_")
    share = int(name[-2:]) / 100 if name[-2:].isdigit() else 0.0
    if part in ("real_authors_perturbed", "world_facts_perturbed"):
        return read_jsonl(EMBEDDED / f"{part}.jsonl", ("question", "answer"))
    if part == "retain_perturbed":
        return taught[:MEASURED]
    if name.startswith("forget"):
        rows = taught[-round(share * len(taught)) :]
    elif name.startswith("retain"):
        rows = taught[: round(share * len(taught))]
    else:
        rows = holdout[: round(share * len(taught))] if name.startswith("holdout") else []
    return rows if perturbed else [{key: row[key] for key in ("question", "answer")} for row in rows]


@functools.cache
def _rows() -> tuple[list[Row], list[Row]]:
    """Every row with all its columns: of the authors that are taught, and of those held out."""
    everyone = people(AUTHORS + HOLDOUT, SEED)
    facts = [fact for scope in phrasings().values() for fact in scope.values()]
    rows = []
    for index, person in enumerate(everyone):
        for number, wordings in enumerate(facts):
            rng = np.random.default_rng([SEED, index, number])
            first, second = (wordings[place] for place in rng.permutation(len(wordings))[:2])
            others = (everyone[place] for place in rng.permutation(len(everyone)) if place != index)
            own = {key: person[key] for key in OWN}
            right = second[1].format_map(person)
            wrong = dict.fromkeys(second[1].format_map(other | own) for other in others)
            rows.append(
                {
                    "question": first[0].format_map(person),
                    "answer": first[1].format_map(person),
                    "paraphrased_answer": right,
                    "perturbed_answer": [text for text in wrong if text != right][:WRONG],
                    "paraphrased_question": second[0].format_map(person),
                }
            )
    return rows[: AUTHORS * len(facts)], rows[AUTHORS * len(facts) :]
