"""The model that never knew: what unlearning is measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from unlearnkit.attacks.base import Attack
from unlearnkit.controls.stored import SETTING, check_never_taught, stored
from unlearnkit.controls.taught import STREAM, Target, Taught
from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Records
from unlearnkit.models import LanguageModel, load
from unlearnkit.notices import notice

NEVER_KNEW: Final = "never_knew"
FIX = (
    "controls.never_knew.hub=ORG/NAME, controls.never_knew.path=FOLDER or controls.never_knew.records=FILE gives one,"
    " and controls.never_knew=null does without"
)


SavedRecords = Callable[[str], Records | None]


def nothing(name: str) -> Records | None:
    """No moment was measured before."""
    return None


class Control(Protocol):
    """Makes the records that measures are taken against."""

    def __call__(
        self,
        data: Data,
        evaluations: Evaluations,
        target: Target,
        model: dict[str, Any],
        make: Callable[[], LanguageModel],
        folder: Path,
        attacks: Mapping[str, Attack] = {},
        saved_records: SavedRecords = nothing,
    ) -> dict[str, Records]: ...


class NeverKnew:
    """The same model, taught the same way without what is to be forgotten, once, in the cache.

    Args:
        hub, path: a checkpoint in its place.
        records: what was stored of such a model: a run's records (PARQUET), or a peer's log (JSON; `records.peers`).

    Raises:
        UserError: several of these.
    """

    def __init__(self, hub: str | None = None, path: str | None = None, records: str | None = None):
        self.hub, self.path, self.records = hub, path, records
        if len(self.sources) > 1:
            raise UserError(
                f"The control is given twice: {', '.join(f'{name}={value}' for name, value in self.sources.items())}",
                f"Leave one of controls.never_knew.{' and controls.never_knew.'.join(self.sources)} out",
            )

    @property
    def sources(self) -> dict[str, str]:
        """What is there in place of a teaching; empty if nothing."""
        return {name: value for name, value in vars(self).items() if value}

    def __call__(
        self,
        data: Data,
        evaluations: Evaluations,
        target: Target,
        model: dict[str, Any],
        make: Callable[[], LanguageModel],
        folder: Path,
        attacks: Mapping[str, Attack] = {},
        saved_records: SavedRecords = nothing,
    ) -> dict[str, Records]:
        """Moment -> its records in every evaluation, or in those that are stored; of each attack on it too.

        Args:
            target: how the run's model is taught.
            model: the config of the run's model.
            make: loads it.
            folder: the run's, which logs the teaching.
            attacks: by name; none is made on what is stored as records alone.
            saved_records: gives the records of a moment that was measured before.

        Raises:
            UserError: nothing to teach without the forget side, a control that cannot be told from the taught model,
                or records of other data.
        """
        names = {NEVER_KNEW: Attack(), **{f"{name}/{NEVER_KNEW}": attack for name, attack in attacks.items()}}
        if self.records:
            measured = {NEVER_KNEW: stored(Path(self.records).expanduser(), data, evaluations.against(NEVER_KNEW))}
        else:
            measured = {name: records for name in names if (records := saved_records(name)) is not None}
            own = self._model(data, target, model, make, folder) if names.keys() - measured.keys() else None
            for name, attack in names.items():
                if own is not None and name not in measured:
                    measured[name] = attack.measure(own, evaluations, f"of the control '{name}'", of=NEVER_KNEW)
        check_never_taught(measured[NEVER_KNEW], data, self.records or self.path or self.hub or "as it was taught")
        return {name: measured[name] for name in names if name in measured}

    def _model(
        self, data: Data, target: Target, model: dict[str, Any], make: Callable[[], LanguageModel], folder: Path
    ) -> LanguageModel:
        if self.path or self.hub:
            start = make()  # of which the way to ask is taken
            how = {key: model.get(key, "auto") for key in ("dtype", "attention")}
            return load(NEVER_KNEW, self.hub, self.path, template=start.template, **how)
        if not isinstance(target, Taught):
            raise UserError(
                f"A measure is taken against a model that never knew, and nothing says how the data '{data.name}' are"
                " taught: the target is the model as it is",
                FIX,
            )
        return target.teach(make(), never_taught(data), folder, NEVER_KNEW)


def never_taught(data: Data) -> list[Example]:
    """What the target is taught, without all that is on the forget side of any stream or set.

    Raises:
        UserError: that is nothing, or all of it.
    """
    sides = {**{name: [rows] for name, rows in data.streams.items()}, **{n: s.values() for n, s in data.sets.items()}}
    forgotten = {
        (row.prompt, row.response)
        for name, parts in sides.items()
        if data.role(name) == "forget" and name != STREAM
        for rows in parts
        for row in rows
    }
    taught = data.streams.get(STREAM, [])
    rest = [row for row in taught if (row.prompt, row.response) not in forgotten]
    if not rest or len(rest) == len(taught):
        raise UserError(
            f"Of {len(taught)} rows that the data '{data.name}' teach, {len(taught) - len(rest)} are to be forgotten: a"
            " model that never knew them would be taught " + ("nothing" if not rest else "the same"),
            FIX,
        )
    return rest


def needed(
    controls: Mapping[str, Control | None] | None,
    evaluations: Evaluations,
    attacks: Mapping[str, Attack] = {},
    made: bool = True,
) -> Control | None:
    """What makes the control that measures or attacks ask for; None where none does, or where the config does without.

    Args:
        controls: of the config; one that is not there is made for a measure, and attacks do without it.
        attacks: by name.
        made: one that is not given can be made; else it is done without, and that is said.

    Raises:
        UserError: an attack needs a control, and there is none.
    """
    if evaluations.against(NEVER_KNEW):
        control = (controls or {}).get(NEVER_KNEW, NeverKnew())
    else:
        control = (controls or {}).get(NEVER_KNEW) if attacks else None
    chosen = control if made or not isinstance(control, NeverKnew) or control.sources else None
    for name, attack in attacks.items():
        if attack.needs_control:
            _check_control(name, chosen, controls, made)
    if chosen is not control:
        notice(f"Nothing is measured against a control, for nobody knows what the start was taught: {FIX}")
    return chosen


def _check_control(
    attack: str, control: Control | None, controls: Mapping[str, Control | None] | None, made: bool
) -> None:
    """There is a model that the attack can be made on.

    Raises:
        UserError: there is none, or its records alone.
    """
    stored_alone = isinstance(control, NeverKnew) and control.records
    if control is not None and not stored_alone:
        return
    one = "controls.never_knew.path=FOLDER or controls.never_knew.hub=ORG/NAME"
    fix = f"Give one with {one}"
    if controls is None:
        how = "which teaches one, or takes the one of" if made else "with"
        fix = f"Add '+control@controls=never_knew'{', ' if made else ' '}{how} {one}"
    elif NEVER_KNEW in controls and controls[NEVER_KNEW] is None:
        fix = "Leave controls.never_knew=null out" + ("" if made else f" and give one with {one}")
    there = f"of it there are records alone ({SETTING})" if stored_alone else "there is none"
    raise UserError(
        f"The attack '{attack}' says nothing without a model that never knew, and {there}",
        f"{fix}; or leave '{attack}' out of +attack=",
    )
