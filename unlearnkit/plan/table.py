"""The plan as tables, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.table import Table

from unlearnkit.plan.memory import PARTS
from unlearnkit.plan.planner import Device, Planned
from unlearnkit.plan.sizes import Sizes

GB = 1e9


def numbers(title: str, corner: str, columns: Iterable[str]) -> Table:
    shown = Table(corner, title=title, title_justify="left")
    for column in columns:
        shown.add_column(column, justify="right")
    return shown


def parts_table(asked: dict[str, Planned], title: str) -> Table:
    """GB a GPU at the fullest of forward and backward, by part, and at other moments; a column a training."""
    shown = numbers(title, "GB a GPU", asked)
    for part in PARTS:
        cells = [f"{planned.usage.moments['backward'][part] / GB:.2f}" for planned in asked.values()]
        shown.add_row(part, *cells)
    shown.add_section()
    for when in next(iter(asked.values())).usage.moments:
        shown.add_row(when, *(f"{planned.usage.totals[when] / GB:.2f}" for planned in asked.values()))
    shown.add_section()
    shown.add_row("[bold]at its fullest", *(f"[bold]{planned.usage.total / GB:.2f}" for planned in asked.values()))
    return shown


def grid_table(grid: list[list[Planned]], device: Device, engines: list[str], counts: list[int]) -> Table:
    """GB a GPU of the largest training: engines down, GPUs across."""
    found = {(trainings[0].engine, trainings[0].gpus): trainings for trainings in grid}
    title = f"GB a GPU of {device.memory / GB:g} GB (green fits)"
    shown = numbers(title, "GPUs", map(str, counts))
    for engine in engines:
        cells = []
        for count in counts:
            largest = max(found[engine, count], key=lambda planned: planned.usage.total)
            divides = all(planned.micro.divides for planned in found[engine, count])
            mark = "" if divides else "*"
            fits = largest.usage.total <= device.memory
            cells.append(f"[{'green' if fits else 'red'}]{largest.usage.total / GB:.1f}{'' if fits else '!'}{mark}[/]")
        shown.add_row(engine, *cells)
    return shown


def as_json(
    sizes: Sizes, asked: dict[str, Planned], grid: list[list[Planned]], best: Planned | None, device: Device
) -> dict[str, Any]:
    """Bytes, FLOPs and hours of what the tables show."""
    return {
        "sizes": asdict(sizes),
        "device": asdict(device),
        "asked": {name: row(planned, device) for name, planned in asked.items()},
        "smallest": {"gpus": best.gpus, "engine": best.engine} if best else None,
        "grid": [row(max(trainings, key=lambda p: p.usage.total), device) for trainings in grid],
    }


def row(planned: Planned, device: Device) -> dict[str, Any]:
    """One training's numbers."""
    return {
        "gpus": planned.gpus,
        "engine": planned.engine,
        "bytes": planned.usage.total,
        "when": planned.usage.when,
        "moments": planned.usage.totals,
        "parts": planned.usage.moments["backward"],
        "host_bytes": planned.usage.host,
        "fits": planned.usage.total <= device.memory,
        "batch_divides": planned.micro.divides,
        "micro_batch": {"examples": planned.micro.examples, "tokens": planned.micro.tokens},
        "steps": planned.steps,
        "times": planned.times,
        "flops": planned.flops,
        "hours": device.hours(planned.flops, planned.gpus),
    }
