"""The prompts of a domain, out of its YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unlearnkit.errors import UserError


class Prompts:
    """Texts by step, with `{fields}` to fill in; `key` is where the YAML has them.

    Raises:
        UserError: a step without its text, or a text with other braces than the step's fields.
    """

    def __init__(self, texts: Mapping[str, str], fields: Mapping[str, Sequence[str]], key: str = "domain.prompts"):
        self.texts = texts
        for step, names in fields.items():
            usable = ", ".join(f"{{{name}}}" for name in names)
            if not isinstance(texts.get(step), str):
                raise UserError(f"{key}.{step} is missing.", f"Write it, with {usable}")
            try:
                self(step, **dict.fromkeys(names, ""))
            except (LookupError, ValueError, AttributeError):
                raise UserError(f"{key}.{step} cannot be filled in.", f"Use {usable} and no other braces") from None

    def __call__(self, step: str, **fields: object) -> str:
        return self.texts[step].format(**fields).strip()
