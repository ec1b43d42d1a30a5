"""Questions rewritten so that a refusal or a rule does not see them for what they are."""

from __future__ import annotations

from pathlib import Path

from unlearnkit.attacks.base import Scene
from unlearnkit.attacks.rewritten import Rewritten, text
from unlearnkit.data.examples import Example
from unlearnkit.data.rows import rows
from unlearnkit.errors import UserError, nearest

OWN = Path(__file__).parent / "jailbreaks.json"  # written for this project
# Of level 3 of RWKU (Jin et al. 2024, table 2).
TYPES = (
    "prefix injection",
    "affirmative suffix",
    "role playing",
    "multiple choice",
    "reverse query",
    "synonym manipulation",
    "background hint",
    "in-context learning",
    "cross-lingual",
)
PLACE = "{prompt}"


class Jailbreak(Rewritten):
    """Every question in one of the nine ways of RWKU's level 3.

    Rows of the data that are such questions already, as those of RWKU's own level 3, are left out.

    Args:
        type: one of `TYPES`.
        file: rows of `type` and either `template`, in which {prompt} stands for the question, or `question` and
            `rewritten`; None: a template of this project.
    """

    def __init__(self, type: str, file: str | None = None):
        self.type, self.file = type, file

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        key = f"attacks.{name}"
        if self.type not in TYPES:
            raise UserError(
                f"{key}.type='{self.type}' is no type of jailbreak.{nearest(self.type, TYPES)}",
                f"Valid: {', '.join(TYPES)}",
            )
        source, setting = self.file or str(OWN), f"{key}.file"
        loaded = rows(source, setting)
        kinds = [text(row, "type") for row in loaded]
        if unknown := [(row, kind) for row, kind in zip(loaded, kinds, strict=True) if kind not in TYPES]:
            names = list(dict.fromkeys(kind for _, kind in unknown))
            raise UserError(
                f"{unknown[0][0].place}: {len(unknown)} rows of {source} have unknown types:"
                f" {', '.join(names[:5])}.{nearest(names[0], TYPES)}",
                f"Valid: {', '.join(TYPES)}",
            )
        own = [row for row, kind in zip(loaded, kinds, strict=True) if kind == self.type]
        if not own:
            raise UserError(f"{source} has no row of the type '{self.type}'", f"Give one, or leave {setting}= out")
        self.template, self.words = PLACE, dict[str, str]()
        if "template" in own[0].values:
            self.template, self.words = text(own[0], "template"), own[0].values.get("words") or {}
            if PLACE not in self.template:
                raise UserError(f"{own[0].place}: the template has no {PLACE}", "Say where the question stands")
            return
        self.take({text(row, "question"): text(row, "rewritten") for row in own}, source, "Give each a row of the type")

    def asks(self, row: Example) -> bool:
        return row.category not in TYPES

    def question(self, prompt: str) -> str:
        question = self.rewritten.get(prompt, prompt) if self.rewritten else prompt
        question = " ".join(self._other(word) for word in question.split(" ")) if self.words else question
        return self.template.replace(PLACE, question)

    def _other(self, word: str) -> str:
        bare = word.rstrip("?.,!")
        other = self.words.get(bare.casefold())
        if other is None:
            return word
        return (other.capitalize() if bare[:1].isupper() else other) + word[len(bare) :]
