"""`python -m unlearnkit.measure RUN_OR_MODEL [--start MODEL] eval=... [data=...]`: measure a saved model once more.

A run gets the numbers of its start and its end as moments of its own. A model, in a folder or of the hub, is measured
beside its start into a run folder of its own.

`python -m unlearnkit.measure --check RUNS`: how faithful and robust the measures of runs that are there have been.
"""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.measure.words import ASKS, OF_A_FOLDER, check_words
from unlearnkit.settings.strangers import ID

warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries about themselves; tests show them


def main(argv: Sequence[str] | None = None) -> None:
    """The command, with its errors."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.measure", description=__doc__)
    what = "a finished run's folder, a saved model's, or a hub id ORG/NAME"
    parser.add_argument("folder", nargs="?", metavar="RUN_OR_MODEL", help=what)
    checks = "how good the measures of these runs are; nothing is measured"
    parser.add_argument("--check", nargs="+", type=Path, metavar="RUNS", help=checks)
    parser.add_argument("--start", metavar="MODEL", help="what a model was made from: name, folder or hub id")
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="eval=, data=, judge= as in the main command")
    args = parser.parse_intermixed_args(argv)
    if args.check:
        from unlearnkit.measure.check import check

        check([folder.expanduser() for folder in args.check])
        return
    if args.folder is None:
        parser.error("give a folder, or --check with several")
    run(args.folder, args.start, args.words)


def run(given: str, start: str | None, words: Sequence[str]) -> None:
    """Measure what lies in a folder, or a model of the hub, and print the numbers.

    Raises:
        UserError: neither a run nor a model is there.
    """
    folder = Path(given).expanduser()
    has_model = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    has_model = has_model or (not folder.exists() and ID.fullmatch(given) is not None)
    if not has_model and not (folder / "config.yaml").is_file():
        what = "is no folder" if not folder.is_dir() else "holds neither a run (config.yaml) nor a model (config.json)"
        fix = "Give a run's folder (`python -m unlearnkit.runs` lists them), or one that save_pretrained wrote"
        raise UserError(f"{folder} {what}", fix)
    if not has_model and start is not None:
        raise UserError(f"{folder} is a run, whose start is in its config", "Leave --start out")
    check_words(words, OF_A_FOLDER if has_model else ASKS)
    from unlearnkit import memory, ranks  # torch, which takes seconds
    from unlearnkit.measure.folders import measure_folder
    from unlearnkit.measure.runs import measure_run
    from unlearnkit.runs.summary import show

    memory.settle()
    ranks.start()
    place = measure_folder(given, start, words) if has_model else folder
    name = None if has_model else measure_run(folder, words)
    if ranks.is_first():
        show(place)
        if name:
            print(f"Added to the run as its moment '{name}', and its start as '{name}/start'.")
    ranks.barrier()


if __name__ == "__main__":
    configuration.exit_with_two_lines(main)
