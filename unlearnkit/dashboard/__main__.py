"""`python -m unlearnkit.dashboard NAME [--scale cpu]`: a sweep's dashboard, written; on the server with WANDB_MODE."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unlearnkit import sweeps
from unlearnkit.dashboard.workspace import PROJECT, write
from unlearnkit.errors import exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.dashboard", description=__doc__)
    parser.add_argument("name", help="of the sweep")
    parser.add_argument("--scale", help="such as cpu")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the sweep's cells are")
    parser.add_argument("--project", default=PROJECT, help="the W&B project of its runs")
    args = parser.parse_args(argv)
    return exit_code(lambda: print(write(sweeps.load(args.name, args.scale, args.results), args.project)))


if __name__ == "__main__":
    raise SystemExit(main())
