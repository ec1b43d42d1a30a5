"""What a model answered, read strictly: each parser returns what was asked for or raises `Malformed`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from unlearnkit.errors import beginning


class Malformed(ValueError):
    """Why an answer is refused; the request is then made again."""


def fold(text: str) -> str:
    """Without regard to case, spacing and the shape of apostrophes; for comparing, not for showing."""
    return " ".join(text.replace("\u2019", "'").split()).casefold()


def lines(text: str) -> list[str]:
    """The lines with something on them, out of one code fence if the whole answer stands in one."""
    fenced = re.fullmatch(r"```\w*\n(.*?)\n```", text.strip(), re.DOTALL)
    texts = [line.strip() for line in (fenced[1] if fenced else text).split("\n") if line.strip()]
    if not texts:
        raise Malformed("the answer is empty")
    return texts


def profile(text: str, name: str, attributes: Sequence[str]) -> dict[str, str]:
    """{attribute: value} of `Attribute: value` lines, each attribute once and nothing else, `name` being the name."""
    values: dict[str, str] = {}
    for line in lines(text):
        key, _, value = line.partition(":")
        key, value = fold(key), value.strip()
        if key not in attributes:
            raise Malformed(f"'{_short(line)}' is no line of {', '.join(attributes)}")
        if key in values:
            raise Malformed(f"'{key}' is there twice")
        values[key] = _filled(value, key)
    missing = [key for key in attributes if key not in values]
    if missing:
        raise Malformed(f"'{missing[0]}' is missing")
    if fold(values.get("name", name)) != fold(name):
        raise Malformed(f"the profile is of '{_short(values['name'])}' and not of '{name}'")
    if "@" not in values.get("email", "@"):
        raise Malformed(f"'{_short(values['email'])}' is no email address")
    return values


def questions(text: str, name: str, types: Iterable[str], count: int) -> list[tuple[str, str, str]]:
    """`count` (question, answer, type) of `Q: `, `A: `, `type: ` lines in turn; `name` in every question."""
    entries, known = lines(text), list(types)
    if len(entries) != 3 * count:
        raise Malformed(f"{len(entries)} lines and not {3 * count}: Q, A and type for {count} questions")
    rows = []
    for start in range(0, len(entries), 3):
        question, answer, kind = (
            _after(label, line) for label, line in zip(("Q", "A", "type"), entries[start : start + 3], strict=True)
        )
        if fold(kind) not in known:
            raise Malformed(f"the type '{_short(kind)}' is none of {', '.join(known)}")
        rows.append((_naming(name, question), answer, fold(kind)))
    return rows


def queries(text: str, title: str, count: int) -> list[str]:
    """`count` numbered lines, `title` in each."""
    entries = numbered(text)
    if len(entries) != count:
        raise Malformed(f"{len(entries)} queries and not {count}")
    return [_naming(title, query) for query in entries]


def pairs(text: str, most: int) -> list[tuple[str, str]]:
    """1 to `most` numbered lines `subject | object`, equal ones once; none for the one word `none`."""
    if fold(text).rstrip(".") == "none":
        return []
    distinct: dict[tuple[str, str], tuple[str, str]] = {}
    items = numbered(text)
    if len(items) > most:
        raise Malformed(f"{len(items)} pairs and not {most} or fewer")
    for item in items:
        parts = [part.strip() for part in item.split("|")]
        if len(parts) != 2:
            raise Malformed(f"'{_short(item)}' is not 'subject | object'")
        subject, other = _filled(parts[0], "subject"), _filled(parts[1], "object")
        if fold(subject) == fold(other):
            raise Malformed(f"'{_short(item)}' pairs something with itself")
        distinct.setdefault((fold(subject), fold(other)), (subject, other))
    return list(distinct.values())


def verdict(text: str) -> bool:
    """True or False, the one word."""
    word = fold(text).rstrip(".")
    if word not in ("true", "false"):
        raise Malformed(f"'{_short(text)}' is neither True nor False")
    return word == "true"


def answer(text: str, refusals: Iterable[str] = ()) -> str:
    """The whole text; refused if it is empty or begins as one of `refusals` does."""
    response = _filled(text.strip(), "answer")
    for opening in refusals:
        if fold(response).startswith(fold(opening)):
            raise Malformed(f"the model declined: '{_short(response)}'")
    return response


def numbered(text: str) -> list[str]:
    """The items of a list numbered from 1, an item a line and nothing else."""
    items = []
    for number, line in enumerate(lines(text), start=1):
        match = re.fullmatch(r"(\d+)[.)]\s+(.+)", line)
        if match is None or int(match[1]) != number:
            raise Malformed(f"'{_short(line)}' is not '{number}. ...'")
        items.append(_filled(match[2], f"item {number}"))
    return items


def _after(label: str, line: str) -> str:
    start, colon, rest = line.partition(":")
    if not colon or fold(start) != fold(label):
        raise Malformed(f"'{_short(line)}' is not '{label}: ...'")
    return _filled(rest.strip(), label)


def _naming(name: str, question: str) -> str:
    if fold(name) not in fold(question):
        raise Malformed(f"'{_short(question)}' does not name '{name}'")
    return question


def _filled(value: str, what: str) -> str:
    """The value; refused if there is none, or only the placeholder of the format that was shown."""
    if not value:
        raise Malformed(f"the {what} is empty")
    if re.fullmatch(r"<[^<>]*>|\[[^\[\]]*\]|\.\.\.|\u2026", value):
        raise Malformed(f"the {what} is the placeholder '{_short(value)}'")
    return value


def _short(text: str) -> str:
    return beginning(text.strip().replace("\n", " "), 60)
