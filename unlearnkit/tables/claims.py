"""What a paper's text says of its methods, as small predicates on numbers: the paper's and ours.

    sku.safety/unlearned/harmful_rate < task_vector.safety/unlearned/harmful_rate
    2 * x.a/b/c < y.a/b/c and not z.a/b/c > 50

A reference is ROW.evaluation/set/metric. Numbers are in the printed unit (percent for a rate). A number may be a range
(`>1000`, an interval, or all that is possible of a missing one), so a predicate is True, False or None: not told.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from unlearnkit.errors import UserError

Reference = tuple[str, str]  # (row, evaluation/set/metric)
REFERENCE = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\.(\w+(?:/\w+)+)")
FIX = (
    "Write it like 2 * sku.safety/normal/perplexity < ga.safety/normal/perplexity: ROW.evaluation/set/metric, numbers,"
    " + - * /, < <= > >= ==, and, or, not, parentheses."
)


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included; one number where they are equal."""

    low: float
    high: float

    def __neg__(self) -> Range:
        return Range(-self.high, -self.low)


ANYTHING = Range(-math.inf, math.inf)
ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def above(bound: float) -> Range:
    """What `>1000` says."""
    return Range(math.nextafter(bound, math.inf), math.inf)


def combine(work: Callable[[float, float], float], a: Range, b: Range) -> Range:
    """The range of `work` over two ranges; anything where it divides by what may be zero or a corner is no number."""
    if work is operator.truediv and b.low <= 0 <= b.high:
        return ANYTHING
    corners = [work(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    return ANYTHING if any(map(math.isnan, corners)) else Range(min(corners), max(corners))


def below(a: Range, b: Range) -> bool | None:
    return True if a.high < b.low else False if a.low >= b.high else None


def equal(a: Range, b: Range) -> bool | None:
    if a.low == a.high == b.low == b.high:
        return True
    return False if a.high < b.low or b.high < a.low else None


def negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


COMPARISONS: dict[type[ast.cmpop], Callable[[Range, Range], bool | None]] = {
    ast.Lt: below,
    ast.Gt: lambda a, b: below(b, a),
    ast.LtE: lambda a, b: negated(below(b, a)),
    ast.GtE: lambda a, b: negated(below(a, b)),
    ast.Eq: equal,
}


class Predicate:
    """A predicate, read once; nothing of it is ever run as Python.

    Raises:
        UserError: it is not of the grammar above.
    """

    def __init__(self, text: str):
        self.text, self.references = text, list[Reference]()
        if "__" in text:
            raise UserError(f"The claim '{text}' has a double underscore, which no row or column has.", FIX)
        try:
            tree = ast.parse(REFERENCE.sub(self._name, " ".join(text.split())), mode="eval")
        except (SyntaxError, ValueError, RecursionError):
            raise UserError(f"The claim '{text}' cannot be read.", FIX) from None
        self._body = tree.body
        self({})  # every part is of the grammar

    def _name(self, match: re.Match[str]) -> str:
        reference = (match[1], match[2])
        if reference not in self.references:
            self.references.append(reference)
        return f"__{self.references.index(reference)}"

    def __call__(self, values: Mapping[Reference, Range]) -> bool | None:
        """Whether it holds; a reference without a value may be any number."""
        return self._truth(self._body, values)

    def _truth(self, node: ast.expr, values: Mapping[Reference, Range]) -> bool | None:
        if isinstance(node, ast.BoolOp):
            parts = [self._truth(part, values) for part in node.values]
            decisive = isinstance(node.op, ast.Or)
            return decisive if decisive in parts else None if None in parts else not decisive
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return negated(self._truth(node.operand, values))
        if isinstance(node, ast.Compare) and all(type(op) in COMPARISONS for op in node.ops):
            sides = pairwise([self._number(side, values) for side in (node.left, *node.comparators)])
            parts = [COMPARISONS[type(op)](*pair) for op, pair in zip(node.ops, sides, strict=True)]
            return False if False in parts else None if None in parts else True
        raise UserError(f"The claim '{self.text}' has a part that is neither true nor false, or not allowed.", FIX)

    def _number(self, node: ast.expr, values: Mapping[Reference, Range]) -> Range:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return Range(float(node.value), float(node.value))
        if isinstance(node, ast.Name) and node.id.startswith("__"):
            return values.get(self.references[int(node.id[2:])], ANYTHING)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self._number(node.operand, values)
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            return combine(ARITHMETIC[type(node.op)], self._number(node.left, values), self._number(node.right, values))
        raise UserError(f"The claim '{self.text}' has a part that is no number of a table.", FIX)
