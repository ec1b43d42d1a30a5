"""Forget prompts with other answers in place of their own, which the model itself is asked to invent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unlearnkit.data.examples import Example
from unlearnkit.data.streams import Stream, drawn, plain
from unlearnkit.settings.bounds import Positive, Temperature

ANOTHER = (
    "Here is a question with its answer.\n\nQuestion: {prompt}\nAnswer: {response}\n\n"
    "Invent another answer to this question: as plausible and about as long, in other words, and with every fact of the"
    " answer above replaced by one that contradicts it. Keep to what the question says. Reply with the invented answer"
    " alone."
)
ANOTHER_TEXT = (
    "Here is a text.\n\n{response}\n\nInvent another text in its place: as plausible and about as long, in other words,"
    " and with every fact of the text above replaced by one that contradicts it. Reply with the invented text alone."
)


class Alternatives:
    """Pairs for DPO: an invented answer to each prompt of `source` to prefer, and its own to avoid.

    Mekala et al. 2024 (AltPO, arXiv:2409.13474). `unlearnkit.stages.alternatives` samples them from the start before a
    training; which one is drawn depends on (seed, step, place).

    Args:
        count: different alternatives to each answer.
        tokens: after which an alternative is cut off.
        temperature: of the sampling.
    """

    def __init__(self, source: str, count: Positive = 5, tokens: Positive = 200, temperature: Temperature = 1.0):
        self.source, self.count, self.tokens, self.temperature = source, count, tokens, temperature
        self.alternatives: dict[Example, tuple[str, ...]] = {}

    def bind(self, streams: dict[str, Stream]) -> Alternatives:
        """Look up the named stream."""
        self.prompts = plain(streams, self.source, "source")
        return self

    @property
    def size(self) -> int:
        return self.prompts.size

    def drawn(self, seed: int, steps: int, count: int) -> list[Example]:
        """The examples of `source` that so many steps draw, in its order."""
        seen = {own for step in range(steps) for (own,) in self.prompts.draw(seed, step, count)}
        return [example for example in dict.fromkeys(self.prompts.examples) if example in seen]

    def fill(self, alternatives: Mapping[Example, Sequence[str]]) -> None:
        """Take the alternatives to the answers of these examples."""
        self.alternatives = {example: tuple(texts) for example, texts in alternatives.items()}

    def stand_in(self) -> None:
        """Take each answer for its own alternative, where no model is at hand."""
        self.fill({example: [example.response] for example in self.prompts.examples})

    def draw(self, seed: int, step: int, count: int) -> list[tuple[Example, ...]]:
        groups: list[tuple[Example, ...]] = []
        for place, (own,) in enumerate(self.prompts.draw(seed, step, count)):
            texts = self.alternatives[own]
            number = drawn("alternatives", len(texts), seed, step, place)
            other = Example(f"{own.id}~alternative-{number}", own.prompt, texts[number], own.category)
            groups.append((other, own))
        return groups


def request(example: Example) -> str:
    """What the model is asked, for an alternative to the example's answer."""
    text = ANOTHER if example.prompt else ANOTHER_TEXT
    return text.replace("{prompt}", example.prompt).replace("{response}", example.response)
