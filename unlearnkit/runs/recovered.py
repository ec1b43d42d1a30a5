"""How much of what was unlearnt an attack brings back, over the prompts that all three models were measured on."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unlearnkit.attacks.base import Attack, Of
from unlearnkit.controls.never_knew import NEVER_KNEW
from unlearnkit.data.roles import Role
from unlearnkit.evaluations.base import Evaluations, Part, Records
from unlearnkit.evaluations.evaluation import Evaluation
from unlearnkit.measures.base import Measure
from unlearnkit.measures.combined import OfMeasures
from unlearnkit.measures.display import only_in_figures
from unlearnkit.measures.paired import paired
from unlearnkit.measures.prompts import by_prompt
from unlearnkit.models import LanguageModel
from unlearnkit.records.record import Record

DRAWS, LEVEL = 10_000, 0.05
Values = Mapping[str, float]  # prompt's id -> what a measure says


def recovered(
    attack: Attack,
    evaluations: Evaluations,
    start: Records,
    unlearned: Records,
    attacked: Records,
    controls: Mapping[str, Records],
) -> dict[str, Any]:
    """What metrics.json has of an attack: the shares, and what it says of itself on the unlearned model.

    Args:
        controls: moment -> evaluation -> records; the control and the attack on it stand beside the others where they
            were measured. Of an attack that looks inside, the start and the control are looked at in the same way.
    """
    details = {"attack": dict(attack.details)} if attack.details else {}
    own = attack.measured_by(evaluations)
    if own is not evaluations:
        seen = {"start": controls.get(f"{attack.name}/start", {}), "unlearned": attacked}
        return {
            "shares": _seen(own, {**seen, "never_knew": controls.get(f"{attack.name}/{NEVER_KNEW}", {})}),
            **details,
        }
    beside = {"never_knew": NEVER_KNEW, "never_knew_attacked": f"{attack.name}/{NEVER_KNEW}"}
    models = {"start": start, "unlearned": unlearned, "attacked": attacked}
    models |= {name: controls[moment] for name, moment in beside.items() if moment in controls}
    shares = shares_of(evaluations, models)
    for name, sets in shares.items():
        sets.update({place: _spoken(attack, evaluations.parts[name], measures) for place, measures in sets.items()})
    return {"shares": shares, **details}


def _spoken(attack: Attack, part: Part, measures: Mapping[str, Any]) -> dict[str, Any]:
    """What says how an attack went: its own measures alone where it brings some, and none that another one brings."""
    own = attack.brings(part)
    others = part.added if isinstance(part, Evaluation) else set()
    return {
        measure: numbers for measure, numbers in measures.items() if (measure in own if own else measure not in others)
    }


def measured_by(moment: str, attacks: Mapping[str, Attack], evaluations: Evaluations) -> Evaluations:
    """What makes the numbers of a moment: the run's evaluations, or what an attack brings.

    Args:
        moment: its name; ATTACK or ATTACK/MODEL where the model is measured under an attack.
    """
    attack = attacks.get(moment.partition("/")[0])
    return attack.measured_by(evaluations) if attack else evaluations


def _seen(evaluations: Evaluations, models: Mapping[str, Records]) -> dict[str, Any]:
    """evaluation -> set -> measure -> its number of each model, without those of single layers."""
    by_measure: dict[str, Any] = {}
    for model, records in models.items():
        for name, sets in evaluations.compute(records).items():
            for set_name, numbers in sets.items():
                for measure, number in numbers.items():
                    if not only_in_figures(measure):
                        row = by_measure.setdefault(name, {}).setdefault(set_name, {}).setdefault(measure, {})
                        row |= {model: number["value"], "n": number["n"]}
    return by_measure


def attacked(
    attacks: Mapping[str, Attack], model: LanguageModel, evaluations: Evaluations, start: Records, of: Of = "unlearned"
) -> dict[str, Records]:
    """Moment -> the records of a model under an attack.

    Args:
        start: the records of the start model.
    """
    return {
        name if of == "unlearned" else f"{name}/{of}": attack.measure(
            model, evaluations, f"under the attack '{name}'", start, of
        )
        for name, attack in attacks.items()
    }


def shares_of(evaluations: Evaluations, models: Mapping[str, Records]) -> dict[str, Any]:
    """evaluation -> set -> measure -> what it says of each model, and the recovered share, on the side to be forgotten.

    Args:
        models: `start`, `unlearned`, `attacked`, and what else is to stand beside them, such as `never_knew`.

    Returns:
        of a measure: the numbers of `models` over the prompts that all were measured on, their count `n`, and `share`
        with value, low and high; None where start and unlearned model do not differ (p < 0.05, paired over prompts).
        `halves` has each model's numbers over either half of the prompts, on the first of which a worst attack can be
        chosen and on the second reported; None where one half has none.
    """
    shares: dict[str, Any] = {}
    for name, part in evaluations.parts.items():
        if not isinstance(part, Evaluation):
            continue
        for set_name, names in part.sets.items():
            role = part.data.role(set_name) if set_name in part.data.sets else None
            for measure in names if role in ("forget", "holdout") else ():
                instance = part.measures[measure]
                if isinstance(instance, OfMeasures) or not instance.better.get(role):
                    continue
                values = {
                    model: _values(
                        instance, role, [record for record in records.get(name, ()) if record.set == set_name]
                    )
                    for model, records in models.items()
                }
                if row := _compared(instance, values):
                    shares.setdefault(name, {}).setdefault(set_name, {})[measure] = row
    return shares


def _compared(measure: Measure, values: Mapping[str, Values]) -> dict[str, Any] | None:
    beside = {model: own for model, own in values.items() if own}
    if not {"start", "unlearned", "attacked"} <= beside.keys():
        return None
    keys = [key for key in beside["attacked"] if all(key in own for own in beside.values())]
    if not keys:
        return None
    numbers = {model: measure.mean([own[key] for key in keys]).value for model, own in beside.items()}
    parted = [[key for key in keys if zlib.crc32(key.encode()) % 2 == half] for half in (0, 1)]
    share = share_of(*([beside[model][key] for key in keys] for model in ("start", "unlearned", "attacked")))
    halves = {m: [measure.mean([own[k] for k in half]).value for half in parted if half] for m, own in beside.items()}
    return {**numbers, "n": len(keys), "share": share, "halves": halves if all(parted) else None}


def share_of(start: Sequence[float], unlearned: Sequence[float], attacked: Sequence[float]) -> dict[str, float] | None:
    r"""The recovered share with its 95 % interval, by a bootstrap over prompts with random weights.

    .. math:: \frac{\bar a - \bar u}{\bar s - \bar u}

    As in `bounded_mean` one more prompt is weighed in, of which nothing came back for the lower end and all for the
    upper: so there is width where all prompts are alike.

    Args:
        start, unlearned, attacked: a measure's values of each model on the same prompts; of a perplexity its logarithm.

    Returns:
        value, low and high; None where start and unlearned do not differ.
    """
    s, u, a = (np.array(values, dtype=float) for values in (start, unlearned, attacked))
    if not np.isfinite(np.stack([s, u, a])).all() or paired(list(s - u)) >= LEVEL:
        return None
    weights = np.random.default_rng(0).exponential(size=(DRAWS, len(s) + 1))
    usual = float((s - u).mean())
    gone, back = weights @ np.append(s - u, usual), weights @ np.append(a - u, 0.0)
    value, low = float((a - u).mean()) / usual, float(np.quantile(back / gone, 0.025))
    high = float(np.quantile((back + weights[:, -1] * usual) / gone, 0.975))
    return {"value": value, "low": min(low, value), "high": max(high, value)}


def _values(measure: Measure, role: Role | None, records: Sequence[Record]) -> Values:
    """By the example alone, for an attack may ask it in other words."""
    pairs = [(record, measure.value(record, role)) for record in records]
    known = ((record, value) for record, value in pairs if value is not None)
    return by_prompt(known, lambda record: record.id, measure.of_samples)
