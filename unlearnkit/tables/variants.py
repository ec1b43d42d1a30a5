"""Runs of one method that are not one run with several seeds: told apart by what their configs say differently."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from unlearnkit.identity import ABSENT, INPUTS, NO_MATTER, config_in, flat
from unlearnkit.inputs import ROWS
from unlearnkit.measures.columns import Column
from unlearnkit.tables.reading import Run

# What other keys of a config decide too, so that it is shown only where they do not.
DERIVED = ("stages.", "paper.", "streams.", "target.stage.", f"{INPUTS}.")
ASKS = re.compile(rf"(eval|data|attacks)\.|{INPUTS}\.{ROWS}$")  # what decides what a number is of
# What decides the numbers of a start, whatever the seed; by whether the runs are of several data sets.
OF_MODEL = rf"model\.(path|hub|package|gguf|dtype|quantise|template\.)|{INPUTS}\.model\."
STARTS = {False: re.compile(rf"{OF_MODEL}|(data|eval)\.(?!.*curve)"), True: re.compile(OF_MODEL)}
MOST = 3  # differences that a note tells of
UNKNOWN = "settings unknown"
BETWEEN = ", "  # a method and what is special about it: a method's own name has no comma


def base(method: str) -> str:
    """The method of a row's name."""
    return method.partition(BETWEEN)[0]


def title_of(method: str, rows: Mapping[str, Any]) -> str:
    """What a sweep's `rows` call a method, with what is special about it; one that has no title by its own name."""
    title = rows.get(base(method))
    return f"{title}{method.removeprefix(base(method))}" if title else method


def name_variants(runs: Sequence[Run], ignored: Collection[str] = ()) -> list[Run]:
    """The same runs; where those of a method, model and data differ besides the seed, `method` says in what.

    `sku, learning_rate=0.001` is then a row of its own, and no mean is taken over different settings.

    Args:
        ignored: dotted keys whose differences, and what follows from them alone, are told apart by other means.
    """
    groups: dict[tuple[str, str, str], list[int]] = {}
    for number, run in enumerate(runs):
        groups.setdefault((run.model, run.data, run.method), []).append(number)
    variants = list(runs)
    for (_, _, method), numbers in groups.items():
        for number, settings in zip(numbers, _differences([runs[number] for number in numbers], ignored), strict=True):
            if settings:
                variants[number] = replace(runs[number], method=BETWEEN.join([method, *settings]))
    return variants


def asked_otherwise(runs: Sequence[Run]) -> list[str]:
    """A note where runs that stand in one table were asked differently: other limits, decoding, judges, test rows.

    Their numbers are then no more alike than the questions, and none of them is marked as best.
    """
    told = []
    for key, by_value in _asked(runs).items():
        those = "; ".join(
            f"{value} of {', '.join(dict.fromkeys(run.method for run in own))}" for value, own in by_value.items()
        )
        told.append(f"{'rows of the data' if key.startswith(INPUTS) else key} {those}")
    more = f" and {len(told) - MOST} more" if len(told) > MOST else ""
    said = f"Not all were asked the same: {' | '.join(told[:MOST])}{more}. Where that counts, none is marked as best."
    return [said] if told else []


def asked_alike(runs: Sequence[Run], column: Column) -> bool:
    """A column's numbers are of the same questions, asked the same way."""
    own = (f"eval.{column[-3]}.", f"attacks.{column[0]}.", "data.", f"{INPUTS}.")
    return not any(key.startswith(own) for key in _asked(runs))


def _asked(runs: Sequence[Run]) -> dict[str, dict[str, list[Run]]]:
    """Key -> value -> the runs that were asked so, of keys that say what is asked and differ.

    What follows the seed is no such difference; nor are the rows of several data sets.
    """
    several = len({run.data for run in runs}) > 1
    configs = [flat(config_in(run.folder)) for run in runs]
    asked = {}
    for key in dict.fromkeys(key for config in configs for key in config if ASKS.match(key)):
        if NO_MATTER.search(key) or (several and key.startswith(("data.", INPUTS))):
            continue
        known = [(run, config[key]) for run, config in zip(runs, configs, strict=True) if key in config]
        by_value: dict[str, list[Run]] = {}
        for run, value in known:
            by_value.setdefault(written(value), []).append(run)
        of_seed = all(value == run.seed for run, value in known) or (
            key == f"{INPUTS}.{ROWS}" and len(by_value) == len({run.seed for run, _ in known})
        )
        if len(by_value) > 1 and not of_seed:
            asked[key] = by_value
    return asked


def starts_of(runs: Sequence[Run]) -> list[str]:
    """What is special about each run's start model and what it was asked; equal for runs of one start."""
    several = len({run.data for run in runs}) > 1
    return [BETWEEN.join(settings) for settings in _differences(runs, (), STARTS[several])]


def _differences(
    runs: Sequence[Run], ignored: Collection[str], among: re.Pattern[str] | None = None
) -> list[list[str]]:
    """What is special about each run, as `key=value`, among runs of one method; of the keys that `among` matches."""
    saved = [config_in(run.folder) for run in runs]
    if len(runs) < 2 or not any(saved):
        return [[] for _ in runs]
    if not all(saved):  # what nobody knows the settings of is averaged with nothing
        known = iter(_differences([run for run, config in zip(runs, saved, strict=True) if config], ignored, among))
        return [
            next(known) if config else [f"{UNKNOWN} of {run.folder.name}"]
            for run, config in zip(runs, saved, strict=True)
        ]
    configs = alike([{key: value for key, value in flat(config).items() if key != "seed"} for config in saved])
    if among is not None:
        configs = [{key: value for key, value in config.items() if among.match(key)} for config in configs]
    values: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for config in configs for key in config):
        column = [config.get(key, ABSENT) for config in configs]
        follows_seed = all(value == run.seed for value, run in zip(column, runs, strict=True))
        if len(set(map(repr, column))) > 1 and not follows_seed and not NO_MATTER.search(key):
            values[key] = column
    shown = [key for key in values if not key.startswith(DERIVED)]
    for key in values:
        if key not in shown and not _explained(values[key], [values[other] for other in shown]):
            shown.append(key)
    names = _short([key for key in shown if key not in ignored], values)
    return [[f"{name}={written(values[key][at])}" for key, name in names.items()] for at in range(len(runs))]


def alike(configs: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Flat configs, without their inputs where one, of an earlier version, has none."""
    if all(any(key.startswith(f"{INPUTS}.") for key in config) for config in configs):
        return configs
    return [{key: value for key, value in config.items() if not key.startswith(f"{INPUTS}.")} for config in configs]


def _explained(column: Sequence[Any], others: Iterable[Sequence[Any]]) -> bool:
    """Runs that are alike in all the others are alike in this."""
    rows = list(zip(*others, strict=True)) or [()] * len(column)
    first: dict[str, str] = {}
    return all(first.setdefault(repr(row), repr(value)) == repr(value) for row, value in zip(rows, column, strict=True))


def _short(keys: Sequence[str], values: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Key -> the shortest end of it that no other of the keys has; of keys with equal values one."""
    unique: list[str] = []
    for key in sorted(keys, key=lambda name: (name.startswith(DERIVED), name.count("."))):
        last = key.rpartition(".")[2]
        twins = [other for other in unique if other.rpartition(".")[2] == last]
        if not any(list(map(repr, values[other])) == list(map(repr, values[key])) for other in twins):
            unique.append(key)
    ends = {}
    for key in unique:
        parts = key.split(".")
        ends[key] = next(
            end
            for size in range(1, len(parts) + 1)
            if (end := ".".join(parts[-size:]))
            and sum(f".{other}".endswith(f".{end}") for other in unique) == 1
            or size == len(parts)
        )
    return ends


def written(value: Any) -> str:
    """A setting's value in a few words."""
    if value is ABSENT:
        return "absent"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
