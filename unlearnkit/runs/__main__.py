"""`python -m unlearnkit.runs [FOLDER ...]`: the runs that are there, with a filter and an order."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearnkit.errors import UserError, exit_code
from unlearnkit.files import write_numbers
from unlearnkit.measures.columns import Column
from unlearnkit.measures.display import arrow, show_value
from unlearnkit.runs import listing

USUAL = ("outputs", "multirun", "results")
WIDTH = 160  # where the output is no terminal


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.runs", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help=f"default: {', '.join(USUAL)}")
    filtered = "method, model, data, seed, finished or a key of the config; * allowed; repeatable"
    parser.add_argument("--columns", nargs="+", default=(), metavar="PATTERN", help="[evaluation/]set/measure")
    parser.add_argument("--filter", action="append", default=[], metavar="KEY=VALUE", dest="filters", help=filtered)
    parser.add_argument("--sort", metavar="COLUMN", help=f"{', '.join(listing.FIELDS)}, a number or a config's key")
    parser.add_argument("--reverse", action="store_true", help="the largest first")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the list as JSON")
    args = parser.parse_args(argv)
    return exit_code(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """List the runs of the folders that were given."""
    if lacking := [folder for folder in args.folders if not folder.is_dir()]:
        raise UserError(f"There is no folder {lacking[0]}.", f"Give folders of runs, or none for {', '.join(USUAL)}.")
    if args.json and (args.json.is_dir() or not args.json.absolute().parent.is_dir()):
        raise UserError(f"{args.json} cannot be written: it is no file in a folder.", "Give a file in a folder.")
    folders = args.folders or [Path(name) for name in USUAL if Path(name).is_dir()]
    runs, damaged = listing.find(folders)
    if not runs and not damaged:
        where = ", ".join(map(str, folders)) or f"{', '.join(USUAL)} (none of them is here)"
        raise UserError(f"There is no run in or below {where}.", "Give the folders that runs lie in.")
    selected = listing.chosen(runs, args.filters)
    shown = listing.columns(selected, args.columns)
    if args.sort:
        selected = listing.ordered(selected, args.sort, args.reverse)
    elif args.reverse:
        selected = selected[::-1]
    if args.json:
        write_numbers(args.json, listing.plain(selected, shown))
    show(selected, shown, len(runs))
    for what in damaged:
        print(f"Left out: {what}")


def show(runs: Sequence[listing.Listed], columns: Sequence[Column], of: int) -> None:
    """Print the table.

    Args:
        of: how many runs there are without a filter.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    table = Table()
    for name in listing.FIELDS[:-1]:
        table.add_column(name, justify="right" if name in ("seed", "minutes") else "left", overflow="fold")
    for column in columns:
        title = f"{'/'.join(column[:-1])}\n{column[-1]} {arrow(column.display)}".strip()
        table.add_column(escape(title), justify="right", overflow="fold")
    table.add_column("folder", overflow="fold")
    for one in runs:
        minutes = "-" if one.minutes is None else f"{one.minutes:.1f}"
        estimates = [one.numbers.get(column) for column in columns]
        numbers = [show_value(c.display, e.value if e else None) for c, e in zip(columns, estimates, strict=True)]
        finished = "yes" if one.finished else "no"
        names = (one.method, one.model, one.data, str(one.seed), finished, minutes, *numbers, str(one.folder))
        table.add_row(*map(escape, names))
    console.print(table)
    console.print(f"{len(runs)} of {of} runs." if len(runs) != of else f"{of} {'run' if of == 1 else 'runs'}.")


if __name__ == "__main__":
    raise SystemExit(main())
