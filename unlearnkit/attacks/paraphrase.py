"""The same questions in other words."""

from __future__ import annotations

from unlearnkit.attacks.base import Scene
from unlearnkit.attacks.rewritten import Rewritten, questions
from unlearnkit.errors import UserError

KIND = "paraphrase"  # in `Data.reworded`


class Paraphrase(Rewritten):
    """Each question of the forget side in other words, which it was not unlearnt in.

    Args:
        file: rows of `question` and `paraphrase`; None: what the data have themselves, as TOFU's perturbed rows do.
    """

    def __init__(self, file: str | None = None):
        self.file = file

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        setting = f"attacks.{name}.file"
        if self.file is not None:
            self.take(questions(self.file, setting, KIND), f"{setting}={self.file}", "Give each a row there")
            return
        if not scene.data.reworded:
            raise UserError(
                f"The attack '{name}' takes the data's own questions in other words, and '{scene.data.name}' has none",
                f"Set {setting}= to rows of question and {KIND}, or choose data=tofu",
            )
        self.take(scene.data.reworded, f"'{scene.data.name}'", f"Set {setting}= to rows of question and {KIND}")
