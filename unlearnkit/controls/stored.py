"""What was stored of a control: a run's records, or a peer's log, of the very rows that are measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError, beginning
from unlearnkit.evaluations.base import Records
from unlearnkit.measures.truth_ratio import Probability
from unlearnkit.records.peers import read_log
from unlearnkit.records.record import Record, read_parquet

SETTING = "controls.never_knew.records"
LEARNT, ALIKE = 0.5, 0.9  # probability of what a control was taught; the share of it that gives a control away


def stored(path: Path, data: Data, evaluations: Iterable[str]) -> Records:
    """The file's records for each of these evaluations, with our ids.

    Raises:
        UserError: no such file, or records of other rows than the data have.
    """
    if not path.is_file():
        raise UserError(f"No records at {path}", f"Set {SETTING}= to a run's records/NAME-EVALUATION.parquet, or a log")
    loaded = read_parquet(path) if path.suffix == ".parquet" else read_log(path)
    own = list(_matched(path, loaded, data))
    if not own:
        raise UserError(
            f"{path} has records of the sets {', '.join(dict.fromkeys(r.set for r in loaded))}, and the data"
            f" '{data.name}' has {', '.join(data.sets)}",
            "Give records of the same data",
        )
    return {name: own for name in evaluations}


def _matched(path: Path, records: list[Record], data: Data) -> Iterable[Record]:
    """The records of sets that the data have.

    A record of a run is known by its example's id; one of a log, which has none, by its place in the set.
    """
    rows = {name: splits.get("test", []) for name, splits in data.sets.items()}
    by_id = {name: {row.id: row for row in own} for name, own in rows.items()}
    for record in records:
        if record.set not in rows:
            continue
        own = by_id[record.set].get(record.id)
        if own is None and record.id.isdigit() and int(record.id) < len(rows[record.set]):
            own = rows[record.set][int(record.id)]
        if own is None or not _same(record, own):
            there = f"is '{beginning(own.prompt, 60)}'" if own else "is not there"
            raise UserError(
                f"{path} is of other data than '{data.name}': its row {record.id} of the set '{record.set}' is"
                f" '{_question(record)}', which here {there}",
                "Give records of the same data, the same forget set and the same order of rows",
            )
        yield replace(record, id=own.id, prompt=own.prompt)


def _same(record: Record, row: Example) -> bool:
    """A log may have a template around a prompt, or no texts at all."""
    same_question = not record.prompt or row.prompt.strip() in record.prompt
    return same_question and (not record.answer or record.answer.strip() == row.response.strip())


def _question(record: Record) -> str:
    return beginning(" ".join((record.prompt or record.answer).split()), 80)


def check_never_taught(records: Records, data: Data, source: str) -> None:
    """A control that gives the forget side's answers as surely as those that it was taught was taught them too.

    Raises:
        UserError: it does so.
    """
    for rows in records.values():
        sides = {side: _probability(rows, data, side) for side in ("forget", "retain")}
        forget, retain = sides["forget"], sides["retain"]
        if forget is not None and retain is not None and retain >= LEARNT and forget >= ALIKE * retain:
            raise UserError(
                f"The control never_knew ({source}) was taught what is to be forgotten: its answers there have the"
                f" probability {forget:.2f}, and {retain:.2f} on the retain side",
                "Give one that was taught the retain side alone, or leave controls.never_knew.* out: it is then made",
            )


def _probability(rows: list[Record], data: Data, side: str) -> float | None:
    values = Probability().values([row for row in rows if data.role(row.set) == side], None)
    return sum(values) / len(values) if values else None
