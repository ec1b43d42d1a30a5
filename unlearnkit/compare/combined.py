"""Measures of measures, paired: the same prompts are drawn, or change places, in all that the number is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unlearnkit.measures.combined import Combined
from unlearnkit.measures.paired import FLIPS, p_of_draws

AT_ONCE = 2_000_000  # drawn prompts in memory
Weights = np.ndarray  # (draws, prompts)


@dataclass(frozen=True)
class Block:
    """What one set's prompts give to a measure of measures.

    Args:
        first, other: (groups, prompts), NaN where a prompt gives a group nothing.
    """

    first: np.ndarray
    other: np.ndarray


def value(measure: Combined, groups: Sequence[Sequence[float]]) -> float:
    """The number of one run; NaN where a group is empty."""
    if not groups or not all(groups):
        return math.nan
    return float(measure.together(np.array([sum(group) / len(group) for group in groups])))


def difference(
    measure: Combined, blocks: Sequence[Block], draws: int, family: int = 1
) -> tuple[float, float, float, float]:
    """The other's number less the first's, the bounds of its bootstrap within each set, and p.

    p is of random signs: each prompt's two runs change places or not, in all groups at once.
    """
    whole = [np.ones((1, block.first.shape[1])) for block in blocks]
    value = float(_apart(measure, blocks, whole)[0])
    rng = np.random.default_rng(0)
    means = _many(lambda rows: _apart(measure, blocks, [_drawn(rng, rows, block) for block in blocks]), blocks, draws)
    low, high = np.nanquantile(means, (0.025, 0.975))
    least = abs(value) * (1 - 1e-9)
    p = p_of_draws(
        lambda: np.abs(_many(lambda rows: _swapped(measure, blocks, rng, rows), blocks, FLIPS)) >= least, family
    )
    return value, float(low), float(high), p


def _many(some: Callable[[int], np.ndarray], blocks: Sequence[Block], draws: int) -> np.ndarray:
    rows = max(1, AT_ONCE // max(1, sum(block.first.shape[1] for block in blocks)))
    return np.concatenate([some(min(rows, draws - start)) for start in range(0, draws, rows)])


def _drawn(rng: np.random.Generator, rows: int, block: Block) -> Weights:
    """How often each prompt is drawn, of as many with replacement."""
    count = block.first.shape[1]
    return rng.multinomial(count, np.full(count, 1 / count), size=rows).astype(float)


def _apart(measure: Combined, blocks: Sequence[Block], weights: Sequence[Weights]) -> np.ndarray:
    """(draws,) the other's number less the first's."""
    sides = ([block.first for block in blocks], [block.other for block in blocks])
    one, other = (_number(measure, [[(w, v)] for w, v in zip(weights, values, strict=True)]) for values in sides)
    return other - one


def _swapped(measure: Combined, blocks: Sequence[Block], rng: np.random.Generator, rows: int) -> np.ndarray:
    """(draws,) the same, where each prompt's runs have changed places by the toss of a coin."""
    stay = [rng.integers(2, size=(rows, block.first.shape[1])).astype(float) for block in blocks]
    pairs = list(zip(stay, blocks, strict=True))
    one = _number(measure, [[(s, block.first), (1 - s, block.other)] for s, block in pairs])
    other = _number(measure, [[(1 - s, block.first), (s, block.other)] for s, block in pairs])
    return other - one


def _number(measure: Combined, blocks: Sequence[Sequence[tuple[Weights, np.ndarray]]]) -> np.ndarray:
    """(draws,) of the groups' weighted means over all sets; NaN where a group has nothing."""
    terms = [term for block in blocks for term in block]
    total = sum((w @ np.nan_to_num(values).T for w, values in terms), np.zeros(1))
    count = sum((w @ (~np.isnan(values)).astype(float).T for w, values in terms), np.zeros(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(measure.together((total / count).T))
