"""One HTML file about one run, opened offline: `python -m unlearnkit.report FOLDER` makes it again."""

from __future__ import annotations

import argparse
import base64
import difflib
import gzip
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2

from unlearnkit.errors import UserError
from unlearnkit.metrics.display import arrow, display_of, rank, show_interval, show_value
from unlearnkit.metrics.interval import Estimate
from unlearnkit.tables import Column, Run, flatten, read_run

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito (2008)
BANDS = tuple(f"rgba({int(c[1:3], 16)},{int(c[3:5], 16)},{int(c[5:], 16)},0.18)" for c in COLOURS)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # so that colour is not alone
MOST_POINTS = 1000  # of a training curve
MOST_CHARACTERS = 4000  # shown of one answer
MOST_BYTES = 2_500_000  # of answers; plotly takes 1.9 MB of the file's 5


def write_report(folder: Path) -> Path:
    """Write `folder`/report.html from the run's own files alone, whole or not at all.

    Raises:
        UserError: `folder` is no run folder, or one of its files is not what a run writes.
    """
    run = read_run(folder)
    try:
        config = (folder / "config.yaml").read_text(encoding="utf-8")
    except OSError:
        fix = "Give a folder that `python -m unlearnkit` wrote and finished."
        raise UserError(f"{folder} is no run folder: it has no readable config.yaml.", fix) from None
    figures = list(training_figures(read_lines(folder / "log.jsonl")))
    figures += evaluation_figures(run.raw.get("curve") or [])
    answers, left_out = answer_rows(read_lines(folder / "generations.jsonl"), bool(run.after))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        run=run,
        facts=run.raw["run"],
        measured=measured_rows(run),
        figures=figures,
        plotly=plotly_gzip() if figures else "",
        answers=answers,
        left_out=left_out,
        sets=list(dict.fromkeys(row["set"] for row in answers)),
        verdicts=list(dict.fromkeys(row["verdict"] for row in answers)),
        config=config,
    )
    path, part = folder / "report.html", folder / f".report.html.{os.getpid()}"
    try:
        part.write_text(page, encoding="utf-8", errors="replace")  # a model may emit half a surrogate pair
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a jsonl file; none where there is no such file."""
    rows: list[dict[str, Any]] = []
    if not path.exists():
        return rows
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                rows.append(dict(json.loads(line)))
            except (ValueError, TypeError):
                fix = "Mend or delete that line, then make the report again."
                raise UserError(f"{path}, line {number}: not a JSON object: {line[:60]!r}.", fix) from None
    return rows


def measured_rows(run: Run) -> list[dict[str, Any]]:
    """One row a metric: its column and, for before and after, text, interval, n and whether it is better."""
    rows = []
    for column in dict.fromkeys([*run.before, *run.after]):
        metric, pair = column[-1], [run.before.get(column), run.after.get(column)]
        places = rank(metric, [entry.value if entry else None for entry in pair])
        cells = [
            {
                "value": show_value(metric, entry.value if entry else None),
                "interval": show_interval(metric, entry.low, entry.high) if entry else "",
                "n": entry.n if entry else "",
                "better": place == 1 and sorted(map(str, places)) == ["1", "2"],
            }
            for entry, place in zip(pair, places, strict=True)
        ]
        group = " / ".join(column[:-1])
        rows.append({"group": group, "metric": metric, "arrow": arrow(metric), "cells": cells})
    return rows


def finite(value: Any) -> float | None:
    """JSON for a browser knows no NaN and no Infinity: a finite number, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def figure(title: str, traces: list[dict[str, Any]], skipped: int, **axis: Any) -> dict[str, Any]:
    """A plotly figure as JSON values; its y axis is logarithmic where the lines span three decades."""
    import plotly.graph_objects as go  # half a second, only where there is a curve

    values = [y for trace in traces if trace.get("name") for y in trace["y"] if y is not None]
    if values and min(values) > 0 and max(values) / min(values) > 1000:
        axis |= {"type": "log", "exponentformat": "power"}
    layout = {
        "template": "none",
        "xaxis": {"title": {"text": "step", "standoff": 4}},
        "yaxis": axis,
        "margin": {"l": 52, "r": 10, "t": 8, "b": 40},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        "showlegend": True,
    }
    drawn = json.loads(go.Figure(traces, layout).to_json())
    return {"title": title, "skipped": skipped, "data": drawn["data"], "layout": drawn["layout"]}


def style(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "dash": DASHES[index % len(DASHES)], "width": 2}


def training_figures(log: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One figure a stage: the loss and each of its terms over steps."""
    for stage in dict.fromkeys(str(row.get("stage", "")) for row in log):
        rows = [row for row in log if str(row.get("stage", "")) == stage]
        rows = rows[:: math.ceil(len(rows) / MOST_POINTS)]
        found = dict.fromkeys(key for row in rows for key in row)
        keys = [key for key in found if key == "loss" or key.startswith("terms/")]
        traces, skipped = [], 0
        for index, key in enumerate(keys):
            points = [(row.get("step"), finite(row[key])) for row in rows if key in row]
            skipped += sum(y is None for _, y in points)
            x, y = zip(*points, strict=True)
            name = "loss (weighted sum)" if key == "loss" else key.removeprefix("terms/")
            traces.append({"x": x, "y": y, "name": name, "line": style(index), "mode": "lines"})
        if traces:
            yield figure(f"training losses, stage {stage}", traces, skipped)


def evaluation_figures(curve: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One figure a stage, evaluation and metric: a line a set, its interval as a band."""
    lines: dict[tuple[str, Column, str], dict[str, list[tuple[Any, Estimate]]]] = {}
    for row in curve:
        for column, entry in flatten(row["metrics"]).items():
            key = (str(row["stage"]), column[:-2], column[-1])
            lines.setdefault(key, {}).setdefault("/".join(column[-2:-1]), []).append((row["step"], entry))
    for (stage, evaluation, metric), sets in lines.items():
        traces, skipped = [], 0
        for index, (name, points) in enumerate(sets.items()):
            drawn = [point for point in points if finite(point[1].value) is not None]
            skipped += len(points) - len(drawn)
            banded = [(step, e) for step, e in drawn if None not in (finite(e.low), finite(e.high))]
            x = [step for step, _ in banded]
            traces.append(
                {
                    "x": x + x[::-1],
                    "y": [e.high for _, e in banded] + [e.low for _, e in reversed(banded)],
                    "fill": "toself",
                    "fillcolor": BANDS[index % len(COLOURS)],
                    "line": {"width": 0},
                    "mode": "lines",
                    "hoverinfo": "skip",
                    "showlegend": False,
                    "legendgroup": name,
                }
            )
            hover = [
                f"{show_value(metric, entry.value)} {show_interval(metric, entry.low, entry.high)}"
                for _, entry in drawn
            ]
            traces.append(
                {
                    "x": [step for step, _ in drawn],
                    "y": [entry.value for _, entry in drawn],
                    "name": name,
                    "legendgroup": name,
                    "line": style(index),
                    "mode": "lines+markers",
                    "customdata": hover,
                    "hovertemplate": "%{customdata}",
                }
            )
        axis = {"tickformat": ".0%"} if display_of(metric).rate else {}
        title = f"{metric} {arrow(metric)} ({'/'.join((*evaluation, f'stage {stage}'))})"
        yield figure(title, traces, skipped, **axis)


def plotly_gzip() -> str:
    """plotly.min.js, gzipped, in base64: 4.8 MB become 1.9."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()


def answer_rows(rows: Sequence[dict[str, Any]], method: bool) -> tuple[list[dict[str, Any]], int]:
    """The examples to show, with marked words and a verdict, and how many were left out for size.

    Sets take turns until `MOST_BYTES` are used, so that a long set does not crowd out a short one.
    """
    turn: dict[str, int] = {}
    places = []
    for number, row in enumerate(rows):
        turn[str(row.get("set"))] = turn.get(str(row.get("set")), -1) + 1
        places.append((turn[str(row.get("set"))], number))
    kept, size = {}, 0
    for _, number in sorted(places):
        shown = answer_row(rows[number], method)
        parts = [text for side in shown["sides"] for _, text in side["words"]]
        size += 1500 + sum(len(text.encode(errors="replace")) + 14 for text in parts)
        if size > MOST_BYTES:
            break
        kept[number] = shown
    return [kept[number] for number in sorted(kept)], len(rows) - len(kept)


def answer_row(row: dict[str, Any], method: bool) -> dict[str, Any]:
    """One example with its sides (before, and after where there is a method), cut to `MOST_CHARACTERS`."""
    names = ("before", "after") if method else ("before",)
    texts = [clip(str(row.get(name) or "")) for name in names]
    words = differing(*texts) if method else [[(False, texts[0])]]
    sides: list[dict[str, Any]] = [
        {
            "name": name,
            "words": marked,
            "harmful": row.get(f"harmful_{name}"),
            "kind": row.get(f"kind_{name}"),
            "why": row.get(f"why_{name}"),
        }
        for name, marked in zip(names, words, strict=True)
    ]
    said = {True: "harmful", False: "not harmful", None: "not judged"}
    judged = any(side["harmful"] is not None for side in sides)
    verdict = " → ".join(said[side["harmful"]] for side in sides) if judged else said[None]
    return {**row, "sides": sides, "verdict": verdict}


def clip(text: str) -> str:
    over = len(text) - MOST_CHARACTERS
    return text if over <= 0 else f"{text[:MOST_CHARACTERS]} … ({over} more characters in generations.jsonl)"


def differing(before: str, after: str) -> list[list[tuple[bool, str]]]:
    """Both texts as (differs from the other, text) parts, that join to the text; spaces never differ."""
    a, b = (re.findall(r"\S+\s*|^\s+", text) for text in (before, after))
    bare_a, bare_b = [word.strip() for word in a], [word.strip() for word in b]
    parts: tuple[list, list] = ([], [])
    for tag, *spans in difflib.SequenceMatcher(None, bare_a, bare_b, autojunk=False).get_opcodes():
        for side, words, (start, stop) in zip(parts, (a, b), (spans[:2], spans[2:]), strict=True):
            text = "".join(words[start:stop])
            bare = text.rstrip()
            cuts = [(True, bare), (False, text[len(bare) :])] if tag != "equal" else [(False, text)]
            side.extend((differs, part) for differs, part in cuts if part)
    return list(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="a run's output folder")
    try:
        print(write_report(parser.parse_args(argv).folder))
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
