"""What a sweep's YAML says of a paper's table: its columns, its rows and its numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlearnkit.errors import UserError, nearest
from unlearnkit.measures.columns import Column
from unlearnkit.tables.published import column


@dataclass(frozen=True)
class Heading:
    """A column of the paper's table.

    Args:
        key: `evaluation/set/metric`.
        group, name: the title `Unlearned: harmful rate`, apart; the group may be empty.
    """

    key: str
    group: str
    name: str

    @property
    def column(self) -> Column:
        """Where our number of it stands."""
        return column(self.key)

    @property
    def title(self) -> str:
        return f"{self.group}: {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Printed:
    """A number as a paper prints it.

    Args:
        value: in the printed unit (54 for 54 %); infinite for `>1000`.
        text: `54%`, `18.50`, `>1e3`, `1e4`.
        bound: 1000 for `>1000`.
    """

    value: float
    text: str
    bound: float | None = None


Block = dict[str, dict[str, Printed]]  # row -> key of the column -> number; a number that the paper has not is absent


def in_print(column: Column) -> float:
    """What our numbers are multiplied by to be in the printed unit."""
    return 100.0 if column.display.rate else 1.0


def as_printed(text: str) -> str:
    """As papers write powers of ten: `1.2e+05` -> `1.2×10⁵`, `>1e10` -> `>10¹⁰`."""

    def power(match: re.Match[str]) -> str:
        digits = str(int(match["exponent"])).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{digits}" if match["digits"] == "1" else f"{match['digits']}×10{digits}"

    return re.sub(r"(?<![\w.])(?P<digits>\d+(\.\d+)?)e(?P<exponent>[+-]?\d+)", power, text)


def read_headings(spec: Mapping[str, Any]) -> list[Heading]:
    """The sweep's columns, in order; none where the YAML lists none."""
    headings = []
    for key, title in (spec.get("columns") or {}).items():
        group, _, name = str(title).rpartition(": ")
        headings.append(Heading(str(key), group, name))
    return headings


def read_paper(spec: Mapping[str, Any], name: str) -> dict[str, Block]:
    """The paper's numbers by block (its model).

    Args:
        name: of the sweep, for errors.

    Raises:
        UserError: a value that is not a number, a row of another length or one that `rows` does not name.
    """
    headings, rows = read_headings(spec), dict(spec.get("rows") or {})
    blocks: dict[str, Block] = {}
    for block, lines in (spec.get("paper") or {}).items():
        numbers: Block = blocks.setdefault(str(block), {})
        for row, values in lines.items():
            where = f"sweeps/{name}.yaml, paper.{block}.{row}"
            if row not in rows:
                fix = f"Rows are: {', '.join(rows)}; add it there, or mend the name."
                raise UserError(f"{where}: the sweep's rows have no '{row}'.{nearest(str(row), rows)}", fix)
            if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != len(headings):
                count = len(values) if isinstance(values, Sequence) and not isinstance(values, str) else repr(values)
                raise UserError(
                    f"{where}: {count} where a list of {len(headings)} numbers is wanted, one a column.",
                    f"Columns are: {', '.join(heading.title for heading in headings)}; null where the paper has none.",
                )
            pairs = zip(headings, values, strict=True)
            numbers[row] = {h.key: number for h, v in pairs if (number := _number(v, f"{where}, column '{h.title}'"))}
        for heading in headings:
            _print(heading, numbers)
    return blocks


def _number(value: Any, where: str) -> Printed | None:
    if value is None:
        return None
    if isinstance(value, str) and (beyond := re.fullmatch(r">\s*(\d+(?:\.\d*)?(?:e\+?\d+)?)", value.strip(), re.I)):
        bound = float(beyond[1])
        return Printed(math.inf, f">{_power(bound)}", bound)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        fix = 'Write the number as the paper prints it, ">1000" where it prints that, null where it has none.'
        raise UserError(f"{where}: {value!r} is not a number.", fix)
    return Printed(float(value), repr(value))


def _power(value: float) -> str:
    """`1e4` for 10000, else plain digits."""
    exponent = round(math.log10(value)) if value > 0 else 0
    return f"1e{exponent}" if exponent >= 3 and value == 10.0**exponent else f"{value:.10g}"


def _print(heading: Heading, block: Block) -> None:
    """Texts with the decimals of their column, padded from two on as the papers do (18.50, but 54% beside 18.5%)."""
    numbers = [row[heading.key] for row in block.values() if heading.key in row]
    fractions = [n.text.partition(".")[2] for n in numbers if n.bound is None and "e" not in n.text]
    decimals = max((len(fraction) for fraction in fractions if fraction != "0"), default=0)
    unit = "%" if heading.column.display.rate else ""
    for row in block.values():
        number = row.get(heading.key)
        if number is None or number.bound is not None:
            continue
        if "e-" in number.text:  # such as a p-value, of which the column's decimals would leave nothing
            text = number.text
        elif abs(number.value) >= 1e3:
            text = _power(number.value) if number.value >= 1e4 else f"{number.value:.10g}"
        else:
            text = f"{number.value:.{decimals}f}" if decimals > 1 else f"{number.value:.10g}"
        row[heading.key] = Printed(number.value, text + unit)
