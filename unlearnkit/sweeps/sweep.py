"""A sweep: the cells of the grid that makes one table or figure of a paper (`sweeps/NAME.yaml`, `+sweep=NAME`).

A cell is one run. Its folder is named by what decides the run's result, so what was computed once, for whichever
sweep, is found again.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from unlearnkit import __version__, configuration
from unlearnkit.errors import UserError
from unlearnkit.identity import resolved

ERROR = "error.txt"  # in a cell's folder: why it failed
FROM_PROCESS = "hydra.job.name=unlearnkit"  # a name that Hydra takes from the process where there is one


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: what composes it, where it lies, and what metrics.json's `run` will say it is."""

    overrides: tuple[str, ...]
    folder: Path
    method: str
    model: str
    data: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}, {self.model}, {self.data}, seed {self.seed}"

    @property
    def run(self) -> dict[str, Any]:
        """What metrics.json says of the run, as far as it has come; empty where there is none."""
        return run_in(self.folder)

    @property
    def state(self) -> str:
        """`done`, `failed` (with its error), `cut` (begun and not ended) or `missing`."""
        if self.run.get("finished"):
            return "done"
        if (self.folder / ERROR).is_file():
            return "failed"
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
    words = [f"+sweep={name}", *([f"+scale={scale}"] if scale else []), *overrides, FROM_PROCESS]
    loader = _loader()
    try:
        master = loader.load_configuration("config", words, RunMode.MULTIRUN)
    except Exception as error:
        raise configuration.explain(error) or error from None
    return of(master, results, loader)


def of(master: DictConfig, results: Path | None = None, loader: ConfigLoaderImpl | None = None) -> Sweep:
    """The sweep of a multirun's composed config. See `load` for the errors."""
    spec = cast(dict[str, Any], OmegaConf.to_container(master.sweep, resolve=True))
    scale = OmegaConf.select(master, "scale")
    if scale is not None:
        spec = _with_stand_ins(spec)
    name, results = spec["name"], results or Path(master.hydra.sweep.dir)
    try:
        cells = _cells(master, results, loader or _loader())
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


def config_of(cell: Cell, master: DictConfig) -> dict[str, Any]:
    """A cell's resolved config, as plain data, from the multirun's composed config."""
    cfg = _compose(master, list(cell.overrides), _loader())
    with _current(cfg):
        return resolved(cfg)


def _loader() -> ConfigLoaderImpl:
    configuration.register_resolvers()
    loader = ConfigLoaderImpl(create_config_search_path(str(configuration.FOLDER)))
    loader.repository = _ParsedOnce(loader.repository)  # type: ignore[assignment]  # Hydra passes one of these on too
    return loader


class _ParsedOnce(CachingConfigRepository):
    """A YAML file is parsed once, not once a cell; Hydra copies its repository for each config and changes parts."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        return copy.deepcopy(super().load_config(config_path))

    def __deepcopy__(self, memo: dict[int, Any]) -> _ParsedOnce:
        return self


def _compose(master: DictConfig, overrides: list[str], loader: ConfigLoaderImpl) -> DictConfig:
    return loader.load_sweep_config(master, [*overrides, *([] if "name" in master.hydra.job else [FROM_PROCESS])])


def _cells(master: DictConfig, results: Path, loader: ConfigLoaderImpl) -> list[Cell]:
    """As BasicSweeper has them: the grid's axes in their order, the command line's overrides over them."""
    words = [f"{key}={value}" for key, value in configuration.grid(master).items()]
    words += list(OmegaConf.to_container(master.hydra.overrides.task))  # type: ignore[arg-type]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
    cells: dict[Path, Cell] = {}
    for batch in BasicSweeper.split_arguments(overrides, None)[0]:
        cfg = _compose(master, batch, loader)
        with _current(cfg):
            folder = results / str(OmegaConf.select(cfg, "hydra.sweep.subdir"))
            cell = Cell(tuple(batch), folder, cfg.method, cfg.model.name, cfg.data.name, cfg.seed)
        cells.setdefault(folder, cell)
    return list(cells.values())


@contextlib.contextmanager
def _current(cfg: DictConfig) -> Iterator[None]:
    """`cfg` is what `${choice:}` reads, as it is in the job itself."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(cfg)
    try:
        yield
    finally:
        instance.cfg = before


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
