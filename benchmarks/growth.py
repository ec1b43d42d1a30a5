"""How the cost of a step grows: seconds and memory against rows, answer length, vocabulary and layers.

The packed step of NPO+KL with LoRA in fp32, on random weights and random tokens of exact lengths, so that each axis
is varied alone around one small llama shape. Each measurement has a process of its own. Seconds are the processor's in
one thread, which on a quiet machine are the clock's, and which other work on it disturbs less.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from gpu_times import adamw, packed_way
from matplotlib.figure import Figure
from measure import peak_memory, resident
from networks import method, network
from scipy.optimize import curve_fit

from unlearnkit.data.examples import Example
from unlearnkit.models.packing import Tokenise
from unlearnkit.stages.steps import Steps

SHAPE = "4M"
PROMPT = 16  # tokens
LIKE_LINEAR = 2.2  # what a doubling may cost at most


@dataclass(frozen=True)
class Setting:
    """What a step is of: rows of each of two streams, tokens of an answer, words of the vocabulary, layers."""

    rows: int = 2
    answer: int = 64
    vocabulary: int = 4096
    layers: int = 4


@dataclass(frozen=True)
class Cost:
    """Of one step: the processor's seconds; the peak in bytes over what the imports hold."""

    seconds: float
    peak: float


@dataclass(frozen=True)
class Fit:
    """cost = constant + slope x, by least squares of relative residuals.

    Args:
        residual: the largest, relative.
        exponent: p of the best constant + slope x^p with a constant of at least 0.
        doubling: the last value's cost over the one before it.
    """

    constant: float
    slope: float
    residual: float
    exponent: float
    doubling: float

    def share(self, value: float) -> float:
        """How much of the cost at a value is the constant."""
        return self.constant / (self.constant + self.slope * value)


AXES = {
    "rows": (1, 2, 4, 8, 16),
    "answer": (32, 64, 128, 256, 512),
    "vocabulary": (2048, 4096, 8192, 16384, 32768),
    "layers": (1, 2, 4, 8, 16),
}
LABELS = {"rows": "rows a stream", "answer": "answer, tokens", "vocabulary": "vocabulary, words", "layers": "layers"}
UNITS = {"seconds": ("CPU seconds a step", 1.0), "peak": ("peak memory, GB", 1e9)}


class Rows:
    """A stream of rows with random tokens, which no two rows share; their texts are the tokens' numbers."""

    size = 1

    def __init__(self, name: str, setting: Setting):
        self.name, self.setting = name, setting

    def draw(self, seed: int, step: int, count: int) -> list[tuple[Example, ...]]:
        drawn = random.Random(f"{self.name} {seed} {step}")

        def text(length: int) -> str:
            return " ".join(str(drawn.randrange(self.setting.vocabulary)) for _ in range(length))

        return [(Example(f"{self.name}{step}.{row}", text(PROMPT), text(self.setting.answer)),) for row in range(count)]


def encode(prompt: str, response: str) -> tuple[list[int], list[int]]:
    """The tokens that the texts number."""
    return [int(token) for token in prompt.split()], [int(token) for token in response.split()]


def once(setting: Setting, steps: int, shape: str = SHAPE) -> Cost:
    """The median of `steps` steps after one that is not timed, and the peak of two more."""
    torch.set_num_threads(1)  # several wait for one another, and waiting counts
    before = resident()
    more = {"vocab_size": setting.vocabulary, "num_hidden_layers": setting.layers}
    model = network(shape, True, "cpu", dtype=torch.float32, **more)
    stage, _ = method("npo_kl")
    packed = Steps(
        {term.stream: Rows(term.stream, setting) for term in stage.terms.values()},
        Tokenise(encode, PROMPT + setting.answer),
        seed=0,
        batch_size=setting.rows,
        max_steps=steps,
    )
    ours, _ = packed_way(model, stage, packed, "cpu")
    optimiser = adamw(model)

    def whole(number: int) -> float:
        started = time.process_time()
        ours(number)
        optimiser.step()
        optimiser.zero_grad()
        return time.process_time() - started

    whole(0)
    seconds = median(whole(number) for number in range(steps))
    with peak_memory() as peak:  # apart from the timing, which the sampling would slow
        whole(0)
        whole(steps - 1)
    return Cost(seconds, peak.bytes - before)


def apart(setting: Setting, steps: int) -> Cost:
    """The same in a process of its own, forked from one that has imported and computed nothing."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(once, (setting, steps))


def measured(
    axes: Mapping[str, Sequence[int]], base: Setting, repetitions: int, take: Callable[[Setting], Cost]
) -> dict[str, list[Cost]]:
    """axis -> the cost at each of its values: the least seconds and the median peak of some repetitions.

    Other work on the machine can only slow a step. A repetition goes through all values: a busy while meets all.
    """
    settings = {axis: [replace(base, **{axis: value}) for value in values] for axis, values in axes.items()}
    found: dict[Setting, list[Cost]] = {setting: [] for along in settings.values() for setting in along}
    for repetition in range(repetitions):
        for setting, costs in found.items():
            costs.append(take(setting))
            print(f"{repetition + 1}: {setting}: {costs[-1].seconds:.3f} s, {costs[-1].peak / 1e9:.3f} GB", flush=True)
    best = {
        setting: Cost(min(cost.seconds for cost in costs), median(cost.peak for cost in costs))
        for setting, costs in found.items()
    }
    return {axis: [best[setting] for setting in along] for axis, along in settings.items()}


def fitted(values: Sequence[float], costs: Sequence[float]) -> Fit:
    """Of four values or more."""
    x, y = np.asarray(values, float), np.asarray(costs, float)
    slope, constant = np.polyfit(x, y, 1, w=1 / y)
    scaled, size = x / x[-1], y[-1]  # so that what is sought is about 1
    found, _ = curve_fit(
        lambda at, least, rise, power: least + rise * at**power,
        scaled,
        y / size,
        p0=(0.1, 0.9, 1.0),
        sigma=y / size,
        bounds=([0, 0, 0.2], [np.inf, np.inf, 4]),
    )
    residual = float(np.max(np.abs(constant + slope * x - y) / y))
    return Fit(float(constant), float(slope), residual, float(found[2]), float(y[-1] / y[-2]))


def table(axes: Mapping[str, Sequence[int]], costs: Mapping[str, Sequence[Cost]]) -> str:
    """In Markdown: what each axis costs, and how its growth is fitted."""
    lines = [
        "| axis | values | cost | at the values | constant's share, first and last | exponent | largest residual"
        " | last doubling |",
        "|---|---|---|---|---:|---:|---:|---:|",
    ]
    for axis, values in axes.items():
        for kind, (unit, scale) in UNITS.items():
            along = [getattr(cost, kind) / scale for cost in costs[axis]]
            fit = fitted(values, along)
            shown = ", ".join(f"{one:.3g}" for one in along)
            lines.append(
                f"| {LABELS[axis]} | {', '.join(map(str, values))} | {unit} | {shown}"
                f" | {fit.share(values[0]):.0%}, {fit.share(values[-1]):.0%} | {fit.exponent:.2f} | {fit.residual:.0%}"
                f" | {fit.doubling:.2f}{'' if fit.doubling <= LIKE_LINEAR else ': more than linear'} |"
            )
    return "\n".join(lines)


def drawn(axes: Mapping[str, Sequence[int]], costs: Mapping[str, Sequence[Cost]]) -> Figure:
    """Seconds above, memory below, an axis a column; dashed is the fitted line."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    panels = figure.subplots(len(UNITS), len(axes), squeeze=False)
    for row, (kind, (unit, scale)) in zip(panels, UNITS.items(), strict=True):
        for panel, (axis, values) in zip(row, axes.items(), strict=True):
            along = [getattr(cost, kind) / scale for cost in costs[axis]]
            fit, ends = fitted(values, along), np.array([0, values[-1]])
            panel.plot(ends, fit.constant + fit.slope * ends, "--", color="#999999")
            panel.plot(values, along, "o", color="#0072b2")
            panel.set_xlim(0, values[-1] * 1.08)
            panel.set_ylim(0, max(along) * 1.12)
            panel.set_xticks(values[-2:])  # more would touch
            panel.set_xlabel(LABELS[axis])
        row[0].set_ylabel(unit)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="where the picture goes, such as docs/figures/growth.png")
    options = parser.parse_args()
    load, started = os.getloadavg()[0], time.perf_counter()
    costs = measured(AXES, Setting(), options.repetitions, lambda setting: apart(setting, options.steps))
    print(table(AXES, costs))
    print(
        f"{os.cpu_count()} CPUs, one thread, load average {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the"
        f" end, {time.perf_counter() - started:.0f} s"
    )
    if options.figure:
        drawn(AXES, costs).savefig(options.figure, dpi=150)


if __name__ == "__main__":
    main()
