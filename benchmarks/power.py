"""How many test prompts and seeds tell the papers' own differences at 80 % power: before data and settings are chosen.

    python benchmarks/power.py [--power 0.8] [--tests 1] [--between 0.026] [--alike 0.5]

Prompts: exact power of a two-sided test at 5 % over `tests` comparisons (the first step of Holm's correction).
Unpaired: each of two runs on prompts of its own, the pooled z-test of two shares. Paired: both on the same prompts,
McNemar's exact test, given how alike their verdicts are. Seeds: a t-test between two methods' means over seeds, whose
variance is that between seeds and that of the prompts, which all seeds share.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import stats

LEVEL = 0.05
# Liu et al. 2024, table 1, LLaMA2-7B: SKU 3 % harmful, the task vector 35 %, GA+Mismatch 3.5 and OPT's FT 18.5 %.
RATES = ((0.03, 0.35), (0.03, 0.185), (0.05, 0.15), (0.05, 0.10), (0.03, 0.035))
# Tian et al. 2024, table 2: average success of MemFlex and GA+GD.
SUCCESS = (0.82, 0.78)
SPREAD = 0.25  # of one answer's success around the mean, of values between 0 and 1
BETWEEN = (0.01, 0.026, 0.05)  # standard deviations over seeds: ours were 0.026 (GA+GD) and 0.05 (MemFlex)
PROMPTS = (120, 400, 1000, math.inf)  # of both scopes; the last: of these prompts alone something is said


def unpaired(one: float, other: float, count: int, level: float) -> float:
    """Power of the pooled z-test with `count` prompts a side, summed over all outcomes."""
    hits = np.arange(count + 1)
    a, b = hits[:, None] / count, hits[None] / count
    pooled = (a + b) / 2
    error = np.sqrt(pooled * (1 - pooled) * 2 / count)
    z = np.divide(np.abs(a - b), error, out=np.zeros_like(error), where=error > 0)
    chance = stats.binom.pmf(hits, count, one)[:, None] * stats.binom.pmf(hits, count, other)[None]
    return float(chance[z > stats.norm.isf(level / 2)].sum())


def discordant(one: float, other: float, alike: float) -> tuple[float, float]:
    """Share of prompts where only the first says yes, and only the second.

    Args:
        alike: correlation of the two verdicts over prompts; the most that two such shares can have, where it is more.
    """
    both = one * other + alike * math.sqrt(one * (1 - one) * other * (1 - other))
    both = min(both, one, other)
    return one - both, other - both


def paired(one: float, other: float, count: int, level: float, alike: float) -> float:
    """Power of McNemar's exact test on `count` prompts."""
    first, second = discordant(one, other, alike)
    apart = first + second
    power = 0.0
    for number in range(1, count + 1):
        if not (chance := stats.binom.pmf(number, count, apart)) > 1e-12:
            continue
        fewer = np.arange(number + 1)
        p = np.minimum(1, 2 * stats.binom.cdf(np.minimum(fewer, number - fewer), number, 0.5))
        power += chance * stats.binom.pmf(fewer, number, first / apart)[p <= level].sum()
    return float(power)


def smallest(power_of: object, wanted: float, most: int) -> int | None:
    """The smallest number whose power is `wanted`, by doubling and halving; None: more than `most`.

    An exact power rises in a sawtooth, so that a number a few smaller may do as well.
    """
    assert callable(power_of)
    low, high = 2, 2
    while power_of(high) < wanted:
        low, high = high, high * 2
        if low >= most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= wanted else (middle, high)
    return high


def seeds_power(
    apart: float, between: float, spread: float, prompts: float, alike: float, seeds: int, level: float
) -> float:
    """Power of a two-sided t-test of two means over seeds.

    The prompts' part of the variance does not fall with seeds, for all seeds answer the same ones.
    """
    variance = 2 * between**2 / seeds + 2 * spread**2 * (1 - alike) / prompts
    freedom = 2 * (seeds - 1)
    limit = stats.t.isf(level / 2, freedom)
    away = apart / math.sqrt(variance)
    return float(stats.nct.sf(limit, freedom, away) + stats.nct.cdf(-limit, freedom, away))


def seeds_needed(
    apart: float, between: float, spread: float, prompts: float, alike: float, level: float, power: float
) -> int | None:
    """The fewest seeds a method; None: no number of seeds is enough with so few prompts."""
    return smallest(lambda n: seeds_power(apart, between, spread, prompts, alike, n, level), power, 4096)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--power", type=float, default=0.8)
    parser.add_argument("--tests", type=int, default=1, help="comparisons that Holm's correction is over")
    parser.add_argument("--between", type=float, nargs="+", default=list(BETWEEN), help="SD between seeds, of 1")
    parser.add_argument("--spread", type=float, default=SPREAD, help="SD of one answer's success over prompts")
    parser.add_argument("--alike", type=float, default=0.5, help="correlation over prompts of two methods' outcomes")
    given = parser.parse_args()
    level = LEVEL / given.tests
    print(f"power {given.power:.0%}, two-sided level {level:.4f} ({given.tests} comparisons), alike {given.alike}")
    print("\n| harmful | prompts, unpaired | prompts, paired |\n|---|---:|---:|")
    for one, other in RATES:
        apart = smallest(lambda n, p=(one, other): unpaired(*p, n, level), given.power, 1024)
        same = smallest(lambda n, p=(one, other): paired(*p, n, level, given.alike), given.power, 1024)
        print(f"| {one:.1%} / {other:.1%} | {apart or 'over 1024'} | {same or 'over 1024'} |")
    print("\n| success | SD between seeds | prompts | seeds, unpaired | seeds, paired |\n|---|---:|---:|---:|---:|")
    for between in given.between:
        for prompts in PROMPTS:
            counts = [
                seeds_needed(abs(SUCCESS[0] - SUCCESS[1]), between, given.spread, prompts, alike, level, given.power)
                for alike in (0.0, given.alike)
            ]
            seeds = " | ".join(str(count) if count else "none is enough" for count in counts)
            said = str(prompts) if math.isfinite(prompts) else "these alone"
            print(f"| {SUCCESS[0]:.0%} / {SUCCESS[1]:.0%} | {between:.1%} | {said} | {seeds} |")


if __name__ == "__main__":
    main()
