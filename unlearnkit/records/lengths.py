"""What a model cannot take in is refused before anything is asked, and not measured as if nothing were."""

from __future__ import annotations

from collections.abc import Iterable

from unlearnkit.data.examples import Example
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel


def check_lengths(
    model: LanguageModel,
    sets: dict[str, list[Example]],
    new_tokens: int,
    answered: Iterable[str],
    forced: Iterable[str],
    compared: Iterable[str] = (),
) -> None:
    """Every prompt of a set leaves room for what is said after it.

    Args:
        new_tokens: of a response, in the sets that are `answered`.
        forced: the sets whose own answers are scored.
        compared: the sets where the alternatives to them are too.

    Raises:
        UserError: with the example, its tokens and the context.
    """
    for name in dict.fromkeys(answered):
        for example in sets[name]:
            prompt = len(model.template.encode_prompt(model.tokenizer, example.prompt))
            if prompt + new_tokens > model.max_length:
                raise _too_long(model, name, example, f"{prompt} tokens of prompt and up to {new_tokens} of response")
    for name in dict.fromkeys(forced):
        for example in sets[name]:
            prompt, answer = map(len, model.template.encode(model.tokenizer, example.prompt, example.response))
            if prompt + answer > model.max_length:
                raise _too_long(model, name, example, f"{prompt} tokens of prompt and {answer} of answer")
    for name in dict.fromkeys(compared):
        for example in sets[name]:
            for kind, texts in example.alternatives.items():
                for text in texts:
                    prompt, answer = map(len, model.template.encode(model.tokenizer, example.prompt, text))
                    if prompt + answer > model.max_length:
                        what = f"{prompt} tokens of prompt and {answer} of an alternative to its answer ({kind})"
                        raise _too_long(model, name, example, what)


def _too_long(model: LanguageModel, name: str, example: Example, what: str) -> UserError:
    return UserError(
        f"The example '{example.id}' of the evaluation set '{name}' has {what}: the context of '{model.name}' holds"
        f" {model.max_length}",
        "Shorten the example or take it out, set a lower max_new_tokens, or choose a model with a longer context",
    )
