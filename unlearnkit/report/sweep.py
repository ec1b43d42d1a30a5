"""The report of a sweep: its tables, figures, curves, answers and configs in one file."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import UserError
from unlearnkit.measures.columns import Column
from unlearnkit.report.answers import MOST_BYTES, examples
from unlearnkit.report.curves import heat_maps, loss_figures, sweep_figures
from unlearnkit.report.page import gzipped, render, write_page
from unlearnkit.report.reading import read_config, read_lines
from unlearnkit.tables.published import column
from unlearnkit.tables.reading import Run, on_test, read_run
from unlearnkit.tables.variants import base, title_of, told_apart

if TYPE_CHECKING:
    from unlearnkit.sweeps import Sweep

MOST_FILE = 4_800_000  # bytes of the page
MOST_IMAGES = 1_000_000  # of these, bytes of figures drawn for print
Blocks = dict[str, dict[str, list[Run]]]  # model and data -> method -> its runs, one a seed


def write_sweep(sweep: Sweep) -> Path:
    """Write `sweep.folder`/report.html from the finished cells' own files, whole or not at all.

    Raises:
        UserError: no cell is finished, or a file is not what a run writes.
    """
    from unlearnkit.tables import fragment

    done = [cell for cell in sweep.cells if cell.state == "done"]
    if not done:
        scale = f" +scale={sweep.scale}" if sweep.scale else ""
        raise UserError(
            f"No run of the sweep '{sweep.name}' is finished: none of its {len(sweep.cells)} cells has its numbers",
            f"Run it: python -m unlearnkit +sweep={sweep.name}{scale}",
        )
    runs = told_apart([on_test(read_run(folder)) for folder in dict.fromkeys(cell.folder for cell in done)])
    titles = method_titles(sweep.spec, runs)
    blocks = grouped(runs, titles)
    charts = charts_of(blocks, columns_of(sweep.spec))
    images, unseen = figures_of(sweep.folder)
    values: dict[str, Any] = {
        "sweep": sweep,
        "title": sweep.spec.get("title") or sweep.name,
        "source": source(sweep.spec),
        "states": dict(Counter(cell.state for cell in sweep.cells)),
        "unfinished": [cell for cell in sweep.cells if cell.state != "done"],
        "tables": fragment(sweep),
        "images": images,
        "unseen": unseen,
        "figures": charts,
        "methods": list(dict.fromkeys(title for methods in blocks.values() for title in methods)),
        "configs": [f"{titles[run.method]}, {run.model}, {run.data}, seed {run.seed}" for run in runs],
        "configs_gzip": gzipped(json.dumps([read_config(run.folder) for run in runs])),
    }
    empty = render("sweep.html.j2", **values, examples=[], left_out=0)
    room = min(MOST_BYTES, MOST_FILE - len(empty.encode(errors="replace")))
    shown, left_out = examples(answers_of(blocks), room)
    return write_page(sweep.folder, render("sweep.html.j2", **values, examples=shown, left_out=left_out))


def method_titles(spec: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, str]:
    """Method -> what the paper calls it, in the order of the sweep's rows; others by their own name."""
    rows, there = dict(spec.get("rows") or {}), dict.fromkeys(run.method for run in runs)
    ordered = [name for row in rows for name in there if base(name) == row]
    return {name: title_of(name, rows) for name in dict.fromkeys([*ordered, *there])}


def grouped(runs: Sequence[Run], titles: Mapping[str, str]) -> Blocks:
    """Runs by model and data, and by their method's title in order; one a seed, lowest first."""
    blocks: Blocks = {}
    for run in sorted(runs, key=lambda run: (list(titles).index(run.method), run.seed)):
        blocks.setdefault(f"{run.model}, {run.data}", {}).setdefault(titles[run.method], []).append(run)
    return blocks


def columns_of(spec: Mapping[str, Any]) -> list[Column]:
    """The columns of a sweep's tables."""
    return [column(str(name)) for name in spec.get("columns") or {}]


def charts_of(blocks: Blocks, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Curves and heat maps of every model and data set, named by it where there are several."""
    charts = []
    for block, methods in blocks.items():
        logs = {title: [read_lines(run.folder / "log.jsonl") for run in runs] for title, runs in methods.items()}
        for chart in (*sweep_figures(methods, columns), *loss_figures(logs), *heat_maps(methods)):
            charts.append(chart | ({"title": f"{chart['title']}: {block}"} if len(blocks) > 1 else {}))
    return charts


def answers_of(blocks: Blocks) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Model and data -> method -> the answers of its lowest seed."""
    return {
        block if len(blocks) > 1 else "": {
            title: read_lines(runs[0].folder / "generations.jsonl")
            for title, runs in methods.items()
            if runs[0].after or len(methods) == 1  # a run without a method has no more than the others' before
        }
        for block, methods in blocks.items()
    }


def figures_of(folder: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The PNG figures in a sweep's folder as data URIs, and the names of those too large to hold."""
    kept, left, used = [], [], 0
    for path in sorted(folder.glob("*.png")):
        data = base64.b64encode(path.read_bytes()).decode()
        used += len(data)
        if used > MOST_IMAGES:
            left.append(path.name)
        else:
            kept.append({"name": path.stem.replace("_", " "), "uri": f"data:image/png;base64,{data}"})
    return kept, left


def source(spec: Mapping[str, Any]) -> str:
    """`Liu et al. 2024, table 1, page 7`."""
    said = dict(spec.get("source") or {})
    parts = [said.get("paper"), said.get("place"), f"page {said['page']}" if said.get("page") else None]
    return ", ".join(str(part) for part in parts if part)
