"""Other questions in place of the data's own."""

from __future__ import annotations

from collections.abc import Mapping

from unlearnkit.attacks.base import Attack
from unlearnkit.data.rows import Row, rows
from unlearnkit.errors import UserError, beginning


class Rewritten(Attack):
    """Every question of the forget side is asked in its other form; others are where they have one.

    The data's answers stay what is expected.

    Attributes:
        rewritten: question -> its other form.
    """

    rewritten: Mapping[str, str] = {}

    def take(self, rewritten: Mapping[str, str], source: str, fix: str) -> None:
        """Ask these questions, by the data's own.

        Raises:
            UserError: the forget side has questions without one, and how many.
        """
        self.rewritten = rewritten
        prompts = list(dict.fromkeys(row.prompt for row in self.scene.questions if row.prompt))
        if missing := [prompt for prompt in prompts if prompt not in rewritten]:
            raise UserError(
                f"The attack '{self.name}': {source} lacks {len(missing)} of {len(prompts)} questions of the forget"
                f" side, first: {beginning(missing[0], 100)}",
                fix,
            )

    def question(self, prompt: str) -> str:
        return self.rewritten.get(prompt, prompt)


def questions(path: str, setting: str, column: str) -> dict[str, str]:
    """Question -> another form of it, of a file of rows.

    Raises:
        UserError: no such file, or a row without `question` and `column`.
    """
    return {text(row, "question"): text(row, column) for row in rows(path, setting)}


def text(row: Row, column: str) -> str:
    """What a row says in a column.

    Raises:
        UserError: nothing.
    """
    value = row.values.get(column)
    if not isinstance(value, str) or not value.strip():
        raise UserError(
            f"{row.place}: no text in the column '{column}'; it has: {', '.join(map(str, row.values)) or 'none'}",
            f"Mend or remove this row; every row has '{column}'",
        )
    return value.strip()
