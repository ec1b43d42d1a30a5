"""`python -m unlearnkit.tables NAME|FOLDER`: a sweep's table beside the paper's, or a table of any folder of runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from unlearnkit.errors import UserError, exit_code, nearest
from unlearnkit.files import write as write_text
from unlearnkit.tables import aggregate, latex, markdown, write
from unlearnkit.tables.compare import DONE, command
from unlearnkit.tables.matched import BOTH, text_of
from unlearnkit.tables.reading import SPLIT, TEST, VALIDATION, Run, collect, read_run
from unlearnkit.tables.variants import base, name_variants


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.tables", description=__doc__)
    parser.add_argument("what", help="a sweep's name, or a run's or a multirun's output folder")
    parser.add_argument("--scale", help="of the sweep, as +scale= has it")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the sweep's runs lie")
    parser.add_argument("--columns", nargs="+", default=(), help="of a folder: [evaluation/]set/metric, * allowed")
    parser.add_argument("--methods", nargs="+", default=(), help="of a folder: the rows below `original`, in order")
    parser.add_argument(
        "--matched", nargs="+", type=float, metavar="SHARE", help="at matched utility: so much of the start's is kept"
    )
    parser.add_argument("--forget", help="with --matched: the column that is to be best")
    parser.add_argument("--keep", help="with --matched: the column that utility is")
    parser.add_argument("--latex", action="store_true", help="LaTeX (booktabs) instead of Markdown")
    args = parser.parse_args(argv)
    return exit_code(lambda: print(made(args), end=""))


def made(args: argparse.Namespace) -> str:
    """The text of the tables that are asked for."""
    folder = is_folder(args.what)
    if args.matched:
        return at_matched(args, collect(Path(args.what))) if folder else sweep_at_matched(args)
    if unread := [name for name in ("forget", "keep") if getattr(args, name)]:
        raise UserError(f"--{unread[0]} is read with --matched alone", "Add --matched 0.9, or leave it out")
    return of_folder(args) if folder else of_sweep(args)


def is_folder(what: str) -> bool:
    """A path, and not a bare word that is the name of a sweep."""
    from unlearnkit.configuration import options

    return what not in options("sweep") and (Path(what).is_dir() or os.sep in what)


def of_folder(args: argparse.Namespace) -> str:
    runs = name_variants(collect(Path(args.what)))
    names = dict.fromkeys(run.method for run in runs)
    for method in args.methods:
        if method not in names and method not in map(base, names):
            raise UserError(
                f"No run there is of the method '{method}'.{nearest(method, names)}",
                f"Methods there: {', '.join(names)}",
            )
    methods = [own for method in args.methods for own in ([m for m in names if base(m) == method] or [method])]
    tables = aggregate(runs, methods, args.columns)
    return "\n".join((latex if args.latex else markdown)(table) for table in tables)


def at_matched(args: argparse.Namespace, runs: Sequence[Run]) -> str:
    render = latex if args.latex else markdown
    return text_of(runs, args.matched, args.forget, args.keep, args.methods, args.columns, render)


def sweep_at_matched(args: argparse.Namespace) -> str:
    """Of a sweep's cells with curves on both splits, or of twins with one each; written beside its other tables."""
    from unlearnkit import sweeps

    def of(split: str) -> tuple[sweeps.Sweep, list[Run]]:
        sweep = sweeps.load(args.what, args.scale, args.results, [f"{SPLIT}={split}"])
        return sweep, [read_run(cell.folder) for cell in sweep.cells if cell.state == DONE]

    sweep, runs = of(BOTH)
    runs = runs or [*of(VALIDATION)[1], *of(TEST)[1]]
    if not runs:
        again = f"`{command(sweep)} '{SPLIT}={BOTH}'`"
        raise UserError(f"Nothing of the sweep '{args.what}' is done", f"Run {again}")
    text = at_matched(args, runs)
    file = sweep.folder / f"matched.{'tex' if args.latex else 'md'}"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, text)
    print("Written:", file, file=sys.stderr)
    return text


def of_sweep(args: argparse.Namespace) -> str:
    """Writes the sweep's files and returns one of them."""
    from unlearnkit import sweeps

    if args.columns or args.methods:
        raise UserError(
            f"The sweep '{args.what}' says its own columns and rows.",
            "Leave --columns and --methods out, or give a folder of runs.",
        )
    sweep = sweeps.load(args.what, args.scale, args.results)
    written = write(sweep)
    files = {file.suffix: file for file in written if file.stem == "table"}
    if not files:
        return f"The sweep '{sweep.name}' has figures alone: python -m unlearnkit.plots {sweep.name}\n"
    text = files[".tex" if args.latex else ".md"].read_text(encoding="utf-8")
    print("Written:", *written, file=sys.stderr)
    return text


if __name__ == "__main__":
    raise SystemExit(main())
