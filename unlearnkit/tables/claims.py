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
    """All numbers from `low` to `high`, both included; one number where they are equal. Of truths: 0 no, 1 yes."""

    low: float
    high: float


ANYTHING = Range(-math.inf, math.inf)
Work = Callable[[float, float], float]
ARITHMETIC: dict[type[ast.AST], Work] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARISONS: dict[type[ast.AST], list[Work]] = {  # each one has to hold
    ast.Lt: [operator.lt],
    ast.Gt: [operator.gt],
    ast.LtE: [operator.le],
    ast.GtE: [operator.ge],
    ast.Eq: [operator.le, operator.ge],
}


def above(bound: float) -> Range:
    """What `>1000` says."""
    return Range(math.nextafter(bound, math.inf), math.inf)


def combine(work: Work, a: Range, b: Range) -> Range:
    """The range of `work` over two ranges; anything where it divides by what may be zero or a corner is no number."""
    if work is operator.truediv and b.low <= 0 <= b.high:
        return ANYTHING
    corners = [work(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    return ANYTHING if any(map(math.isnan, corners)) else Range(min(corners), max(corners))


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
        truth = self._truth(self._body, values)
        return bool(truth.low) if truth.low == truth.high else None

    def _truth(self, node: ast.expr, values: Mapping[Reference, Range]) -> Range:
        match node:
            case ast.BoolOp(op=op):
                parts, pick = (
                    [self._truth(part, values) for part in node.values],
                    max if isinstance(op, ast.Or) else min,
                )
            case ast.UnaryOp(op=ast.Not()):
                operand = self._truth(node.operand, values)
                return Range(1 - operand.high, 1 - operand.low)
            case ast.Compare() if all(type(op) in COMPARISONS for op in node.ops):
                sides = pairwise([self._number(side, values) for side in (node.left, *node.comparators)])
                pairs = zip(node.ops, sides, strict=True)
                parts, pick = [combine(work, *pair) for op, pair in pairs for work in COMPARISONS[type(op)]], min
            case _:
                raise UserError(
                    f"The claim '{self.text}' has a part that is neither true nor false, or not allowed.", FIX
                )
        return Range(pick(part.low for part in parts), pick(part.high for part in parts))

    def _number(self, node: ast.expr, values: Mapping[Reference, Range]) -> Range:
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return Range(float(value), float(value))
            case ast.Name(id=name) if name.startswith("__"):
                return values.get(self.references[int(name[2:])], ANYTHING)
            case ast.UnaryOp(op=ast.USub()):
                return combine(operator.sub, Range(0.0, 0.0), self._number(node.operand, values))
            case ast.BinOp(op=op) if type(op) in ARITHMETIC:
                return combine(ARITHMETIC[type(op)], self._number(node.left, values), self._number(node.right, values))
        raise UserError(f"The claim '{self.text}' has a part that is no number of a table.", FIX)
