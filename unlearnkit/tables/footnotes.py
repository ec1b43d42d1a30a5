"""What stands below a table: what its numbers are, and what is not there."""

from __future__ import annotations

from collections.abc import Callable

from unlearnkit.tables.aggregate import Cell, Table


def footnotes(table: Table) -> list[str]:
    """What the numbers are, which cells are missing or of fewer seeds, and what was left out."""

    def having(says: Callable[[Cell], bool]) -> str:
        names = []
        for row, cells in table.rows.items():
            hits = [column for column in table.columns if column in cells and says(cells[column])]
            whole, name = len(hits) == len(cells), table.label(row)
            names += [name] * bool(hits) if whole else [f"{name} {table.title(column)}" for column in hits]
        return ", ".join(names)

    def missing() -> str:
        gone = {
            c: [table.label(r) for r, cells in table.rows.items() if cells and c not in cells] for c in table.columns
        }
        measured = [row for row, cells in table.rows.items() if cells]
        nowhere = [column for column, rows in gone.items() if len(rows) == len(measured) > 1]
        parts = [
            f"{table.title(column)} of {', '.join(rows)}"
            for column, rows in gone.items()
            if rows and column not in nowhere
        ]
        parts += [f"{', '.join(map(table.title, nowhere))} of every row"] if nowhere else []
        return "; ".join([table.label(row) for row, cells in table.rows.items() if not cells] + parts)

    one = table.over.removesuffix("s")
    most = max((cell.seeds for cells in table.rows.values() for cell in cells.values()), default=0)
    notes = {
        f"Mean over {table.over} with its 95 % interval over {table.over}": having(lambda c: not c.examples),
        f"One {one} only, so with the 95 % interval over that run's examples": having(
            lambda c: c.examples and c.seeds == 1
        ),
        f"The same value at every {one}, so with the 95 % interval over examples": having(
            lambda c: c.examples and c.seeds > 1
        ),
        f"Fewer than {most} {table.over}": having(lambda c: 1 < c.seeds < most),
        "Missing": missing(),
    }
    return [f"{what}: {which}." for what, which in notes.items() if which] + table.notes
