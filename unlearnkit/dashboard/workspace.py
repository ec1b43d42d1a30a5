"""The dashboard's specification: its panels, and the runs that they show.

The paper's numbers are logged as reference runs. The dashboard is made on the server with WANDB_MODE=online; else
its specification, the same, is in results/NAME/dashboard.json.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.dashboard.paper_runs import log_references, references
from unlearnkit.errors import UserError
from unlearnkit.files import write as write_text
from unlearnkit.measures.display import arrow, only_in_figures
from unlearnkit.runs.tracking import STEPS
from unlearnkit.tables.paper import Heading, read_headings
from unlearnkit.tables.reading import Run, read_run

if TYPE_CHECKING:
    from unlearnkit.sweeps import Sweep

PROJECT = "unlearnkit"


def write(sweep: Sweep, project: str = PROJECT) -> Path:
    """Log the reference runs and write `sweep.folder`/dashboard.json; with WANDB_MODE=online make it there too.

    Raises:
        UserError: no cell is finished.
    """
    runs = [read_run(cell.folder) for cell in sweep.cells if cell.state == "done"]
    if not runs:
        scale = f" +scale={sweep.scale}" if sweep.scale else ""
        raise UserError(
            f"No run of the sweep '{sweep.name}' is finished: there is nothing to show",
            f"Run it: python -m unlearnkit +sweep={sweep.name}{scale}",
        )
    reference_runs = references(sweep, runs)
    steps = sorted({row["step"] for run in runs for row in run.raw.get("curve") or []})
    log_references(sweep, reference_runs, steps if len(steps) > 1 else [0, 1], project)
    ids = [path.read_text() for run in runs if (path := run.folder / "wandb" / "id").is_file()]
    online = os.environ.get("WANDB_MODE") == "online"
    view = workspace(
        sweep, runs, [*ids, *(reference.id for reference in reference_runs)], project, _entity() if online else ""
    )
    path = sweep.folder / "dashboard.json"
    write_text(path, json.dumps(view._model.model_dump(by_alias=True, exclude_none=True), indent=1))
    if online:
        print(f"Dashboard: {view.save().url}", flush=True)
    return path


def workspace(sweep: Sweep, runs: Sequence[Run], ids: Sequence[str], project: str, entity: str) -> Any:
    """The dashboard: a section a group of the table's columns, then KRS by layer, answers and training.

    Args:
        ids: the W&B runs that it shows, for a cell that sweeps share is in the group of the one that ran it.
    """
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    headings = read_headings(sweep.spec)
    sections = [ws.Section("About", [wr.MarkdownPanel(markdown=about(sweep))], is_open=True)]
    for group in dict.fromkeys(heading.group for heading in headings):
        panels = [panel for heading in headings if heading.group == group for panel in _panels(heading, wr)]
        sections.append(ws.Section(group or "Table", panels, is_open=True))
    settings: dict[str, list[str]] = {}
    for probe, setting, *_ in (c for run in runs for c in run.after if len(c) == 3 and only_in_figures(c[-1])):
        settings.setdefault(probe, [])
        settings[probe] += [setting] * (setting not in settings[probe])
    for probe, names in settings.items():
        panels = [wr.LinePlot(title=f"{name} restored", x="layer", y=[f"{probe}/{name}"]) for name in names]
        sections.append(ws.Section(f"{probe.upper()} by layer", panels, is_open=True))
    tables: list[Any] = [wr.WeavePanelSummaryTable(table_name=name) for name in ("answers", "metrics")]
    sections.append(ws.Section("Answers and metrics", tables, layout_settings=ws.SectionLayoutSettings(1, 2)))
    losses = wr.LinePlot(title="training loss", x=STEPS, metric_regex="train/.*/loss", max_runs_to_show=100)
    sections.append(ws.Section("Training", [losses]))
    several = len({run.model for run in runs}) > 1
    return ws.Workspace(
        entity=entity,
        project=project,
        name=plain(f"{sweep.folder.name}: {sweep.spec.get('title') or sweep.name}"),
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=STEPS, max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=[expr.Metric("ID").isin(list(ids))],
            groupby=[expr.Config(key) for key in ("model_name", "method")[0 if several else 1 :]],
            pinned_columns=["config:method", "config:seed", *(f"summary:after/{heading.key}" for heading in headings)],
        ),
    )


def _panels(heading: Heading, wr: Any) -> list[Any]:
    """A column's final numbers as bars and its curve over training steps; the paper's are among both."""
    title = f"{heading.title} {arrow(heading.column.display)}".strip()
    return [
        wr.BarPlot(
            title=title, metrics=["/".join(("after", *heading.column))], max_bars_to_show=50, max_runs_to_show=100
        ),
        wr.LinePlot(title=f"{title}, by step", x=STEPS, y=[f"curve/{heading.key}"], max_runs_to_show=100),
    ]


def about(sweep: Sweep) -> str:
    """What the sweep is, in Markdown: where the paper's numbers stand and what it claims."""
    source = sweep.spec.get("source") or {}
    parts = [source.get("paper"), source.get("place"), f"page {source['page']}" if source.get("page") else None]
    claims = [f"- {claim['says']}" for claim in sweep.spec.get("claims") or []]
    lines = [f"# {sweep.spec.get('title') or sweep.name}", ", ".join(str(part) for part in parts if part)]
    if claims:
        lines += ["The paper says:", "\n".join(claims)]
    return "\n\n".join([*lines, f"`python -m unlearnkit.tables {sweep.name}` has these side by side."])


def plain(title: str) -> str:
    """Without the signs that a workspace's name may not have: symbols of every kind, `+` and `<` among them."""
    letters = "".join(" " if unicodedata.category(char)[0] == "S" else char for char in title)
    return " ".join(letters.split())


def _entity() -> str:
    import wandb

    return str(wandb.Api().default_entity)
