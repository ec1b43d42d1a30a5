"""Questions with the original model's greedy answers, laid into packed rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from unlearnkit.errors import UserError, beginning
from unlearnkit.models import LanguageModel
from unlearnkit.models.attention import packed_inputs
from unlearnkit.models.packing import pack
from unlearnkit.records.generate import decoded, frame


@dataclass(frozen=True)
class Question:
    """One question, answered.

    Args:
        prompt: token ids under the model's template.
        answer: token ids, the end token included where the model ended the answer itself.
        compared: positions of prompt + answer whose next-token logits are compared.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    compared: tuple[int, ...]


@dataclass
class Row:
    """Several questions in one packed row of T tokens; what their prompts begin with alike stands there once.

    Args:
        inputs: keyword arguments of the model's forward.
        keep: (K,) positions of the row whose logits are compared.
        owner: (K,) the question, counted over all rows, that each belongs to.
    """

    inputs: dict[str, Any]
    keep: torch.Tensor
    owner: torch.Tensor


def ask(model: LanguageModel, prompts: list[str], tokens: int, as_published: bool = False) -> list[Question]:
    """Greedy answers of at most `tokens` tokens; `compared` predicts every one of them, the end token too.

    Args:
        as_published: compare what the authors' notebook compares, see `published_positions`.

    Raises:
        UserError: more than the context holds.
    """
    prompt_ids = [tuple(model.template.encode_prompt(model.tokenizer, prompt)) for prompt in prompts]
    laid = frame(prompt_ids)
    width = laid.width
    if width + tokens > model.max_length:
        longest = max(range(len(prompt_ids)), key=lambda number: len(prompt_ids[number]))
        lower = "Set eval.krs.tokens= lower, or shorten" if width < model.max_length else "Shorten or remove"
        raise UserError(
            f"The question {beginning(prompts[longest], 60)!r} has {width} tokens and its answer up to {tokens}:"
            f" the context of '{model.name}' holds {model.max_length}",
            f"{lower} the question",
        )
    questions = []
    for prompt, (bare, end) in zip(prompt_ids, decoded(model, prompt_ids, laid, tokens), strict=True):
        if as_published:
            padding = model.tokenizer.eos_token_id
            compared = published_positions(prompt, tuple(bare), width, padding)
            # Nothing is predicted from the last token of an answer, so one more makes the published last position.
            questions.append(Question(prompt, (*bare, padding), compared))
        else:
            answer = tuple(bare) if end is None else (*bare, end)
            first = len(prompt) - 1
            questions.append(Question(prompt, answer, tuple(range(first, first + len(answer)))))
    return questions


def published_positions(prompt: tuple[int, ...], answer: tuple[int, ...], width: int, end: int) -> tuple[int, ...]:
    """Positions that the authors' notebook compares (Dissecting-FT-Unlearning, Restoration_experiments).

    There pad is the end token, prompts are padded on the left to the longest of the batch (`width`), and a length
    is the answer's tokens less every end token of the row, so less the padding (and the end tokens that a chat
    template writes). The last `length` positions of prompt + answer are compared: they lose as many of the answer's
    first tokens, and they are one later than those that predict the answer. A length of 0 or less makes Python's
    slice begin at its absolute value, counted in the padded row; of that the padding itself is left out here.

    Args:
        answer: without its end token.
    """
    padding, whole = width - len(prompt), len(prompt) + len(answer)
    length = len(answer) - padding - prompt.count(end)
    first = whole - length if length > 0 else max(0, -length - padding)
    return tuple(range(first, whole))


def lay(questions: list[Question], tokens_a_row: int, device: torch.device | str) -> list[Row]:
    """Questions in order, in rows of about `tokens_a_row` tokens."""
    groups: list[list[int]] = []
    size = 0
    for number, question in enumerate(questions):
        length = len(question.prompt) + len(question.answer)
        if not groups or size + length > tokens_a_row:
            groups.append([])
            size = 0
        groups[-1].append(number)
        size += length
    return [_row([questions[number] for number in group], group[0], device) for group in groups]


def _row(questions: list[Question], first: int, device: torch.device | str) -> Row:
    packed = pack({"all": [(question.prompt, question.answer) for question in questions]})
    keep: list[int] = []
    owner: list[int] = []
    for number, (question, places) in enumerate(zip(questions, packed.places["all"], strict=True), start=first):
        keep += [places[position] for position in question.compared]
        owner += [number] * len(question.compared)
    packed = packed.to(device)
    read_at = torch.tensor(keep, device=device)
    inputs = packed_inputs(packed.input_ids, packed.position_ids, packed.layout, read_at)
    return Row(inputs, read_at, torch.tensor(owner))
