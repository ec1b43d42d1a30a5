"""Figures of papers from metrics.json files: `python -m unlearnkit.plots {krs,bleu} FOLDER`, as PNG and SVG."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from hydra.experimental.callback import Callback
from matplotlib.figure import Figure
from omegaconf import DictConfig

from unlearnkit.errors import UserError
from unlearnkit.tables import Run, collect

matplotlib.rcParams["svg.hashsalt"] = "unlearnkit"  # the same figure is the same file
SETTINGS = ("coefficients", "value_vectors", "attention", "attention_and_coefficients")


def krs(runs: Sequence[Run]) -> Figure:
    """Hong et al. 2024, figure 1: KRS by layer and what is restored; the mean over runs, each run thin behind it."""
    curves: dict[str, list[list[float]]] = {}
    names = []
    for run in runs:
        for setting in SETTINGS:
            layers = [(c, e.value) for c, e in run.after.items() if c[:2] == ("krs", setting) and c[2] != "peak"]
            if layers:
                names.append(run.method)
                curves.setdefault(setting, []).append([value for _, value in sorted(layers)])
    if not curves:
        raise UserError("No run there has KRS numbers", "Run a method with eval=krs, or give another folder")
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    for number, (setting, lines) in enumerate(curves.items()):
        for line in lines:
            axes.plot(line, color=f"C{number}", linewidth=0.7, alpha=0.4)
        axes.plot(np.mean(lines, axis=0), color=f"C{number}", linewidth=2, label=setting.replace("_", " "))
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.set(xlabel="layer in the middle of the window", ylabel="KRS", title=", ".join(dict.fromkeys(names)))
    axes.legend()
    return figure


def bleu(runs: Sequence[Run]) -> Figure:
    """Hong et al. 2024, figure 2: BLEU on unrelated questions against BLEU on the concept's, over training steps."""
    target, unrelated = ("concepts", "target", "target_bleu"), ("concepts", "unrelated", "unrelated_bleu")
    points: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        found = points.setdefault(run.method, [])
        for row in run.raw.get("curve", []):
            sets = row["metrics"].get("concepts", {})
            if row["step"] and "target" in sets:
                found.append((sets["target"][target[2]]["value"], sets["unrelated"][unrelated[2]]["value"]))
        if not found and target in run.after:
            found.append((run.after[target].value, run.after[unrelated].value))
    points = {method: found for method, found in points.items() if found}
    if not points:
        raise UserError("No run there has BLEU numbers", "Run a method with eval=concepts, or give another folder")
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color="grey", linewidth=0.5, linestyle=":")
    axes.plot(100, 100, "*", color="black", label="original", markersize=10)
    for number, (method, found) in enumerate(points.items()):
        axes.plot(*zip(*found, strict=True), "^" if "memit" in method else "o", color=f"C{number}", label=method)
    axes.set(xlabel="BLEU, target questions (lower: more unlearnt)", ylabel="BLEU, unrelated questions")
    axes.legend(loc="lower right")
    return figure


FIGURES: dict[str, Callable[[Sequence[Run]], Figure]] = {"krs": krs, "bleu": bleu}


def draw(name: str, folder: Path) -> list[Path]:
    """Write FOLDER/NAME.png and .svg from every run below the folder; returns the files."""
    figure = FIGURES[name](collect(folder))
    files = [folder / f"{name}.png", folder / f"{name}.svg"]
    for file in files:
        partial = file.with_name(f"{file.stem}.partial{file.suffix}")
        figure.savefig(partial, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
        partial.replace(file)
    return files


class AtTheEnd(Callback):
    """Hydra's callback that draws a sweep's figure once its last run has ended."""

    def __init__(self, figure: str):
        self.figure = figure

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        for file in draw(self.figure, Path(config.hydra.sweep.dir)):
            print(f"Figure: {file}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.plots", description=__doc__)
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("folder", type=Path, help="a run's or a multirun's output folder")
    args = parser.parse_args(argv)
    try:
        files = draw(args.figure, args.folder)
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(error, file=sys.stderr)
        return 2
    print("\n".join(map(str, files)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
