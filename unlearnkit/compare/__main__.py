"""`python -m unlearnkit.compare A B [C ...]`: runs' configs, numbers and answers, the first beside the others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unlearnkit.compare import compare
from unlearnkit.compare.page import page
from unlearnkit.compare.text import show
from unlearnkit.errors import UserError, exit_code
from unlearnkit.files import write, write_numbers


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.compare", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="runs' output folders")
    parser.add_argument("--answers", type=int, default=10, metavar="N", help="that changed most (default: 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as one page")
    args = parser.parse_args(argv)
    return exit_code(lambda: run(args.folders, args.answers, args.json, args.html))


def run(folders: Sequence[Path], answers: int, json: Path | None, html: Path | None) -> None:
    """Compare, write the files that were asked for, and print."""
    if answers < 0:
        raise UserError(f"--answers is {answers}: it is how many answers are shown.", "Give 0 or more.")
    for path in (json, html):
        if path and (path.is_dir() or not path.absolute().parent.is_dir()):
            what = "is a folder" if path.is_dir() else f"lies in no folder: there is no {path.absolute().parent}"
            raise UserError(f"{path} {what}.", "Give a file in a folder that is there.")
    comparison = compare(folders, answers)
    if json:
        write_numbers(json, comparison.plain())
    if html:
        write(html, page(comparison), errors="replace")  # a model may emit half a surrogate pair
    show(comparison)
    for path in (json, html):
        if path:
            print(f"Written: {path}")


if __name__ == "__main__":
    raise SystemExit(main())
