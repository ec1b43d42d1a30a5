"""A sweep's runs beside the paper's numbers: one comparison a model and data set of the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import UserError
from unlearnkit.measures.columns import Column
from unlearnkit.tables.aggregate import ORIGINAL, Table, table_of
from unlearnkit.tables.agreement import Correlation, correlations
from unlearnkit.tables.footnotes import footnotes
from unlearnkit.tables.marks import AVERAGE, exactly, mark, places, ranking
from unlearnkit.tables.outcomes import Claims, Outcome, Ranks, numbers_of, ranks_of_paper
from unlearnkit.tables.paper import Block, Heading, read_headings
from unlearnkit.tables.reading import Run, read_run
from unlearnkit.tables.variants import base, name_variants, title_of

if TYPE_CHECKING:
    from unlearnkit.sweeps import Cell, Sweep

DONE = "done"
Marks = dict[tuple[str, Column], int]  # (row, column) -> 1 (best) or 2 (next best)


@dataclass
class Comparison:
    """Our table of one model and data set beside a block of the paper's.

    Args:
        block: the paper's model that stands beside ours; None where the paper prints no numbers.
        same: ours is that model at full scale, and not what stands in for it.
        paper, paper_ranks, our_ranks: by row.
        correlations: block -> key of a column -> rank correlation of the methods.
    """

    sweep: str
    table: Table
    headings: list[Heading]
    block: str | None
    same: bool
    paper: Block
    our_ranks: Ranks
    paper_ranks: Ranks
    groups: list[str]
    correlations: dict[str, dict[str, Correlation]]
    claims: list[Outcome]
    remarks: list[str] = field(default_factory=list)  # above the table: what differs from the paper
    notes: list[str] = field(default_factory=list)  # below it

    @property
    def title(self) -> str:
        ours = f"{self.table.model} on {self.table.data}"
        return ours if self.block is None or self.same else f"{ours}, beside the paper's {self.block}"

    @property
    def rankings(self) -> list[str]:
        """The ranking columns."""
        return [*self.groups, AVERAGE] if self.groups else []

    @cached_property
    def marks(self) -> Marks:
        """Ours, as far as tests tell."""
        return mark(self.table)

    @cached_property
    def paper_marks(self) -> Marks:
        printed = numbers_of(self.paper, self.headings)
        return places({row: printed[row] for row in self.table.rows if row in printed}, exactly)


def command(sweep: Sweep) -> str:
    """What makes the cells that are not there."""
    words = ["python -m unlearnkit", f"+sweep={sweep.name}"]
    words += [f"+scale={sweep.scale}"] if sweep.scale else []
    results = sweep.folder.parent
    return " ".join(words + ([f"hydra.sweep.dir={results}"] if str(results) != "results" else []))


def compare(sweep: Sweep) -> list[Comparison]:
    """Ours beside the paper's, whatever of the grid is done.

    Raises:
        UserError: numbers, rows or claims of the sweep's YAML that are not as they should be.
    """
    claims = Claims(sweep.spec, sweep.name)
    return [_comparison(sweep, claims, *group, cells) for group, cells in grouped(sweep).items()]


def grouped(sweep: Sweep) -> dict[tuple[str, str], list[Cell]]:
    """(model, data) -> its cells. Variants of one data set, such as its concepts, are one group."""
    scales = dict(sweep.spec.get("scales") or {}).get(sweep.scale) or {}
    chosen = str({**dict(sweep.spec.get("grid") or {}), **scales}.get("data", ""))
    names: dict[str, dict[str, None]] = {}
    for cell in sweep.cells:
        names.setdefault(cell.model, {})[cell.data] = None
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in sweep.cells:
        variants = len(names[cell.model])
        data = f"{chosen} ({variants})" if chosen and "," not in chosen and variants > 1 else cell.data
        groups.setdefault((cell.model, data), []).append(cell)
    return groups


def _comparison(sweep: Sweep, claims: Claims, model: str, data: str, cells: Sequence[Cell]) -> Comparison:
    spec, paper = sweep.spec, claims.paper
    runs, gone = _runs(cells)
    table, headings = _table(spec, model, data, runs, cells)
    same = model in paper and sweep.scale is None
    block = model if model in paper else (spec.get("beside") or {}).get(model)
    if block not in paper:
        block = next(iter(paper), None)
    groups = {name: [h.column for h in members] for name, members in claims.groups.items()}
    ours = {row: {c: cell.value for c, cell in own.items()} for row, own in table.rows.items()}
    ranks = ranking(ours, groups)
    outcomes = claims.compared(block, table, ranks, same)
    if ORIGINAL not in (spec.get("rows") or [ORIGINAL]):
        del table.rows[ORIGINAL]  # which claims may speak of
    agreement = {
        name: correlations(table, headings, numbers) for name, numbers in paper.items() if name == block or not same
    }
    return Comparison(
        sweep.name,
        table,
        headings,
        block,
        same,
        paper.get(block or "", {}),
        ranks,
        ranks_of_paper(paper.get(block or "", {}), headings, claims.groups),
        list(claims.groups),
        {name: by_column for name, by_column in agreement.items() if by_column},
        outcomes,
        [*_remarks(sweep, table, block, same), *_made(sweep, cells)],
        [*footnotes(table), *_unranked(table, ranks), *gone, *_missing(sweep, cells)],
    )


def _runs(cells: Sequence[Cell]) -> tuple[list[Run], list[str]]:
    """The runs that are done, and notes on those that cannot be read."""
    runs, notes = [], []
    for cell in cells:
        if cell.state == DONE:
            try:
                runs.append(read_run(cell.folder))
            except UserError as error:
                notes.append(error.what)
    return name_variants(runs), notes


def _table(
    spec: Mapping[str, Any], model: str, data: str, runs: Sequence[Run], cells: Sequence[Cell]
) -> tuple[Table, list[Heading]]:
    headings = read_headings(spec)
    columns = [heading.column for heading in headings]
    methods = (cell.method for cell in cells if cell.method != "base")
    rows = dict(spec.get("rows") or dict.fromkeys([ORIGINAL, *methods], ""))
    rows = {name: title_of(name, rows) if rows[row] else "" for row in rows for name in _variants(row, runs)}
    table = table_of(model, data, runs, columns, list({ORIGINAL: "", **rows}))
    table.titles = {heading.column: heading.title for heading in headings}
    table.labels = {row: str(name) for row, name in rows.items() if name}
    return table, headings


def _variants(row: str, runs: Sequence[Run]) -> list[str]:
    """A row, or its method's variants where the runs differ in more than the seed."""
    return list(dict.fromkeys(run.method for run in runs if base(run.method) == row)) or [row]


def _remarks(sweep: Sweep, table: Table, block: str | None, same: bool) -> list[str]:
    spec, remarks = sweep.spec, list[str]()
    if block is not None and not same:
        others = [name for name in spec["paper"] if name != block]
        more = f" The agreement below is also with {', '.join(others)}." if others else ""
        theirs = dict(spec.get("grid") or {}).get("data")
        data = f" on {theirs}" if isinstance(theirs, str) and "," not in theirs and theirs != table.data else ""
        what = "models differ" if table.model != block else "runs differ"
        remarks.append(
            f"The {what}: ours is {table.model} on {table.data}, the paper's numbers are of {block}{data}. "
            f"Compare the order of the methods and the directions, not the values.{more}"
        )
    for column, other in (spec.get("stand_ins") or {}).items() if sweep.scale else ():
        if other["column"] in spec["columns"]:
            remarks.append(f"{other['title']} (`{other['column']}`) stands in for the paper's `{column}`.")
    if note := (spec.get("notes") or {}).get(sweep.scale):
        remarks.append(str(note))
    return remarks


def _made(sweep: Sweep, cells: Sequence[Cell]) -> list[str]:
    """A name says not of whose rows it is: those of a paper's data, or those made for this project in their shape."""
    grid = dict(sweep.spec.get("grid") or {})
    theirs = [f"{key}={grid[key]}" for key in ("data.hub", "data.path") if grid.get(key)]
    data = [cell.config.get("data", {}) for cell in cells]
    if not theirs or any(own.get("hub") or own.get("path") or not own for own in data):
        return []
    return [f"The rows of {cells[0].data} are not the paper's ({' '.join(theirs)}) but ones made for this project."]


def _unranked(table: Table, ranks: Ranks) -> list[str]:
    left = [table.label(row) for row in table.rows if row != ORIGINAL and AVERAGE not in ranks.get(row, {})]
    return (
        [f"Ranked among the methods that have the numbers; without a rank: {', '.join(left)}."]
        if ranks and left
        else []
    )


def _missing(sweep: Sweep, cells: Sequence[Cell]) -> list[str]:
    """The cells that are not done, and what makes them."""
    by: dict[tuple[str, str], list[str]] = {}
    variants = len({cell.data for cell in cells}) > 1
    for cell in cells:
        if (state := cell.state) != DONE:
            state = f"{state}: {cell.error}" if cell.error else state
            name = f"{cell.method} on {cell.data}" if variants else cell.method
            by.setdefault((name, state), []).append(str(cell.seed))
    if not by:
        return []
    groups = [f"{name} seed {', '.join(seeds)} ({state})" for (name, state), seeds in by.items()]
    return [f"Cells that are not there: {'; '.join(groups)}. To make them: `{command(sweep)}`"]
