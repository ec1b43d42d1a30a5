"""A paper's numbers, and those of our original model, as W&B runs: constant curves beside a sweep's own."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.content import digest
from unlearnkit.measures.columns import Column
from unlearnkit.runs.tracking import STEPS, open_run
from unlearnkit.tables import mean_over_seeds
from unlearnkit.tables.paper import read_headings, read_paper
from unlearnkit.tables.reading import Run

if TYPE_CHECKING:
    from unlearnkit.sweeps import Sweep

ORIGINAL = "original"


@dataclass(frozen=True)
class Reference:
    """Numbers that no run of the sweep has, in the units of metrics.json.

    Args:
        method: as the charts call it, `sku (paper)`.
        values: by column; `>1000` is 1000.
    """

    id: str
    method: str
    model: str
    tags: tuple[str, ...]
    values: dict[Column, float]


def references(sweep: Sweep, runs: Sequence[Run]) -> list[Reference]:
    """One for each row of each of the paper's blocks, and one for each original model that was measured."""
    rows = []
    for block, lines in read_paper(sweep.spec, sweep.name).items():
        for row, numbers in lines.items():
            values = {}
            for heading in read_headings(sweep.spec):
                if (printed := numbers.get(heading.key)) is not None:
                    value = printed.value if printed.bound is None else printed.bound
                    values[heading.column] = value / 100 if heading.column.display.rate else value
            if values:
                tags = ("paper", row, block, sweep.name)
                rows.append(Reference(_id(sweep, "paper", block, row), f"{row} (paper)", block, tags, values))
    columns = [heading.column for heading in read_headings(sweep.spec)]
    for model in dict.fromkeys(run.model for run in runs):
        parts = [run.before for run in runs if run.model == model]
        values = {
            c: mean_over_seeds(estimates, c.display.scale).value
            for c in columns
            if (estimates := [p[c] for p in parts if c in p])
        }
        values = {column: value for column, value in values.items() if math.isfinite(value)}
        if values:
            own = (ORIGINAL, model, sweep.name)
            rows.append(Reference(_id(sweep, ORIGINAL, model), ORIGINAL, model, own, values))
    return rows


def _id(sweep: Sweep, *parts: str) -> str:
    """The same run each time, so that logging anew adds none."""
    return digest([sweep.folder.name, *parts])[:12]


def log_references(sweep: Sweep, runs: Sequence[Reference], steps: Sequence[int], project: str) -> Path:
    """Log the references into `sweep.folder`/reference, in place of those of an earlier time.

    Args:
        steps: where the sweep's curves have points; each reference has its value at all of them.
    """
    folder = sweep.folder / "reference"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for reference in runs:
        run = open_run(
            folder,
            id=reference.id,
            resume="allow" if os.environ.get("WANDB_MODE") == "online" else None,
            reinit="create_new",
            project=project,
            group=sweep.name,
            job_type="reference",
            name=f"{reference.method}, {reference.model}",
            tags=list(reference.tags),
            config={
                "sweep": sweep.name,
                "method": reference.method,
                "model_name": reference.model,
                "source": dict(sweep.spec.get("source") or {}),
            },
        )
        names = {"/".join(column): value for column, value in reference.values.items()}
        for step in steps:
            run.log({**{f"curve/{name}": value for name, value in names.items()}, STEPS: step})
        run.summary.update({f"after/{name}": value for name, value in names.items()})
        run.finish()
    return folder
