"""A sweep: the cells of the grid that makes one table or figure of a paper (`sweeps/NAME.yaml`, `+sweep=NAME`).

A cell is one run. Its folder is named by what decides the run's result, so what was computed once, for whichever
sweep, is found again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from unlearnkit import __version__, configuration
from unlearnkit.errors import UserError
from unlearnkit.files import held
from unlearnkit.identity import resolved
from unlearnkit.sweeps import composing

ERROR = "error.txt"  # in a cell's folder: why it failed
LOCK = ".lock"  # and what the process holds that is at it
STATES = ("done", "running", "cut", "failed", "missing")


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: what composes it, where it lies, and what metrics.json's `run` will say it is.

    `config` is what it is composed to, resolved, as plain data.
    """

    overrides: tuple[str, ...]
    folder: Path
    method: str
    model: str
    data: str
    seed: int
    config: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.method}, {self.model}, {self.data}, seed {self.seed}"

    @property
    def run(self) -> dict[str, Any]:
        """What metrics.json says of the run, as far as it has come; empty where there is none."""
        return run_in(self.folder)

    @property
    def state(self) -> str:
        """`done`, `failed` (with its error), `running` (elsewhere), `cut` (begun and not ended) or `missing`."""
        if self.run.get("finished"):
            return "done"
        if (self.folder / ERROR).is_file():
            return "failed"
        if held(self.folder / LOCK):
            return "running"
        return "cut" if (self.folder / "config.yaml").is_file() else "missing"

    @property
    def error(self) -> str | None:
        """The first line of why it failed; None where it did not."""
        return (self.folder / ERROR).read_text(encoding="utf-8").split("\n")[0] if self.state == "failed" else None


@dataclass(frozen=True)
class Sweep:
    """A sweep's description (`spec`: the `sweep` node of its YAML), its cells, and the folder of its table."""

    name: str
    scale: str | None
    spec: dict[str, Any]
    cells: list[Cell]
    folder: Path

    @property
    def title(self) -> str:
        return self.folder.name


def load(name: str, scale: str | None = None, results: Path = Path("results"), overrides: Sequence[str] = ()) -> Sweep:
    """The sweep that `python -m unlearnkit +sweep=NAME [+scale=SCALE] [OVERRIDES]` runs, cell by cell.

    Args:
        results: where the runs lie (in `runs/`), and the sweep's own folder.

    Raises:
        UserError: an unknown sweep or scale, a config that cannot be composed, results of another version.
    """
    words = [f"+sweep={name}", *([f"+scale={scale}"] if scale else []), *overrides]
    with composing.loader() as loader:
        try:
            master = composing.compose_master(words, loader)
        except Exception as error:
            raise configuration.explain(error) or error from None
        return _of(master, results, loader)


def of(master: DictConfig, results: Path | None = None) -> Sweep:
    """The sweep of a multirun's composed config. See `load` for the errors."""
    with composing.loader_here() as loader:
        return _of(master, results or Path(master.hydra.sweep.dir), loader)


def _of(master: DictConfig, results: Path, loader: ConfigLoader) -> Sweep:
    spec = cast(dict[str, Any], OmegaConf.to_container(master.sweep, resolve=True))
    scale = OmegaConf.select(master, "scale")
    if scale is not None:
        spec = _with_stand_ins(spec)
    name = spec["name"]
    try:
        cells = _cells(master, results, loader)
    except Exception as error:
        raise configuration.explain(error) or error from None
    for cell in cells:
        _check_version(cell)
    return Sweep(name, scale, spec, cells, results / (f"{name}-{scale}" if scale else name))


def run_in(folder: Path) -> dict[str, Any]:
    """The `run` part of a folder's metrics.json; empty where there is none."""
    try:
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["run"]
    except (OSError, ValueError, KeyError):
        return {}


def _cells(master: DictConfig, results: Path, loader: ConfigLoader) -> list[Cell]:
    def look(words: composing.Words, cfg: DictConfig) -> Cell:
        folder = results / str(OmegaConf.select(cfg, "hydra.sweep.subdir"))
        return Cell(words, folder, cfg.method, cfg.model.name, cfg.data.name, cfg.seed, resolved(cfg))

    cells: dict[Path, Cell] = {}
    for cell in composing.each(master, loader, look):
        cells.setdefault(cell.folder, cell)
    return list(cells.values())


def _check_version(cell: Cell) -> None:
    made_by = cell.run.get("versions", {}).get("unlearnkit")
    if made_by not in (None, __version__):
        raise UserError(
            f"{cell.folder} was made by unlearnkit {made_by}; this is {__version__}",
            "Move the old results away, or choose another folder with hydra.sweep.dir=FOLDER",
        )


def _with_stand_ins(spec: dict[str, Any]) -> dict[str, Any]:
    """Columns that no scale can have, replaced by those that stand in for them, in claims too."""
    stand_ins: dict[str, dict[str, str]] = spec.get("stand_ins") or {}
    columns = {}
    for column, title in (spec.get("columns") or {}).items():
        other = stand_ins.get(column)
        columns[other["column"] if other else column] = other["title"] if other else title
    claims = []
    for claim in spec.get("claims") or []:
        where = claim["where"]
        for column, other in stand_ins.items():
            where = where.replace(column, other["column"])
        claims.append({**claim, "where": where})
    return {**spec, "columns": columns, "claims": claims}
