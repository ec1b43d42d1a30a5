"""What a sweep says as it goes, and what it makes of its cells at the end: a Hydra callback.

Hydra turns what a callback raises into a warning, but for SystemExit; so errors are told here.
"""

from __future__ import annotations

import json
import math
import pkgutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import yaml
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from unlearnkit import configuration
from unlearnkit.files import write
from unlearnkit.identity import differences
from unlearnkit.notices import is_first
from unlearnkit.settings.cells import given
from unlearnkit.sweeps import ERROR, STATES, Cell, Sweep, of
from unlearnkit.sweeps.composing import give_back

configuration.register_resolvers()  # a launcher's own process comes by this module before it composes a cell

CELLS = "cells.json"  # in the sweep's folder: where its cells were when it last began
# What is made at the end, in this order: the report shows the tables and the figures.
PARTS = ["unlearnkit.tables.write", "unlearnkit.plots.write", "unlearnkit.report.write_sweep"]
CHECK = "unlearnkit.cell.check_early"  # what is held against the cells before the first begins
NO_TRACKER = "unlearnkit.runs.tracking.Nowhere"  # logger=none


class SweepProgress(Callback):
    """A line when the sweep begins, one a cell, and what came of it; exit code 1 where a cell has failed."""

    sweep: Sweep

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        self.started = time.time()
        try:
            sys.argv[1:] = given(sys.argv[1:])
            give_back(config)
            self.sweep = of(config)
            self.done_before = {cell.folder for cell in self.sweep.cells if cell.state == "done"}
            if is_first():
                left = [cell.config for cell in self.sweep.cells if cell.folder not in self.done_before]
                pkgutil.resolve_name(CHECK)(left)
                self._begin()
        except Exception as error:
            _tell(error)
            raise SystemExit(2) from None

    def _begin(self) -> None:
        cells = self.sweep.cells
        states = [cell.state for cell in cells]
        counts = [f"{states.count(s)} {s}" for s in STATES if s in states]
        print(f"{self.sweep.title}: {len(cells)} cells in {cells[0].folder.parent}, {', '.join(counts)}", flush=True)
        path = self.sweep.folder / CELLS
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = _earlier(path)
        for line in changes(cells, earlier):
            print(line, flush=True)
        now: dict[str, list[str]] = {}
        for cell in cells:
            now.setdefault(cell.name, []).append(cell.folder.name)
        write(path, json.dumps({**earlier, **now}, indent=1))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        folder = Path(config.hydra.runtime.output_dir)
        cells = self.sweep.cells
        cell = next((cell for cell in cells if cell.folder.resolve() == folder.resolve()), None)
        if cell is None or not is_first():
            return
        ended = [c for c in cells if c.state == "done" or self._failed(c)]
        if self._failed(cell):
            outcome = f"failed: {cell.error}"
        elif cell.folder in self.done_before and (folder / "metrics.json").stat().st_mtime < self.started:
            outcome = "done already"
        elif cell.state == "done":
            outcome = f"done in {cell.run['minutes']:.1f} minutes"
        else:
            return  # its own error is on its way up
        left = minutes_left(cells, [c for c in cells if c not in ended])
        rest = f", about {_duration(left)} left" if left else ""
        print(f"{cell.name}: {outcome} ({len(ended)} of {len(cells)} cells{rest})", flush=True)

    def _failed(self, cell: Cell) -> bool:
        """In this sweep, not in an earlier one."""
        return cell.state == "failed" and (cell.folder / ERROR).stat().st_mtime >= self.started - 1

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        if not is_first():
            return
        cells = self.sweep.cells
        done = [cell for cell in cells if cell.state == "done"]
        print(f"{self.sweep.title}: {len(done)} of {len(cells)} cells are done", flush=True)
        tracked = cells[0].config["logger"]["_target_"] != NO_TRACKER
        parts = [*PARTS, "unlearnkit.dashboard.write"] if tracked else PARTS
        whole = [_made(part, self.sweep) for part in parts]
        for cell in cells:
            if cell not in done:
                why = f": {cell.error}\n  see {cell.folder / ERROR}" if cell.error else ""
                print(f"{cell.name} {cell.state}{why}", file=sys.stderr)
        if len(done) < len(cells):
            print("Start the same command again to try these cells once more", file=sys.stderr)
        if len(done) < len(cells) or not all(whole):
            raise SystemExit(1)


def _earlier(path: Path) -> dict[str, list[str]]:
    """The folders of cells by name when the sweep last began; nothing where that cannot be read any more."""
    try:
        by_cell = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): [str(folder) for folder in folders] for name, folders in by_cell.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def changes(cells: list[Cell], earlier: dict[str, list[str]]) -> list[str]:
    """A line for each cell whose folder was another when the sweep last began: its config has changed since.

    Args:
        earlier: a cell's name -> names of its folders then; a cell that is done now is not spoken of.
    """
    now = {cell.folder.name for cell in cells}
    lines = []
    for cell in cells:
        gone = [name for name in earlier.get(cell.name, []) if name not in now]
        if not gone or cell.folder.name in earlier[cell.name] or cell.state == "done":
            continue
        old = cell.folder.with_name(gone[-1]) / "config.yaml"
        if not old.is_file():
            continue
        what = differences(yaml.safe_load(old.read_text()), cell.config)
        if not what:
            continue
        more = f" and {len(what) - 1} more" if len(what) > 1 else ""
        lines.append(f"{cell.name}: computed anew, its config has changed: {what[0]}{more} ({old.parent.name})")
    return lines


def minutes_left(cells: list[Cell], left: list[Cell]) -> float | None:
    """What the cells that are left may take, one after the other: as the done ones of their method, else as all."""
    by_method: dict[str, list[float]] = {}
    for cell in cells:
        if cell.state == "done":
            by_method.setdefault(cell.method, []).append(cell.run["minutes"])
    every = [minutes for some in by_method.values() for minutes in some]
    if not every or not left:
        return None
    return sum(sum(known) / len(known) for known in (by_method.get(cell.method, every) for cell in left))


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "a minute"
    return f"{math.ceil(minutes)} minutes" if minutes < 100 else f"{minutes / 60:.1f} hours"


def _made(part: str, sweep: Sweep) -> bool:
    """Make a part of a sweep: says what it wrote, or why it could not; True where it could.

    Args:
        part: the dotted name of what makes it, imported now, for that takes seconds.
    """
    try:
        made = pkgutil.resolve_name(part)(sweep)
    except Exception as error:
        _tell(error)
        return False
    for path in made if isinstance(made, list) else [made]:
        print(f"  {path}", flush=True)
    return True


def _tell(error: Exception) -> None:
    explanation = configuration.explain(error)
    if explanation is None:
        traceback.print_exception(error)
    else:
        configuration.tell(explanation)
