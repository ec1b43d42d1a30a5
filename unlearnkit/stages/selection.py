"""Which step of a training the run goes on from: the best measured one that keeps what must be kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from unlearnkit.data.roles import ROLES
from unlearnkit.errors import UserError, nearest
from unlearnkit.measures.columns import Column, share_of_start
from unlearnkit.measures.interval import Estimate

Numbers = Mapping[Column, Estimate]
Place = TypeVar("Place", int, tuple[float, int])  # a step, or a rate and a step
WRITE = "Write it as 'train.select={measure: M, role: forget, while: {measure: M2, role: retain, at_least: 0.8}}'"


@dataclass(frozen=True)
class Criterion:
    """A number of a point: a measure on a role, or on one set where a role has several."""

    measure: str
    role: str | None = None
    set: str | None = None

    def column(self, numbers: Numbers, key: str) -> Column:
        """Where it stands.

        Raises:
            UserError: nowhere, or in several places, or nobody knows which way is better.
        """
        columns = [
            column
            for column in numbers
            if column[-1] == self.measure
            and (self.role is None or column.display.role == self.role)
            and (self.set is None or column[-2] == self.set)
        ]
        if len(columns) != 1:
            there = ", ".join(f"{'/'.join(column)} ({column.display.role or 'no role'})" for column in numbers)
            what = f"are {len(columns)} of it: {', '.join(map('/'.join, columns))}" if columns else "is none"
            raise UserError(
                f"{key} asks for '{self.measure}' on role={self.role}, set={self.set}, and of what curves measure there"
                f" {what}",
                f"Curves measure: {there}; name the set too with {key}.set= where a role has several",
            )
        if columns[0].display.better is None:
            raise UserError(f"{key}: nobody says which way '{self.measure}' is better", "Choose another measure")
        return columns[0]


@dataclass(frozen=True)
class Choice:
    """A step, and why."""

    step: int
    measure: str
    value: float
    reason: str
    satisfied: bool


class Selection:
    """`train.select`: the step with the best `measure` on `role`, while another number keeps a share of the start's.

    Args:
        settings: {measure, role, set, while: {measure, role, set, at_least}}; all but `measure` may be left out.

    Raises:
        UserError: another key, or a share that is none.
    """

    def __init__(self, settings: Mapping[str, Any], key: str = "train.select"):
        self.key, condition = key, settings.get("while")
        self.best = _criterion({name: value for name, value in settings.items() if name != "while"}, key, ())
        self.constraint = _criterion(condition, f"{key}.while", ("at_least",)) if condition is not None else None
        self.at_least = condition.get("at_least") if condition is not None else None
        if self.constraint and not (isinstance(self.at_least, int | float) and 0 < self.at_least <= 1):
            raise UserError(
                f"{key}.while.at_least={self.at_least} is no share of the start's number", "Set it above 0, up to 1"
            )

    def check(self, numbers: Numbers) -> None:
        """Refuse what curves do not measure; `numbers` are those of the start."""
        self.best.column(numbers, self.key)
        if self.constraint:
            self.constraint.column(numbers, f"{self.key}.while")

    def choose(self, points: Mapping[int, Numbers], start: Numbers) -> Choice:
        """Of the measured steps, each with its numbers; see `best_of`."""
        step, reason, enough = self.best_of(points, start)
        column = self.best.column(start, self.key)
        return Choice(step, "/".join(column), points[step][column].value, reason, enough)

    def best_of(self, points: Mapping[Place, Numbers], start: Numbers) -> tuple[Place, str, bool]:
        """The place of the best numbers, why, and whether it keeps enough; of equal ones the lower place.

        Where none keeps enough it is the one that keeps the most; where the start's number has no shares, the best of
        all.
        """
        column = self.best.column(start, self.key)
        sign = 1 if column.display.better == "higher" else -1
        shares = {place: self._share(numbers, start) for place, numbers in points.items()}
        enough = [place for place, share in shares.items() if self.at_least is None or share >= self.at_least]
        unknown = all(map(math.isnan, shares.values()))
        if enough or unknown:
            best = min(enough or points, key=lambda place: (_low(-sign * points[place][column].value), place))
        else:
            best = min(points, key=lambda place: (_low(-shares[place]), place))
        reason = f"the {'highest' if sign > 0 else 'lowest'} {'/'.join(column)}"
        if self.constraint:
            constraint = "/".join(self.constraint.column(start, f"{self.key}.while"))
            if unknown:
                reason += f" of all steps, for the start's {constraint} has no share that could be kept"
            elif enough:
                reason += f" of the steps that keep {self.at_least:.0%} of the start's {constraint}"
            else:
                reason = (
                    f"no step keeps {self.at_least:.0%} of the start's {constraint}: this one keeps {shares[best]:.0%}"
                )
        return best, reason, bool(enough)

    def columns(self, start: Numbers) -> list[Column]:
        """Of the numbers that are looked at: what is best, and what must be kept, where that is asked."""
        constraints = [self.constraint.column(start, f"{self.key}.while")] if self.constraint else []
        return [self.best.column(start, self.key), *constraints]

    def _share(self, numbers: Numbers, start: Numbers) -> float:
        """Of what the start had: of a number that is better low, how many times lower it was."""
        if self.constraint is None:
            return 1.0
        column = self.constraint.column(start, f"{self.key}.while")
        return share_of_start(column, numbers[column], start[column])


def _low(value: float) -> tuple[bool, float]:
    """Its place in an order in which no number comes last."""
    return math.isnan(value), value


def _criterion(settings: Any, key: str, more: tuple[str, ...]) -> Criterion:
    known = ("measure", "role", "set")
    if not isinstance(settings, Mapping) or not isinstance(settings.get("measure"), str):
        raise UserError(f"{key}={settings} names no measure", WRITE)
    if unknown := next((name for name in settings if name not in (*known, *more)), None):
        raise UserError(f"Unknown key {key}.{unknown}.{nearest(str(unknown), (*known, *more))}", WRITE)
    role = settings.get("role")
    if role is not None and role not in ROLES:
        raise UserError(f"{key}.role={role} is no role.{nearest(str(role), ROLES)} Valid: {', '.join(ROLES)}", WRITE)
    return Criterion(settings["measure"], role, settings.get("set"))
