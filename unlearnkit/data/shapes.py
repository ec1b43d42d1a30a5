"""Rows as known data sets ship them -> the same rows under usual column names, or the option that takes them."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unlearnkit.errors import UserError, beginning

Values = Mapping[str, Any]
WRONG = "perturbed_answer"  # the usual name of answers that are wrong


def usual(place: str, values: Values) -> dict[str, Any]:
    """The row's columns, those of a known shape renamed; a row of another shape as it is.

    Raises:
        UserError: a shape that another option takes, or a question whose answer is none of its choices.
    """
    for needed, takes in REFUSED.items():
        if set(needed) <= set(values):
            raise UserError(f"{place}: a row of {', '.join(needed)}", takes)
    for needed, read in KNOWN.items():
        if set(needed) <= set(values):
            try:
                return read(values)
            except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
                raise UserError(
                    f"{place}: a row of {', '.join(needed)}, but not in the shape known by these"
                    f" ({beginning(repr(error))})",
                    "Name its columns with data.columns.prompt= and data.columns.response=",
                ) from error
    return dict(values)


def _without(values: Values, *columns: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in columns}


def _counterfact(values: Values) -> dict[str, Any]:
    """CounterFact (Meng et al. 2022): the fact as it is true; its rewriting is a wrong answer."""
    rewrite = values["requested_rewrite"]
    prompt = rewrite["prompt"].format(rewrite["subject"])
    row = {"prompt": prompt, "response": rewrite["target_true"]["str"], WRONG: [rewrite["target_new"]["str"]]}
    return row | ({"id": values["case_id"]} if "case_id" in values else {})


def _zsre(values: Values) -> dict[str, Any]:
    """zsRE as MEND and ROME ship it: `src` asks, `answers` are right, `alt` is what an edit would write."""
    right = values.get("answers") or [values["pred"]]
    return {"prompt": values["src"], "response": right} | ({WRONG: [values["alt"]]} if values.get("alt") else {})


def _knowundo(values: Values) -> dict[str, Any]:
    """KnowUnDo (Tian et al. 2024): `text` asks and `labels` is its answer."""
    if not isinstance(values["labels"], str):
        raise TypeError("labels is no text")
    return _without(values, "text", "labels") | {"prompt": values["text"], "response": values["labels"]}


def _stem(values: Values) -> dict[str, Any]:
    """ARC as AI2 ships it: the choices stand inside the question."""
    if not isinstance(values["question"], dict):
        return dict(values)
    return _choices({**values, "question": values["question"]["stem"], "choices": values["question"]["choices"]})


def _choices(values: Values, labels: Sequence[str] = ()) -> dict[str, Any]:
    """MMLU, WMDP, ARC, Social IQA: the response is the text of the right choice, the others are wrong answers.

    A choice is named by its place from 0, by its label, or by its text.

    Args:
        labels: what the choices are called where they stand in columns of their own.

    Raises:
        ValueError: no choice has that name, or two have, in two ways.
    """
    column = "choices" if "choices" in values else "options"
    offered = values[column]
    key = values["answerKey"] if "answerKey" in values else values["answer"]
    if isinstance(offered, Mapping):  # {text: [...], label: [...]}
        texts, labels = list(offered["text"]), list(offered["label"])
    elif all(isinstance(choice, Mapping) for choice in offered):  # [{text, label}, ...]
        texts, labels = [choice["text"] for choice in offered], [choice["label"] for choice in offered]
    else:
        texts = list(offered)
    right = _named(key, texts, labels)
    others = [text for place, text in enumerate(texts) if place != right]
    return _without(values, column, "answerKey", "answer") | {"response": texts[right], WRONG: others}


def _named(key: Any, texts: Sequence[Any], labels: Sequence[Any]) -> int:
    """The place of the choice that a row's answer names; labels of the data's own say it alone."""
    if str(key) in (own := [str(label) for label in labels]):
        return own.index(str(key))
    places = {place for place, text in enumerate(texts) if key == text and not isinstance(key, bool)}
    if not own and str(key) in (letters := list(string.ascii_uppercase[: len(texts)])):
        places.add(letters.index(str(key)))
    if str(key).isdecimal() and int(str(key)) < len(texts):
        places.add(int(str(key)))
    if len(places) > 1:
        raise ValueError(f"answer {key} is the name of one choice and the text of another: {texts}")
    if not places:
        raise ValueError(f"answer {key} of {len(texts)} choices")
    return places.pop()


def _numbered(values: Values) -> dict[str, Any]:
    """The choices in columns of their own: choice0, choice1, ... (MMLU as CSV) or A, B, ..."""
    names = [name for name in (*(f"choice{n}" for n in range(26)), *string.ascii_uppercase) if name in values]
    choices = [str(values[name]) for name in names]
    return _choices(_without(values, *names) | {"choices": choices}, [name.removeprefix("choice") for name in names])


def _social_iqa(values: Values) -> dict[str, Any]:
    """Social IQA: `answerA` to `answerC`; `label` or `correct` counts from 1, or is a letter."""
    key = str(values["label"] if "label" in values else values["correct"])
    place = "123".find(key) if key.isdigit() else "ABC".find(key.upper())
    if place < 0 or len(key) != 1:
        raise ValueError(f"label {key}")
    texts = [values[f"answer{letter}"] for letter in "ABC"]
    rest = _without(values, "answerA", "answerB", "answerC", "label", "correct")
    return rest | {"response": texts[place], WRONG: texts[:place] + texts[place + 1 :]}


KNOWN: dict[tuple[str, ...], Callable[[Values], dict[str, Any]]] = {
    ("requested_rewrite",): _counterfact,
    ("src", "pred"): _zsre,
    ("src", "answers"): _zsre,
    ("text", "labels"): _knowundo,
    ("answerA", "answerB", "answerC"): _social_iqa,
    ("question", "choices", "answer"): _choices,
    ("question", "choices", "answerKey"): _choices,
    ("question", "options", "answer"): _choices,
    ("question", "answerKey"): _stem,
    ("question", "choice0", "choice1", "answer"): _numbered,
    ("question", "A", "B", "answer"): _numbered,
}
# What one row of data.forget= or data.retain= cannot hold, and what takes it.
REFUSED = {
    ("response_0", "response_1"): "These are pairs of SafeRLHF: data=saferlhf data.path=FILE takes them",
    ("article", "questions"): "These are passages of RACE, several questions each: give one question a row",
    ("chosen", "rejected"): "These are preference pairs: choose one, data.columns.response=chosen or =rejected, with"
    " data.columns.prompt=COLUMN",
    ("Concept", "QA"): "These are concepts of ConceptVectors: data=concepts data.path=FILE takes them",
    ("subject", "attribute", "relation_id"): "These are facts of ROME: data=facts data.path=FILE takes them",
}
