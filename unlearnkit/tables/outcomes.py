"""A sweep's claims, held against the paper's numbers and against ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlearnkit.errors import UserError, nearest
from unlearnkit.measures.display import show_interval, show_value
from unlearnkit.tables.aggregate import ORIGINAL, Table
from unlearnkit.tables.claims import Predicate, Range, Reference, above
from unlearnkit.tables.marks import AVERAGE, Values, exactly, ranking
from unlearnkit.tables.paper import Block, Heading, Printed, as_printed, in_print, read_headings, read_paper

RANKING = "ranking"  # the evaluation that the ranking columns go by in claims: sku.ranking/average
MOST_NEEDED = 1000.0
Ranks = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Outcome:
    """One claim: whether it holds in the paper's numbers and in ours, and these numbers in words.

    `paper` and `ours` are None where that side has not all the numbers or they do not tell; `clear`: it comes out the
    same for all numbers within our intervals. `where` is the predicate, `block` the paper's model. `needed`: how many
    times the prompts would make an unclear one clear, at the same means; infinite where none would.
    """

    says: str
    page: int | None
    where: str
    block: str | None
    paper: bool | None
    ours: bool | None = None
    clear: bool = False
    paper_values: str = ""
    our_values: str = ""
    needed: float = math.inf


class Claims:
    """The claims of a sweep, read and checked against its rows and columns.

    Raises:
        UserError: a claim that cannot be read, or that names what there is not.
    """

    def __init__(self, spec: Mapping[str, Any], name: str):
        self.headings, self.rows = read_headings(spec), dict(spec.get("rows") or {})
        self.groups = ranking_groups(spec, self.headings)
        self.paper = read_paper(spec, name)
        self.claims = [(dict(claim), Predicate(str(claim["where"]))) for claim in spec.get("claims") or []]
        known: dict[str, Heading | None] = {h.key: h for h in self.headings}
        known |= {f"{RANKING}/{group}": None for group in (*self.groups, AVERAGE) if self.groups}
        self.heading = known
        for claim, predicate in self.claims:
            where = f"sweeps/{name}.yaml, the claim '{claim['says']}'"
            for row, column in predicate.references:
                for word, valid, what in ((row, {ORIGINAL: "", **self.rows}, "row"), (column, known, "column")):
                    if word not in valid:
                        fix = f"The sweep's {what}s are: {', '.join(valid)}."
                        raise UserError(f"{where}: no {what} '{word}'.{nearest(word, valid)}", fix)
            for block in claim.get("models") or ():
                if block not in self.paper:
                    fix = f"The paper's are: {', '.join(self.paper)}."
                    raise UserError(f"{where}: no model '{block}'.{nearest(str(block), self.paper)}", fix)

    def of_paper(self) -> list[Outcome]:
        """One outcome a claim and block that it speaks of."""
        return [
            self._outcome(claim, predicate, block)
            for claim, predicate in self.claims
            for block in (claim.get("models") or self.paper)
        ]

    def compared(self, block: str | None, table: Table, ranks: Ranks, only: bool) -> list[Outcome]:
        """One outcome a claim, ours beside `block`'s, or beside the first model's that the claim is about.

        Args:
            ranks: ours.
            only: leave out what is said of other models (ours is the paper's here).
        """
        outcomes = []
        for claim, predicate in self.claims:
            models = claim.get("models")
            if not models or block in models:
                outcomes.append(self._outcome(claim, predicate, block, table, ranks))
            elif not only:
                outcomes.append(self._outcome(claim, predicate, models[0], table, ranks))
        return outcomes

    def _outcome(
        self,
        claim: dict[str, Any],
        predicate: Predicate,
        block: str | None,
        table: Table | None = None,
        ranks: Ranks | None = None,
    ) -> Outcome:
        theirs = self._theirs(self.paper.get(block or "", {}), predicate.references)
        holds_in_paper = predicate({ref: span for ref, (span, _) in theirs.items()})
        words = self._words(predicate.references, {ref: text for ref, (_, text) in theirs.items()})
        outcome = (str(claim["says"]), claim.get("page"), predicate.text, block, holds_in_paper)
        if table is None:
            return Outcome(*outcome, paper_values=words)
        means, spans, texts = self._ours(table, ranks or {}, predicate.references)
        holds, surely = predicate(means), predicate(spans)
        clear = surely is not None and surely == holds
        needed = 1.0 if clear else needed_prompts(predicate, means, spans)
        return Outcome(*outcome, holds, clear, words, self._words(predicate.references, texts), needed)

    def _theirs(self, block: Block, references: Sequence[Reference]) -> dict[Reference, tuple[Range, str]]:
        ranks = ranks_of_paper(block, self.headings, self.groups)
        numbers = {}
        for row, column in references:
            heading = self.heading[column]
            if heading is None:
                if (rank := ranks.get(row, {}).get(column.partition("/")[2])) is not None:
                    numbers[row, column] = Range(rank, rank), f"{rank:g}"
            elif number := block.get(row, {}).get(heading.key):
                numbers[row, column] = span_of(number), number.text
        return numbers

    def _ours(
        self, table: Table, ranks: Ranks, references: Sequence[Reference]
    ) -> tuple[dict[Reference, Range], dict[Reference, Range], dict[Reference, str]]:
        means, spans, texts = dict[Reference, Range](), dict[Reference, Range](), dict[Reference, str]()
        for reference in references:
            row, name = reference
            heading = self.heading[name]
            if heading is None:
                if (rank := ranks.get(row, {}).get(name.partition("/")[2])) is not None:
                    means[reference] = spans[reference] = Range(rank, rank)
                    texts[reference] = f"{rank:g}"
                continue
            column = heading.column
            cell = table.rows.get(row, {}).get(column)
            if cell is None or math.isnan(cell.value):
                continue
            unit = in_print(column)
            means[reference] = Range(unit * cell.value, unit * cell.value)
            low, high = (
                end if math.isnan(at) else unit * at for at, end in ((cell.low, -math.inf), (cell.high, math.inf))
            )
            spans[reference] = Range(low, high)  # of a bound that nothing is known of, any number
            shown = show_value(column.display, cell.value), show_interval(column.display, cell.low, cell.high)
            texts[reference] = " ".join(part for part in shown if part)
        return means, spans, texts

    def _words(self, references: Sequence[Reference], texts: Mapping[Reference, str]) -> str:
        columns = {column for _, column in references}
        parts = []
        for row, column in references:
            heading = self.heading[column]
            title = (heading.title if heading else f"{column.partition('/')[2]} rank") if len(columns) > 1 else ""
            parts.append(
                " ".join(p for p in (str(self.rows.get(row) or row), title, texts.get((row, column), "-")) if p)
            )
        return as_printed(", ".join(parts))


def needed_prompts(predicate: Predicate, means: Mapping[Reference, Range], spans: Mapping[Reference, Range]) -> float:
    """How many times the prompts decide a claim if no mean moves: an interval shrinks by their square root.

    To a tenth of itself; infinite where `MOST_NEEDED` times do not.
    """

    def decides(times: float) -> bool:
        shrunk = {key: _shrunk(span, means[key].low, times**-0.5) for key, span in spans.items()}
        return predicate(shrunk) is not None

    if predicate(means) is None or not decides(MOST_NEEDED):
        return math.inf
    low, high = 1.0, MOST_NEEDED
    while high / low > 1.1:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _shrunk(span: Range, mean: float, by: float) -> Range:
    return Range(*(mean + by * (end - mean) if math.isfinite(end) else end for end in (span.low, span.high)))


def span_of(number: Printed) -> Range:
    return above(number.bound) if number.bound is not None else Range(number.value, number.value)


def ranking_groups(spec: Mapping[str, Any], headings: Sequence[Heading]) -> dict[str, list[Heading]]:
    """The ranking columns: group -> the headings that it ranks by; empty where the sweep has none."""
    groups = spec.get("ranking")
    if not groups:
        return {}
    if isinstance(groups, Mapping):
        by_key = {heading.key: heading for heading in headings}
        return {str(name): [by_key[key] for key in keys] for name, keys in groups.items()}
    return {
        "unlearn": [h for h in headings if h.column[-1] == "harmful_rate"],
        "utility": [h for h in headings if h.column.display.role == "retain"],
    }


def ranks_of_paper(block: Block, headings: Sequence[Heading], groups: Mapping[str, Sequence[Heading]]) -> Ranks:
    """The ranking columns from the paper's own numbers."""
    return ranking(
        numbers_of(block, headings), {name: [h.column for h in members] for name, members in groups.items()}, exactly
    )


def numbers_of(block: Block, headings: Sequence[Heading]) -> Values:
    """The paper's numbers by column, to rank them."""
    return {
        row: {h.column: numbers[h.key].value for h in headings if h.key in numbers} for row, numbers in block.items()
    }


def paper_claims(spec: Mapping[str, Any], name: str) -> list[Outcome]:
    """Every claim of a sweep on the paper's own numbers, block by block: a typing error shows as one that breaks."""
    return Claims(spec, name).of_paper()
