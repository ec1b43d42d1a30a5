"""`python -m unlearnkit.plots SWEEP [--scale cpu]` draws a sweep's figures, `... FIGURE FOLDER` one of any runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from unlearnkit.errors import UserError, exit_code, nearest
from unlearnkit.plots import FIGURES, draw, write

CHOICE = f"Figures are: {', '.join(FIGURES)}."


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.plots", description=__doc__)
    parser.add_argument("what", help=f"a sweep's name, or with a folder one of {', '.join(FIGURES)}")
    parser.add_argument("folder", type=Path, nargs="?", help="a run's or a multirun's output folder")
    parser.add_argument("--scale", help="of the sweep, as +scale= has it")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the sweep's runs lie")
    args = parser.parse_args(argv)
    return exit_code(lambda: print(*drawn(args), sep="\n"))


def drawn(args: argparse.Namespace) -> list[Path]:
    return of_folder(args.what, args.folder) if args.folder else of_sweep(args.what, args.scale, args.results)


def of_folder(name: str, folder: Path) -> list[Path]:
    if name not in FIGURES:
        raise UserError(f"Unknown figure '{name}'.{nearest(name, FIGURES)}", CHOICE)
    return draw(name, folder)


def of_sweep(name: str, scale: str | None, results: Path) -> list[Path]:
    from unlearnkit import configuration, sweeps

    if name in FIGURES:
        raise UserError(f"The figure '{name}' needs a folder of runs.", f"python -m unlearnkit.plots {name} FOLDER")
    if os.sep in name or (Path(name).is_dir() and name not in configuration.options("sweep")):
        raise UserError(
            f"'{name}' is a folder, and no figure of it is named", f"python -m unlearnkit.plots FIGURE {name}; {CHOICE}"
        )
    return write(sweeps.load(name, scale, results))


if __name__ == "__main__":
    raise SystemExit(main())
