"""Figures as files: PNG and SVG of the same name, written whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from unlearnkit.errors import UserError, nearest
from unlearnkit.files import whole
from unlearnkit.plots.dissecting import bleu, krs
from unlearnkit.plots.prefixes import prefixes
from unlearnkit.plots.robustness import robustness
from unlearnkit.plots.steps import steps
from unlearnkit.plots.tradeoff import tradeoff
from unlearnkit.tables.compare import DONE, grouped
from unlearnkit.tables.reading import Run, collect, on_test, read_run
from unlearnkit.tables.variants import told_apart

if TYPE_CHECKING:
    from unlearnkit.sweeps import Sweep

FIGURES: dict[str, Callable[..., Figure]] = {
    "krs": krs,
    "bleu": bleu,
    "steps": steps,
    "tradeoff": tradeoff,
    "prefixes": prefixes,
    "robustness": robustness,
}


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write STEM.png and STEM.svg; returns the files."""
    files = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    for file in files:
        kind = file.suffix.removeprefix(".")
        with whole(file) as partial:
            figure.savefig(partial, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return files


def draw(name: str, folder: Path) -> list[Path]:
    """Write FOLDER/NAME.png and .svg from every run below the folder; returns the files."""
    return save(FIGURES[name](told_apart([on_test(run) for run in collect(folder)])), folder / name)


def write(sweep: Sweep) -> list[Path]:
    """Every figure of a sweep into its folder, one a model and data set; none where it has no figures.

    What cannot be drawn, for want of runs that are done, is told on stderr and left out.

    Raises:
        UserError: a figure that there is not.
    """
    wanted = list(sweep.spec.get("figures") or [])
    for name in wanted:
        if name not in FIGURES:
            what = f"sweeps/{sweep.name}.yaml: unknown figure '{name}'.{nearest(str(name), FIGURES)}"
            raise UserError(what, f"Figures are: {', '.join(FIGURES)}.")
    groups: dict[tuple[str, str], list[Run]] = {}
    for key, cells in grouped(sweep).items() if wanted else ():
        groups[key] = told_apart([on_test(read_run(cell.folder)) for cell in cells if cell.state == DONE])
    files = []
    for name in wanted:
        for (model, data), runs in groups.items():
            parts = [name, *([model] if several(groups, 0) else []), *([data] if several(groups, 1) else [])]
            try:
                figure = FIGURES[name](runs, sweep.spec)
            except UserError as error:
                print(f"Figure {name} of {model} on {data}: not drawn. {error.what}", file=sys.stderr)
                continue
            sweep.folder.mkdir(parents=True, exist_ok=True)
            files += save(figure, sweep.folder / "-".join(parts))
    return files


def several(groups: dict[tuple[str, str], Any], part: int) -> bool:
    return len({key[part] for key in groups}) > 1
