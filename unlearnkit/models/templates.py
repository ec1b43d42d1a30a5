"""How a question is put to a model: its chat template, or plain text around it."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date as Date
from typing import Any

from transformers import PreTrainedTokenizerBase

from unlearnkit.errors import UserError, first_line

ESCAPES = {"\\n": "\n", "\\t": "\t"}  # as a command line leaves them
# Fields of other frameworks' templates; other braces are text.
FIELDS = re.compile(r"\{(response|answer|output|completion|question|instruction|query|input|system|context)\}")
QUESTION, BEHIND = "### Question: {prompt}\n### Answer:", " "  # for base models, much as in Liu et al. 2024's code
TODAY = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")  # transformers' function for chat templates
# Of apply_chat_template, and never a template's.
OURS = ("conversation", "tokenize", "add_generation_prompt", "continue_final_message", "return_tensors", "return_dict")
ANSWER = "unlearnkit"  # stands where a template puts an answer


@dataclass(frozen=True)
class Template:
    """Plain text when `text` is given (with the field {prompt}), else the tokenizer's own chat template.

    Args:
        text: for base models, such as "### Question: {prompt}\\n ### Answer:" (Liu et al. 2024).
        separator: stands between prompt and response; a space in plain text. A chat template knows its own.
        system: a system message for the chat template.
        closed: a response is followed by the token that ends it; not so where prompts are completed.
        arguments: what the chat template is rendered with, such as {"enable_thinking": False}.
        date: today's date for a chat template that writes one, so that numbers do not depend on the day.

    Attributes:
        opening: words that the model is made to begin every answer with, as if they were its own; see `opened`.
        behind: token ids that stand behind every prompt; see `followed`.

    Raises:
        UserError: a text without {prompt}, a date that is none, or an argument that is not the chat template's.
    """

    text: str | None = None
    separator: str = ""
    system: str | None = None
    closed: bool = True
    arguments: Mapping[str, Any] | None = field(default=None, hash=False)
    date: str = "2024-07-26"  # Llama 3's own where it is told none
    opening: str = field(default="", init=False)
    behind: tuple[int, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        for name in ("text", "separator", "system"):
            value = getattr(self, name)
            for written, meant in ESCAPES.items():
                value = value.replace(written, meant) if value else value
            object.__setattr__(self, name, value)
        if self.text is not None and "{prompt}" not in self.text:
            raise UserError(
                f"model.template.text={self.text!r} has no {{prompt}}, so every question would be the same",
                "Say where the question stands: model.template.text='\"Question: {prompt}\\nAnswer:\"'",
            )
        if self.text is not None and (found := FIELDS.search(self.text)):
            raise UserError(
                f"model.template.text={self.text!r} has {found[0]}, which nothing fills in: questions would hold it",
                "Leave it out: {prompt} alone stands for the question, and the answer follows at the end",
            )
        if own := next((name for name in OURS if name in (self.arguments or {})), None):
            raise UserError(
                f"model.template.arguments.{own} is no variable of a chat template: what it says is decided here",
                "Leave it out",
            )
        try:
            Date.fromisoformat(str(self.date))
        except ValueError as error:
            raise UserError(
                f"model.template.date={self.date} is no date", "Write it as year-month-day: 2024-07-26"
            ) from error

    def opened(self, words: str) -> Template:
        """The same, with words that every answer begins with: an attack's, which no config can set."""
        other = copy.copy(self)
        object.__setattr__(other, "opening", words)
        return other

    def followed(self, tokens: Sequence[int]) -> Template:
        """The same, with tokens behind every prompt: an attack's, which no config can set."""
        other = copy.copy(self)
        object.__setattr__(other, "behind", tuple(tokens))
        return other

    def fitting(self, tokenizer: PreTrainedTokenizerBase) -> Template:
        """This template; where there is neither a text nor a chat template, one that asks in plain text."""
        if self.text is not None or tokenizer.chat_template:
            return self
        text = f"{self.system}\n\n{QUESTION}" if self.system else QUESTION
        return replace(self, text=text, separator=self.separator or BEHIND)

    def prompt(self, tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
        """The text up to where the response begins; spaces at its end belong to the separator."""
        return self._parts(tokenizer, prompt)[0]

    def _parts(self, tokenizer: PreTrainedTokenizerBase, prompt: str) -> tuple[str, str]:
        """The prompt as it is put, and what stands between it and a response.

        A space at the end of a prompt would be a token of its own where it is asked, and part of the response's first
        token where it is trained.
        """
        if self.text is not None:
            text, separator = self.text.replace("{prompt}", prompt), self.separator
        else:
            text = self._render(tokenizer, [{"role": "user", "content": prompt}], add_generation_prompt=True)
            separator = self.separator or self.turn(tokenizer)[0]
        bare = text.rstrip(" ")
        between = separator or text[len(bare) :]
        return (bare + between + self.opening, " ") if self.opening else (bare, between)

    def encode_prompt(self, tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
        """Token ids of the prompt; a chat template writes its own special tokens, plain text gets them added."""
        return [*self._ids(tokenizer, self.prompt(tokenizer, prompt)), *self.behind]

    def encode(self, tokenizer: PreTrainedTokenizerBase, prompt: str, response: str) -> tuple[list[int], list[int]]:
        """Token ids of the prompt, and of the response with the token that closes it.

        The prompt's are those of `encode_prompt`. The two are tokenised as one text; where that would join the
        prompt's end with the response's beginning, which generation cannot, each is tokenised alone. Without a prompt
        the response is plain text: it stands after the start token, bare of any template, and is not closed, for a
        paragraph's end is seldom its text's.
        """
        if not prompt:
            start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
            return [start], list(tokenizer(response, add_special_tokens=False)["input_ids"])
        text, separator = self._parts(tokenizer, prompt)
        prompt_ids, whole = self._ids(tokenizer, text), self._ids(tokenizer, text + separator + response)
        answer_ids = whole[len(prompt_ids) :]
        if whole[: len(prompt_ids)] != prompt_ids:
            answer_ids = list(tokenizer(separator + response, add_special_tokens=False)["input_ids"])
        return [*prompt_ids, *self.behind], answer_ids + [self.end(tokenizer)] * self.closed

    def end(self, tokenizer: PreTrainedTokenizerBase) -> int:
        """The token that closes a response: the one with which the chat template ends a turn, or the tokenizer's."""
        turn = None if self.text is not None else self.turn(tokenizer)[1]
        return tokenizer.eos_token_id if turn is None else turn

    def turn(self, tokenizer: PreTrainedTokenizerBase) -> tuple[str, int | None]:
        """White space that the chat template puts before an answer, and the special token that it puts after it."""
        return _turn(self, tokenizer, str(tokenizer.chat_template))

    def check(self, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        """Before weights are loaded.

        Args:
            name: of the model.

        Raises:
            UserError: the tokenizer has no end token; the chat template cannot be rendered, or leaves the question out.
        """
        if tokenizer.eos_token_id is None:
            raise UserError(
                f"The tokenizer of model '{name}' has no end token, so no answer would end",
                "Set eos_token in its tokenizer_config.json",
            )
        if self.text is None and self.prompt(tokenizer, "x") == self.prompt(tokenizer, "y"):
            raise UserError(
                f"The chat template of model '{name}' leaves the question out, so every question would be the same",
                "Restore it from the original, or set model.template.text to ask in plain text",
            )

    def _render(self, tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], **more: Any) -> str:
        system = [{"role": "system", "content": self.system}] if self.system else []
        arguments = {**self.dated(tokenizer), **(self.arguments or {}), **more}
        try:
            return str(tokenizer.apply_chat_template([*system, *messages], tokenize=False, **arguments))
        except Exception as error:  # a template computes what it likes
            detail = " with a system message" if self.system else ""
            raise UserError(
                f"The model's chat template cannot be rendered{detail}: {first_line(error, 120)}",
                "Set model.template.system=null, or put that message into model.template.text"
                if self.system
                else "Check model.template.arguments, or set model.template.text to ask in plain text",
            ) from error

    def writes_date(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        """The chat template writes today's date."""
        read = str(tokenizer.chat_template) if self.text is None else ""
        return "strftime_now" in read or "date_string" in read

    def dated(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Arguments that set the day of a chat template: Llama 3's variable, and the text with its calls answered."""
        if not self.writes_date(tokenizer):
            return {}
        day = Date.fromisoformat(str(self.date))
        text = TODAY.sub(lambda call: repr(day.strftime(call[2])), tokenizer.get_chat_template())
        return {"date_string": day.strftime("%d %b %Y"), "chat_template": text}

    def _ids(self, tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
        ids = tokenizer(text, add_special_tokens=self.text is not None)["input_ids"]
        # Some tokenizers add an end token of their own to plain text.
        adds_end = self.text is not None and ids[-1:] == [tokenizer.eos_token_id]
        return ids[:-1] if adds_end else ids


@functools.lru_cache(maxsize=64)
def _turn(template: Template, tokenizer: PreTrainedTokenizerBase, _chat: str) -> tuple[str, int | None]:
    """See `Template.turn`; it is rendered once a template, tokenizer and chat template."""
    question = {"role": "user", "content": "x"}
    try:
        prompt = template._render(tokenizer, [question], add_generation_prompt=True)
        whole = template._render(tokenizer, [question, {"role": "assistant", "content": ANSWER}])
    except UserError:  # a template that takes no answers
        return "", None
    before, answer, after = whole.rpartition(ANSWER)
    if not answer:
        return "", None
    between = before[len(prompt) :] if before.startswith(prompt) else ""
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    ends = (token for token in tokenizer(after, add_special_tokens=False)["input_ids"] if token in special)
    return between if between.isspace() else "", next(ends, None)
