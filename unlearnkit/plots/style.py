"""What all figures share: lines apart by colour and marker, and a method's name and place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from unlearnkit.tables import METHODS
from unlearnkit.tables.reading import Run
from unlearnkit.tables.variants import base, title_of

matplotlib.rcParams["svg.hashsalt"] = "unlearnkit"  # the same figure is the same file
OWN = dict.fromkeys(
    ("sku", "sku_as_published", "memflex", "memflex_as_published"), "#d55e00"
)  # the papers' own methods, as their figures colour them
COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#8c564b")  # Okabe, Ito (2008)
MARKERS = "osD^vP*Xp"


def new(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def headed(figure: Figure, runs: Sequence[Run]) -> None:
    """Which model and data the figure is of."""
    models, data = ("/".join(dict.fromkeys(getattr(run, key) for run in runs)) for key in ("model", "data"))
    variants = len({run.data for run in runs})
    figure.suptitle(f"{models} on {data if variants == 1 else f'{variants} data sets'}", fontsize="medium")


def methods_of(runs: Iterable[Run], spec: Mapping[str, Any]) -> list[str]:
    """The methods that were run, variants each, in the order of the sweep's rows, or of the papers' tables."""
    there = dict.fromkeys(run.method for run in runs if run.after)
    order = [name for row in spec.get("rows") or METHODS for name in there if base(name) == row]
    return [*order, *(method for method in there if method not in order)]


def name_of(method: str, spec: Mapping[str, Any]) -> str:
    return title_of(method, spec.get("rows") or {})


def looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each method's line."""
    others = [method for method in methods if method not in OWN]
    colours = OWN | {method: COLOURS[number % len(COLOURS)] for number, method in enumerate(others)}
    return {
        method: {"color": colours[method], "marker": MARKERS[number % len(MARKERS)], "markersize": 4}
        for number, method in enumerate(methods)
    }
