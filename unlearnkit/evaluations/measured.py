"""Whether a measurement is of anything: a rate over nothing looks like the best there is."""

from __future__ import annotations

from unlearnkit.errors import UserError
from unlearnkit.records.record import Record


def check_measured(evaluation: str, split: str, records: list[Record]) -> None:
    """Asked of every measurement but a curve's, for an evaluation may leave curves out.

    Raises:
        UserError: no record at all; a set of which nothing was measured, or whose questions are all empty.
    """
    if not records:
        raise UserError(
            f"eval.{evaluation} measured nothing on the split '{split}'",
            f"Give data that have rows there, or leave it out with '~eval.{evaluation}'",
        )
    for name in dict.fromkeys(record.set for record in records):
        rows = [record for record in records if record.set == name]
        if not any(_has_numbers(row) for row in rows):
            raise UserError(
                f"Of the {len(rows)} prompts of the set '{name}' in eval.{evaluation} none was answered or scored",
                f"Check the settings of eval.{evaluation}, such as its batch_size and max_new_tokens",
            )
        if any(row.tokens for row in rows) and not any(row.prompt.strip() for row in rows):
            raise UserError(
                f"Every prompt of the set '{name}' in eval.{evaluation} is empty",
                "Check which column of the data holds the prompts",
            )


def _has_numbers(row: Record) -> bool:
    made = row.tokens, row.response, row.answer_log_probs, row.alternative_log_probs, row.scores, row.original, row.kind
    measured = row.unlearned_error, row.similarity, row.let_through, row.by_layer
    return any(made) or any(number is not None for number in measured)
