"""What unlearning costs: utility against harmful rate, step by step (Liu et al. 2024, section 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from unlearnkit.errors import UserError
from unlearnkit.measures.display import arrow
from unlearnkit.plots.curves import cut, drawable, line_of, spans_decades
from unlearnkit.plots.steps import panels_of
from unlearnkit.plots.style import headed, looks, methods_of, name_of, new
from unlearnkit.tables import published
from unlearnkit.tables.reading import Run

HARM = published.column("safety/unlearned/harmful_rate")


def tradeoff(runs: Sequence[Run], spec: Mapping[str, Any] | None = None) -> Figure:
    """A panel a metric of the set `normal`, a line a method through its training, the last point filled.

    Raises:
        UserError: no run measured harmful rate and utility during training.
    """
    spec = spec or {}
    panels = {column: title for column, title in panels_of(runs, spec).items() if column.display.role == "retain"}
    methods = methods_of(runs, spec)
    harm = {m: line for m in methods if (line := line_of([run for run in runs if run.method == m], HARM))}
    if not panels or not harm:
        fix = "Run safety data with eval_every= a number of steps"
        raise UserError("No run there has harmful rate and utility over training steps", fix)
    figure = new(4.2 * len(panels), 4)
    style, handles = looks(methods), {}
    for place, (column, title) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place)
        drawn, values = list[float](), list[float]()
        for method, harmful in harm.items():
            useful = line_of([run for run in runs if run.method == method], column)
            if useful is None:
                continue
            by_step = dict(zip(useful.steps, drawable(useful.values), strict=True))
            shared = [(x, by_step[s]) for s, x in zip(harmful.steps, harmful.values, strict=True) if s in by_step]
            if not shared:
                continue
            x, y = zip(*shared, strict=True)
            axes.plot(x, y, **{**style[method], "markerfacecolor": "white", "linewidth": 1})
            (handles[name_of(method, spec)],) = axes.plot(
                x[-1:], y[-1:], **{**style[method], "markersize": 8, "ls": ""}
            )
            drawn += y
            values += useful.values
        if spans_decades(drawn):
            axes.set_yscale("log")
        unit = " (%)" if column.display.rate else cut(values)
        axes.set(xlabel="harmful rate, unlearned prompts ↓ (%)", ylabel=f"{title} {arrow(column.display)}{unit}")
    headed(figure, runs)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), 5), frameon=False)
    return figure
