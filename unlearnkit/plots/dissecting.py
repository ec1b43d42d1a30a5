"""Hong et al. 2024: knowledge recovery by layer (figure 1), BLEU beside the concept against BLEU on it (figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from unlearnkit.errors import UserError
from unlearnkit.plots.style import name_of, new
from unlearnkit.tables import published
from unlearnkit.tables.reading import Run, curve_numbers
from unlearnkit.tables.variants import base

BLEU = "bleu_as_published"
SETTINGS = ("coefficients", "value_vectors", "attention", "attention_and_coefficients")


def krs(runs: Sequence[Run], spec: Mapping[str, Any] | None = None) -> Figure:
    """Hong et al. 2024, figure 1: KRS by layer and what is restored; the mean over runs, each run thin behind it.

    The mean is over methods too, as the paper's is; runs that differ in other settings have a panel each.
    """
    panels: dict[str, dict[str, list[list[float]]]] = {}
    names: dict[str, dict[str, None]] = {}
    for run in runs:
        variant = run.method.removeprefix(base(run.method))
        for setting in SETTINGS:
            layers = [(c, e.value) for c, e in run.after.items() if c[:2] == ("krs", setting) and c[2] != "peak"]
            if layers:
                names.setdefault(variant, {})[name_of(run.method, spec or {})] = None
                lines = panels.setdefault(variant, {}).setdefault(setting, [])
                lines.append([value for _, value in sorted(layers)])
    if not panels:
        raise UserError("No run there has KRS numbers", "Run a method with eval=krs, or give another folder")
    figure = new(6.4 * len(panels), 4)
    for place, (variant, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for number, (setting, lines) in enumerate(curves.items()):
            for line in lines:
                axes.plot(line, color=f"C{number}", linewidth=0.7, alpha=0.4)
            axes.plot(np.mean(lines, axis=0), color=f"C{number}", linewidth=2, label=setting.replace("_", " "))
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set(xlabel="layer in the middle of the window", ylabel="KRS", title=", ".join(names[variant]))
        axes.legend()
    return figure


def bleu(runs: Sequence[Run], spec: Mapping[str, Any] | None = None) -> Figure:
    """Hong et al. 2024, figure 2: BLEU on unrelated questions against BLEU on the concept's, over training steps."""
    theirs = any(
        published.column(f"concepts/target/{BLEU}") in run.after for run in runs
    )  # earlier runs have ours alone
    measure = BLEU if theirs else "bleu"
    target, unrelated = (published.column(f"concepts/{name}/{measure}") for name in ("target", "unrelated"))
    points: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        line = points.setdefault(run.method, [])
        for row in run.raw.get("curve", []):
            numbers = curve_numbers(run, row)
            if row["step"] and target in numbers:
                line.append((numbers[target].value, numbers[unrelated].value))
        if not line and target in run.after:
            line.append((run.after[target].value, run.after[unrelated].value))
    points = {method: line for method, line in points.items() if line}
    if not points:
        raise UserError("No run there has BLEU numbers", "Run a method with eval=concepts, or give another folder")
    figure = new(5.6, 4.4)
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color="grey", linewidth=0.5, linestyle=":")
    axes.plot(100, 100, "*", color="black", label="original", markersize=10)
    for number, (method, line) in enumerate(points.items()):
        name = name_of(method, spec or {})
        axes.plot(*zip(*line, strict=True), "^" if "memit" in method else "o", color=f"C{number}", label=name)
    axes.set(xlabel="BLEU, target questions (lower: more unlearnt)", ylabel="BLEU, unrelated questions")
    axes.legend(loc="lower right")
    return figure
