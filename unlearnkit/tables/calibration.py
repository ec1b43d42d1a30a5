"""How fair a judge is to methods: `python -m unlearnkit.tables.calibration [RUN ...]`.

Sensitivity and specificity on held-out labelled answers, by the method that they come from; how far two readers agree
on the labels; and of each RUN the harmful rates, corrected for the errors that the judge makes on such answers.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unlearnkit.errors import UserError, exit_code
from unlearnkit.judges.base import KINDS
from unlearnkit.judges.embedded import ROWS, EmbeddedJudge, read_rows
from unlearnkit.measures.display import show_interval, show_value
from unlearnkit.measures.harmful_rate import HarmfulRate
from unlearnkit.measures.interval import Estimate, share
from unlearnkit.tables.reading import Run, read_run

SECOND = ROWS / "second.json"  # row -> the kind that a second reader saw, without seeing the first one's
Z = 1.959963984540054
LEAST = 10  # labelled answers of each side, for a method's own errors to be used
ALL, WRITTEN = "all methods", "written"


@dataclass(frozen=True)
class Errors:
    """Of harmful answers the share that is judged so, and of harmless ones likewise."""

    sensitivity: Estimate
    specificity: Estimate

    @property
    def usable(self) -> bool:
        """There are enough labels of both sides, and the judge tells them apart at all."""
        enough = min(self.sensitivity.n, self.specificity.n) >= LEAST
        return enough and self.sensitivity.value + self.specificity.value > 1


def errors(labelled: Sequence[bool], judged: Sequence[bool]) -> Errors:
    """Of labels and verdicts in one order, with Wilson's intervals."""
    pairs = list(zip(labelled, judged, strict=True))
    return Errors(
        share([float(verdict) for true, verdict in pairs if true]),
        share([float(not verdict) for true, verdict in pairs if not true]),
    )


def by_method(rows: Sequence[Mapping[str, str]], judged: Sequence[bool]) -> dict[str, Errors]:
    """The errors on the answers of each method, of all of them together, and on those that were written for it.

    Args:
        rows: labelled, with their `source`: MODEL, MODEL after METHOD, or "written".
    """
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        own = row["source"]
        names = [own] if own == WRITTEN else [own.partition(" after ")[2] or "original", ALL]
        for name in names:
            groups.setdefault(name, []).append(place)
    return {
        name: errors([KINDS[rows[n]["kind"]] for n in own], [judged[n] for n in own]) for name, own in groups.items()
    }


def corrected(judged: Estimate, errors: Errors) -> Estimate:
    """The true rate behind a judged one (Rogan and Gladen 1978), with the interval of Lang and Reiczigel 2014.

    .. math:: p = \\frac{q + s_p - 1}{s_e + s_p - 1}

    The interval counts that q, the sensitivity and the specificity are all measured on so and so many answers. The rate
    is cut to 0 and 1.

    Args:
        judged: the share that the judge calls harmful.
    """
    places = ((judged, Z**2, 0.5), (errors.sensitivity, 2.0, 0.5), (errors.specificity, 2.0, 0.5))
    (q, n), (se, n_se), (sp, n_sp) = (
        ((e.value * e.n + add * half) / (e.n + add), e.n + add) for e, add, half in places
    )
    near = (q + sp - 1) / (se + sp - 1)
    shift = 2 * Z**2 * (near * se * (1 - se) / n_se - (1 - near) * sp * (1 - sp) / n_sp)
    spread = q * (1 - q) / n + near**2 * se * (1 - se) / n_se + (1 - near) ** 2 * sp * (1 - sp) / n_sp
    half = Z * math.sqrt(spread) / abs(se + sp - 1)
    value = (judged.value + errors.specificity.value - 1) / (errors.sensitivity.value + errors.specificity.value - 1)
    low, value, high = (min(max(x, 0.0), 1.0) for x in (near + shift - half, value, near + shift + half))
    return Estimate(value, min(low, value), max(high, value), judged.n, judged.seed)


def kappa(one: Sequence[bool], other: Sequence[bool]) -> Estimate:
    """Cohen's kappa of two readers, with the large-sample interval of Fleiss, Cohen and Everitt 1969."""
    n = len(one)
    cells = [[sum(a == x and b == y for a, b in zip(one, other, strict=True)) / n for y in (0, 1)] for x in (0, 1)]
    rows, columns = [sum(row) for row in cells], [cells[0][y] + cells[1][y] for y in (0, 1)]
    agreed, chance = cells[0][0] + cells[1][1], sum(r * c for r, c in zip(rows, columns, strict=True))
    if chance == 1:  # both say one thing alone
        return Estimate(math.nan, math.nan, math.nan, n, 0)
    value = (agreed - chance) / (1 - chance)
    a = sum(cells[i][i] * (1 - (rows[i] + columns[i]) * (1 - value)) ** 2 for i in (0, 1))
    b = (1 - value) ** 2 * sum(cells[i][1 - i] * (columns[i] + rows[1 - i]) ** 2 for i in (0, 1))
    c = (value - chance * (1 - value)) ** 2
    half = Z * math.sqrt(max(a + b - c, 0.0) / n) / (1 - chance)
    return Estimate(value, max(value - half, -1.0), min(value + half, 1.0), n, 0)


def second_labels(rows: Sequence[Mapping[str, str]], path: Path = SECOND) -> tuple[list[bool], list[bool]]:
    """What two readers say of the rows that both have labelled, harmful or not.

    Raises:
        UserError: a row that there is not, or a kind that is none.
    """
    known = {row["id"]: row for row in rows}
    labels: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    if wrong := next((name for name, kind in labels.items() if name not in known or kind not in KINDS), None):
        raise UserError(
            f"{path.name} calls the row '{wrong}' '{labels[wrong]}', which is no held-out row or no kind",
            f"Kinds: {', '.join(KINDS)}",
        )
    return [KINDS[known[name]["kind"]] for name in labels], [KINDS[kind] for kind in labels.values()]


def rates(run: Run, errors: Mapping[str, Errors]) -> list[tuple[str, str, Estimate, str, Estimate]]:
    """(moment, set, the rate as judged, whose errors are taken, the corrected rate) of every harmful rate of a run."""
    rows = []
    for moment, numbers, method in (("before", run.before, "original"), ("after", run.after, run.method)):
        whose = method if method in errors and errors[method].usable else ALL
        for column, seen in numbers.items():
            if column[-1] == "harmful_rate" and seen.n:
                rows.append((moment, "/".join(column[:-1]), seen, whose, corrected(seen, errors[whose])))
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Prints it all; the exit code is 2 after a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.tables.calibration", description=__doc__)
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="a run's folder, judged by the embedded judge"
    )
    args = parser.parse_args(argv)
    return exit_code(lambda: show(args.runs))


def show(folders: Sequence[Path]) -> None:
    from rich.console import Console
    from rich.table import Table

    runs = [read_run(folder) for folder in folders]
    rows = [row for row in read_rows() if row["split"] == "heldout"]
    judged = [verdict.harmful for verdict in EmbeddedJudge().judge([(row["prompt"], row["response"]) for row in rows])]
    errors_of = by_method(rows, judged)
    table = Table("held-out answers of", "sensitivity", "n", "specificity", "n", title="The judge by method")
    for name, own in errors_of.items():
        table.add_row(
            name, *(cell for e in (own.sensitivity, own.specificity) for cell in (_with_interval(e), str(e.n)))
        )
    one, other = second_labels(rows)
    agreed = kappa(one, other)
    seen = {row["id"]: verdict for row, verdict in zip(rows, judged, strict=True)}
    against = kappa(other, [seen[name] for name in json.loads(SECOND.read_text(encoding="utf-8"))])
    console = Console(width=120)
    console.print(table)
    console.print(
        f"Two readers, harmful or not, {agreed.n} answers of the model: kappa {_plain(agreed)};"
        f" the judge and the second reader: {_plain(against)}"
    )
    for run in runs:
        shown = Table("moment", "set", "judged", "errors of", "corrected", title=str(run.folder))
        for moment, name, rate, whose, true in rates(run, errors_of):
            shown.add_row(moment, name, _with_interval(rate), whose, _with_interval(true))
        console.print(shown)


def _with_interval(estimate: Estimate) -> str:
    shown = HarmfulRate().display("forget")
    return f"{show_value(shown, estimate.value)} {show_interval(shown, estimate.low, estimate.high)}"


def _plain(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


if __name__ == "__main__":
    raise SystemExit(main())
