"""Words before the question."""

from __future__ import annotations

from unlearnkit.attacks.base import Attack


class System(Attack):
    """The same questions behind a prefix, which a method that has learnt its questions by their looks falls for.

    "You are a helpful assistant." in finding 2 of Tian et al. 2024 (figure 5).

    Args:
        words: with the space, if one is to stand before the question.
    """

    def __init__(self, words: str):
        self.words = words

    def question(self, prompt: str) -> str:
        return self.words + prompt
