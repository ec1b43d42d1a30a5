"""`python -m unlearnkit.runs.peers RUN --output FILE`: a run's records of TOFU in OpenUnlearning's form.

Its forget quality takes such a file of a retain model; `unlearnkit.records.peers` reads it back.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from unlearnkit.errors import UserError, exit_code
from unlearnkit.files import write
from unlearnkit.measures import RougeL
from unlearnkit.measures.truth_ratio import PARAPHRASES, WRONG
from unlearnkit.records.peers import OPEN
from unlearnkit.records.record import Record, read_parquet, records_path

Log = dict[str, dict[str, Any]]


def open_unlearning(records: Sequence[Record]) -> Log:
    """Metric -> its mean and its rows' values by their places; of each answer, of those beside it, of responses."""
    log: Log = {}
    recall, f1 = RougeL("recall"), RougeL()
    for before, own in OPEN.items():
        rows = {str(n): r for n, r in enumerate(r for r in records if r.set == own and r.sample == 0)}

        def scored(record: Record) -> list[list[float]]:
            return (record.alternative_log_probs or {}).get(WRONG, [])

        def right(record: Record) -> list[list[float]]:
            return (record.alternative_log_probs or {}).get(PARAPHRASES, [])

        parts: dict[str, dict[str, dict[str, Any]]] = {
            "Prob": {n: _likely(r.answer_log_probs) for n, r in rows.items() if r.answer_log_probs},
            "PARA_Prob": {n: _likely(right(r)[0]) for n, r in rows.items() if right(r)},
            "PERT_Prob": {n: _each(scored(r)) for n, r in rows.items() if scored(r)},
            "ROUGE": {n: _rouge(r, recall, f1) for n, r in rows.items() if r.tokens},
        }
        for name, entries in parts.items():
            if entries:
                log[f"{before}_Q_A_{name}"] = _metric(entries, "rougeL_recall" if name == "ROUGE" else "prob")
        ratios = {n: {"score": _ratio(scored(r), right(r)[0])} for n, r in rows.items() if scored(r) and right(r)}
        if own == "forget" and ratios:
            log["forget_truth_ratio"] = _metric(ratios, "score", lambda ratio: min(ratio, 1 / max(ratio, 1e-300)))
    return log


def _likely(log_probs: Sequence[float]) -> dict[str, float]:
    return {"prob": math.exp(fmean(log_probs)), "avg_loss": -fmean(log_probs)}


def _each(rows: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    values = [_likely(row) for row in rows]
    return {key: [one[key] for one in values] for key in ("prob", "avg_loss")}


def _ratio(wrong: Sequence[Sequence[float]], right: Sequence[float]) -> float:
    return math.exp(fmean(map(fmean, wrong))) / (math.exp(fmean(right)) + 1e-10)


def _rouge(record: Record, recall: RougeL, f1: RougeL) -> dict[str, Any]:
    shares = {"rougeL_recall": recall.value(record, None), "rougeL_f1": f1.value(record, None)}
    return {**shares, "input": record.prompt, "ground_truth": record.answer, "generation": record.response}


def _metric(rows: dict[str, dict[str, Any]], key: str, value: Callable[[float], float] = float) -> dict[str, Any]:
    values = [fmean(row[key]) if isinstance(row[key], list) else value(row[key]) for row in rows.values()]
    return {"agg_value": fmean(values), "value_by_index": rows}


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.runs.peers", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--moment", default="after", metavar="NAME", help="before, after (default), never_knew, ...")
    parser.add_argument("--evaluation", default="tofu", metavar="NAME")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    args = parser.parse_args(argv)
    return exit_code(lambda: _write(args))


def _write(args: argparse.Namespace) -> None:
    path = records_path(args.run, args.moment, args.evaluation)
    if not path.is_file():
        there = sorted(file.stem for file in (args.run / "records").glob("*.parquet"))
        raise UserError(
            f"There are no records at {path}; there are: {', '.join(there) or 'none'}",
            "Name the first part with --moment and the second with --evaluation",
        )
    log = open_unlearning(read_parquet(path))
    if not log:
        raise UserError(f"{path} has no record of {', '.join(OPEN.values())}", "Give a run on data=tofu")
    write(args.output, json.dumps(log, indent=1))
    print(f"{args.output}: {', '.join(log)}")


if __name__ == "__main__":
    raise SystemExit(main())
