"""Which columns of a row hold the prompt, the response and what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from unlearnkit.data.rows import Row
from unlearnkit.data.shapes import usual
from unlearnkit.errors import UserError, beginning
from unlearnkit.files import writable

# By what they are usually called; the first that a row has is taken.
USUAL: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "query"),
    "response": ("response", "answer", "output", "completion", "answers"),
    "messages": ("messages", "conversations"),
    "text": ("text",),
    "system": ("system",),
    "context": ("context",),
    "input": ("input",),
    "paraphrases": ("paraphrases", "paraphrased_answer"),
    "wrong": ("wrong", "perturbed_answer"),
    "id": ("id",),
    "category": ("category",),
    "split": ("split",),
}
TEXTS = ("prompt", "response", "messages", "text", "system", "context", "input", "paraphrases", "wrong")
SPEAKERS = {"human": "user", "gpt": "assistant"}  # ShareGPT's words
EXCHANGE = "one user message and the assistant's answer, a system message before them if there is one"


@dataclass(frozen=True)
class Read:
    """A row as it is read; without a prompt the response is plain text. `id` and `category` may be absent.

    `alternatives` are other answers by kind (`Example.alternatives`); `unread` the columns that nothing was taken from.
    """

    place: str
    prompt: str
    response: str
    id: str | None
    category: str | None
    split: str | None
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Names of columns; None finds a column by its usual name.

    A prompt is what stands in `system`, `context`, `prompt` and `input`, in this order, a blank line between. Of
    several responses the first is taken, and the others are paraphrases of it. `paraphrases` and `wrong` hold other
    answers, right and wrong ones, a text or a list. Rows of known data sets come in their own columns
    (`shapes.usual`).

    Raises:
        UserError: two texts of a row in one column.
    """

    prompt: str | None = None
    response: str | None = None
    messages: str | None = None
    text: str | None = None
    system: str | None = None
    context: str | None = None
    input: str | None = None
    paraphrases: str | None = None
    wrong: str | None = None
    id: str | None = None
    category: str | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        by_column: dict[str, str] = {}
        for kind in TEXTS:
            name = getattr(self, kind)
            if name is not None and (other := by_column.setdefault(name, kind)) != kind:
                raise UserError(
                    f"data.columns.{other}={name} and data.columns.{kind}={name} are one column",
                    "Name another for one of them, or leave it out",
                )

    def read(self, row: Row) -> Read:
        """The row's texts: of prompt and response, else of messages, else text alone; a column that is named wins.

        Raises:
            UserError: a column that is missing, with those that are there; a field that is empty or no text.
        """
        columns = {kind.name: getattr(self, kind.name) for kind in fields(self)}
        for kind, name in columns.items():
            if name is not None and name not in row.values:
                raise UserError(
                    f"{row.place}: no column '{name}'; it has: {', '.join(map(str, row.values)) or 'none'}",
                    f"Set data.columns.{kind}= to one of these, or leave it out",
                )
        if not any(columns[kind] for kind in ("prompt", "response", "messages", "text")):
            row = replace(row, values=usual(row.place, row.values))
        prompt, response = self._prompt_and_response(row)
        alternatives = self._alternatives(row)
        for text in (prompt, response, *(text for texts in alternatives.values() for text in texts)):
            if not writable(text):
                raise UserError(f"{row.place}: it holds a lone surrogate, half of a character", "Mend or remove it")
        return Read(
            row.place, prompt, response, self._word(row, "id"), self._word(row, "category"),
            self._word(row, "split") or row.split, alternatives, self._unread(row),
        )  # fmt: skip

    def _unread(self, row: Row) -> tuple[str, ...]:
        read = {self._name(row, kind) for kind in USUAL}
        return tuple(str(name) for name in row.values if name not in read)

    def _alternatives(self, row: Row) -> dict[str, tuple[str, ...]]:
        """Other answers by kind, the own one not among them."""
        alternatives = {kind: self._texts(row, self._name(row, kind)) for kind in ("paraphrases", "wrong")}
        own = self._texts(row, self._name(row, "response"))
        alternatives["paraphrases"] = (*own[1:], *alternatives["paraphrases"])
        return {
            kind: texts for kind, each in alternatives.items() if (texts := tuple(t for t in each if t not in own[:1]))
        }

    def _texts(self, row: Row, name: str | None) -> tuple[str, ...]:
        """One text or several; none for messages, which are read as an exchange."""
        value: Any = row.values[name] if name else None
        if isinstance(value, dict):
            value = value.get("text")
        if _are_messages(value):
            return ()
        texts = tuple(_plain(text).strip() for text in (value if isinstance(value, list) else [value]))
        if isinstance(value, list) and not all(texts):
            raise UserError(f"{row.place}: the column '{name}' holds an empty answer or no text", "Mend or remove it")
        return tuple(text for text in texts if text)

    def _prompt_and_response(self, row: Row) -> tuple[str, str]:
        there = {kind: self._name(row, kind) for kind in USUAL}
        there["prompt"] = there["prompt"] or there["input"]
        configured = [kind for kind in ("messages", "text") if getattr(self, kind)]
        if not configured and (there["prompt"] and there["response"]):
            before = [self._beside(row, there[kind]) for kind in ("system", "context")]
            after = self._beside(row, there["input"]) if there["input"] != there["prompt"] else ""
            prompt = self._text(row, there["prompt"], ("system", "user"))
            response = self._text(row, there["response"], ("assistant",))
            return _joined(*before, prompt, after), response
        if there["messages"] and configured != ["text"]:
            before = [self._beside(row, there[kind]) for kind in ("system", "context")]
            prompt, response = _exchange(row, there["messages"])
            return _joined(*before, prompt), response
        if there["text"] and not (there["prompt"] or there["response"]) or configured == ["text"]:
            return "", self._text(row, there["text"], ())
        lacking = "response" if there["prompt"] else "prompt"
        raise UserError(
            f"{row.place}: no column for the {lacking} ({', '.join(USUAL[lacking])}); it has:"
            f" {', '.join(map(str, row.values)) or 'none'}",
            f"Name it with data.columns.{lacking}=COLUMN, or plain text with data.columns.text=COLUMN",
        )

    def _name(self, row: Row, kind: str) -> str | None:
        if (name := getattr(self, kind)) is not None:
            return str(name)
        called = {str(name).strip().casefold(): name for name in row.values}
        return next((called[name] for name in USUAL[kind] if name in called), None)

    def _word(self, row: Row, kind: str) -> str | None:
        name = self._name(row, kind)
        value = row.values[name] if name else None
        if isinstance(value, dict):  # BeaverTails' flags
            value = ", ".join(str(flag) for flag, holds in value.items() if holds is True)
        return None if value is None or value != value or not str(value).strip() else str(value).strip()

    def _beside(self, row: Row, name: str | None) -> str:
        """A text beside the prompt, which may be empty."""
        return _plain(row.values[name]).strip() if name and row.values[name] is not None else ""

    def _text(self, row: Row, name: str | None, speakers: tuple[str, ...]) -> str:
        value: Any = row.values[name] if name else None
        if isinstance(value, dict):  # SQuAD's answers
            value = value.get("text")
        if _are_messages(value):
            value = _spoken_text(value, speakers) if speakers else ""
        elif isinstance(value, list) and (len(value) < 2 or "assistant" in speakers):  # several right answers
            value = value[0] if value else None
        text = _plain(value).strip()
        if not text:
            problem = (
                "is empty" if value is None or isinstance(value, str) else f"holds no text: {beginning(str(value), 80)}"
            )
            raise UserError(f"{row.place}: the column '{name}' {problem}", "Mend or remove this row and run again")
        return text


def _plain(value: Any) -> str:
    """Text, or a number as text; nothing for NaN, which is how a table says that a cell is empty."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) and value == value else ""


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(message, dict) for message in value)


def _speaker(message: dict[str, Any]) -> str:
    role = str(message.get("role", message.get("from", "")))
    return SPEAKERS.get(role, role)


def _spoken_text(messages: list[dict[str, Any]], speakers: tuple[str, ...]) -> str:
    """What these say, one message each in this order; empty where another speaks, or one twice."""
    order = [_speaker(message) for message in messages]
    if not order or order != [speaker for speaker in speakers if speaker in order] or order[-1] != speakers[-1]:
        return ""
    return _joined(*(_content(message.get("content", message.get("value"))) for message in messages))


def _content(value: Any) -> str:
    """A message's text, which may come in parts; empty where a part is no text."""
    if _are_messages(value):
        return _joined(*map(_plain, texts)) if all(texts := [part.get("text") for part in value]) else ""
    return _plain(value).strip()


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _exchange(row: Row, name: str | None) -> tuple[str, str]:
    """Prompt and response of a conversation of one turn.

    Raises:
        UserError: another conversation.
    """
    value: Any = row.values[name] if name else None
    if not _are_messages(value):
        raise UserError(f"{row.place}: '{name}' holds no messages: {beginning(str(value), 80)}", f"Give {EXCHANGE}")
    prompt, response = _spoken_text(value[:-1], ("system", "user")), _spoken_text(value[-1:], ("assistant",))
    if not (prompt and response):
        speakers = ", ".join(map(_speaker, value))
        raise UserError(
            f"{row.place}: '{name}' is no single exchange with both its texts: {speakers}", f"Give {EXCHANGE}"
        )
    return prompt, response
