"""Answered questions before the question."""

from __future__ import annotations

from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.data.examples import Example
from unlearnkit.data.spread import evenly_spaced
from unlearnkit.errors import UserError
from unlearnkit.settings.bounds import Positive


class FewShot(Attack):
    """Examples of a training stream stand before the question, as a person would write them.

    Args:
        stream: which; of the retain side, so that nothing of what was unlearnt is given away.
        examples: how many, evenly spaced.
        form: of one; the question itself stands in it with an empty answer.
    """

    def __init__(
        self, stream: str = "retain", examples: Positive = 3, form: str = "Question: {prompt}\nAnswer: {response}"
    ):
        self.stream, self.count, self.form = stream, examples, form

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        rows = [row for row in scene.data.streams.get(self.stream, []) if row.prompt and row.response]
        if len(rows) < self.count:
            raise UserError(
                f"attacks.{name} asks for {self.count} examples of the stream '{self.stream}', and the data"
                f" '{scene.data.name}' have {len(rows)} with a question and an answer there"
                f" (streams: {', '.join(scene.data.streams)})",
                f"Set attacks.{name}.stream= or attacks.{name}.examples=",
            )
        self.before = "".join(f"{self._written(row)}\n\n" for row in evenly_spaced(rows, self.count))

    def _written(self, row: Example) -> str:
        return self.form.replace("{prompt}", row.prompt).replace("{response}", row.response)

    def question(self, prompt: str) -> str:
        return self.before + self._written(Example("", prompt, "")).rstrip(" ")
