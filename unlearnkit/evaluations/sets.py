"""Which sets of the data an evaluation is of, and whether its measures can be taken there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from unlearnkit.data.examples import Data
from unlearnkit.data.roles import BY_NAME, ROLES
from unlearnkit.errors import UserError, nearest
from unlearnkit.measures.aggregates import OfNumbers
from unlearnkit.measures.base import Measure
from unlearnkit.measures.combined import OfMeasures

Measures = Mapping[str, Measure]  # by name
SetSpecs = Mapping[str, list[str]]  # a set, a role or a name of one's own -> names of measures


def find_sets(evaluation: str, data: Data, specs: SetSpecs, measures: Measures) -> dict[str, list[str]]:
    """The data's sets and those of measures of measures -> names of measures.

    Raises:
        UserError: an unknown set or measure, or nothing that the data have.
    """
    for key, names in specs.items():
        check_known(names, measures, f"for the set '{key}'", f"Set eval.{evaluation}.sets.{key} to some of these")
    sets: dict[str, list[str]] = {}
    for key, names in specs.items():
        own = [key] if key in data.sets else []
        if not own and (role := BY_NAME.get(key)):
            own = [name for name in data.sets if data.role(name) == role and name not in specs]
        elif not own and any(isinstance(measures[measure], OfMeasures | OfNumbers) for measure in names):
            own = [key]
        elif not own:
            raise UserError(
                f"Unknown evaluation set '{key}'.{nearest(key, (*data.sets, *BY_NAME))} The data"
                f" '{data.name}' has: {', '.join(data.sets)}; roles: {', '.join(ROLES)}",
                f"Remove it with '~eval.{evaluation}.sets.{key}', or choose an evaluation for this data with eval=",
            )
        sets |= dict.fromkeys(own, list(names))
    if not any(key in data.sets for key in sets):
        roles = {name: data.role(name) or "no role" for name in data.sets}
        raise UserError(
            f"eval.{evaluation} measures {', '.join(specs) or 'nothing'}, and the data '{data.name}'"
            f" has {', '.join(f'{name} ({role})' for name, role in roles.items()) or 'no sets'}",
            "Choose an evaluation for this data with eval=, or data with such sets with data=",
        )
    return sets


def check_known(names: Iterable[str], measures: Measures, place: str, fix: str) -> None:
    """Refuse a measure that there is not."""
    for measure in names:
        if measure not in measures:
            known = ", ".join(measures)
            raise UserError(f"Unknown measure '{measure}' {place}.{nearest(measure, measures)} Valid: {known}", fix)


def check_measures(
    evaluation: str, data: Data, sets: Mapping[str, list[str]], measures: Measures, filled: Iterable[str]
) -> None:
    """Every measure reads what is given, or other measures on sets that the data have.

    Args:
        given: the fields of records that something here fills.

    Raises:
        UserError: one does not.
    """
    for set_name, names in sets.items():
        for name in names:
            measure, parts = measures[name], [name]
            if isinstance(measure, OfNumbers):
                fix = f"Set eval.{evaluation}.measures.{name}.of to measures of the set '{set_name}'"
                check_known(measure.of, {key: measures[key] for key in names if key != name}, f"in '{name}'", fix)
            elif isinstance(measure, OfMeasures):
                _check_parts(evaluation, data, name, measure, measures)
                parts = sum(measure.of.values(), [])
            for part in parts:
                if lacking := next((field for field in measures[part].reads if field not in filled), None):
                    raise UserError(
                        f"The measure '{part}' reads '{lacking}' of a record, which nothing here gives; there are:"
                        f" {', '.join(sorted(set(filled)))}",
                        f"Give eval.{evaluation} what fills it (judge, similarity, classifier), or take '{name}' off"
                        f" the set '{set_name}'",
                    )


def _check_parts(evaluation: str, data: Data, name: str, measure: OfMeasures, measures: Measures) -> None:
    for side, parts in measure.of.items():
        for part in parts:
            if part not in measures or isinstance(measures[part], OfMeasures):
                raise UserError(
                    f"The measure '{name}' is of '{part}', which is no measure of records.{nearest(part, measures)}",
                    f"Set eval.{evaluation}.measures.{name}.of.{side} to one of: {', '.join(measures)}",
                )
            if not measure.takes(measures[part]):
                raise UserError(
                    f"The measure '{name}' is of '{part}', whose values do not all lie between 0 and 1",
                    f"Set eval.{evaluation}.measures.{name}.of.{side} to measures that do, such as success",
                )
        if not members(side, data):
            raise UserError(
                f"The measure '{name}' is of '{side}', and the data '{data.name}' has no such set or role:"
                f" {', '.join(f'{s} ({data.role(s)})' for s in data.sets)}",
                f"Set eval.{evaluation}.measures.{name}.of to sets or roles of the data",
            )


def members(side: str, data: Data) -> list[str]:
    """The data's sets that a name or a role stands for."""
    return [side] if side in data.sets else [name for name in data.sets if data.role(name) == side]
