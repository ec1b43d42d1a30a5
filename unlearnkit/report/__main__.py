"""`python -m unlearnkit.report FOLDER` for a run, `python -m unlearnkit.report NAME [--scale cpu]` for a sweep."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unlearnkit import configuration
from unlearnkit.errors import UserError, exit_code, nearest
from unlearnkit.report.run import write_report
from unlearnkit.report.sweep import write_sweep


def write(what: str, scale: str | None, results: Path) -> Path:
    """The report of the run folder or sweep that `what` names; a sweep's name beats a folder's."""
    names = configuration.options("sweep")
    if what in names:
        from unlearnkit.sweeps import load

        return write_sweep(load(what, scale, results))
    folder = Path(what)
    if folder.is_dir() and not scale:
        return write_report(folder)
    raise UserError(
        f"'{what}' is {'a folder, which has no scale' if folder.is_dir() else 'no folder and no sweep'}."
        f"{nearest(what, names)} Sweeps: {', '.join(names)}",
        "Give a run's output folder, or a sweep by its name",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.report", description=__doc__)
    parser.add_argument("what", metavar="FOLDER|NAME", help="a run's output folder, or a sweep")
    parser.add_argument("--scale", help="of the sweep, such as cpu")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the sweep's cells are")
    args = parser.parse_args(argv)
    return exit_code(lambda: print(write(args.what, args.scale, args.results)))


if __name__ == "__main__":
    raise SystemExit(main())
