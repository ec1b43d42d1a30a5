"""The same questions in another language."""

from __future__ import annotations

from unlearnkit.attacks.base import Scene
from unlearnkit.attacks.rewritten import Rewritten, questions
from unlearnkit.data import tofu_made
from unlearnkit.errors import UserError

EMBEDDED = tofu_made.EMBEDDED / "german.jsonl"


class Translate(Rewritten):
    """Each question of the forget side in another language; the answers that are expected stay the data's own.

    Args:
        file: rows of `question` and `translation`; "embedded": German ones of the forget rows made for `data=tofu`.
    """

    def __init__(self, file: str | None = None):
        self.file = file

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        setting = f"attacks.{name}.file"
        if self.file is None:
            raise UserError(
                f"The attack '{name}' needs the questions in another language, and {setting} names no file",
                f"Set {setting}= to rows of question and translation, or leave '{name}' out of +attack=",
            )
        path = str(EMBEDDED) if self.file == "embedded" else self.file
        self.take(questions(path, setting, "translation"), f"{setting}={self.file}", "Give each a row there")
