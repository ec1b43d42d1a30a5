"""What an editing stage asks for: each fact's prompts as tokens, and where its subject ends in them."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnkit.data.examples import Example
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Tokens
from unlearnkit.stages.samples import sample

OPENERS = ("The", "Therefore", "Because", "I", "You")  # what MEMIT's code has the model go on from


@dataclass(frozen=True)
class Request:
    """A fact to rewrite.

    Args:
        prompts: its prompt, bare first and then after each context, with the target's tokens as the response.
        places: of each prompt, which token is the subject's last.
        essence, essence_place: the same of "SUBJECT is a", whose next token should stay as it is.
    """

    example: Example
    prompts: list[Tokens]
    places: list[int]
    essence: Tokens
    essence_place: int


def make_request(model: LanguageModel, example: Example, contexts: list[str], target: str | None) -> Request:
    """The request for one fact.

    Args:
        contexts: what stands before the prompt.
        target: the response that is wanted; None where only the prompts count.

    Raises:
        UserError: no subject, one that is not in its prompt, or more tokens than the context holds.
    """
    if not example.subject or example.subject not in example.prompt:
        raise UserError(
            f"Example '{example.id}': the subject {example.subject!r} is not in its prompt {example.prompt!r}",
            "Give each row a subject that stands in its prompt word for word, as data=facts has them",
        )
    texts = [context + example.prompt for context in contexts]
    prompts = [_tokens(model, text, target) for text in texts]
    longest = max(len(prompt) + len(response) for prompt, response in prompts)
    if longest > model.max_length:
        raise UserError(
            f"Example '{example.id}' has {longest} tokens (context + prompt + target), the model's context holds"
            f" {model.max_length}",
            "Shorten the prompt, or set stages.memit.context_tokens= lower",
        )
    about = f"{example.subject} is a"
    return Request(
        example,
        prompts,
        [subject_end(model, text, example.subject) for text in texts],
        _tokens(model, about, None),
        subject_end(model, about, example.subject),
    )


def _tokens(model: LanguageModel, prompt: str, target: str | None) -> Tokens:
    if target is not None:
        ids, response = model.template.encode(model.tokenizer, prompt, target)
        return tuple(ids), tuple(response)
    # A response of one token has a place for the logits after the prompt.
    return tuple(model.template.encode_prompt(model.tokenizer, prompt)), (model.template.end(model.tokenizer),)


def subject_end(model: LanguageModel, prompt: str, subject: str) -> int:
    """Which of the prompt's tokens, as the template puts it, holds the end of the subject's last mention."""
    template, tokenizer = model.template, model.tokenizer
    text = template.prompt(tokenizer, prompt)
    last = text.rindex(prompt.strip()) + prompt.strip().rindex(subject) + len(subject) - 1
    spans = tokenizer(text, add_special_tokens=template.text is not None, return_offsets_mapping=True)["offset_mapping"]
    return max(place for place, (start, end) in enumerate(spans) if start <= last < end)


def context_texts(model: LanguageModel, count: int, tokens: int, seed: int) -> list[str]:
    """An empty context and `count` that the model begins sentences with, each before ". " (Meng et al. 2023, 4.3).

    Drawn from the five likeliest tokens at a time, as in the authors' code.
    """
    openers = [OPENERS[number % len(OPENERS)] for number in range(count)]
    texts = [""]
    for number, opener in enumerate(openers):
        start = model.tokenizer(opener)["input_ids"]
        with model.current() as network:
            (drawn,) = sample(network, model.tokenizer, [start], tokens, seed + number, top_k=5)
        text = opener + str(model.tokenizer.decode(drawn, skip_special_tokens=True))
        texts.append(" ".join(text.replace("{", " ").replace("}", " ").split()) + ". ")
    return list(dict.fromkeys(texts))
