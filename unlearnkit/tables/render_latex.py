r"""Tables in LaTeX with booktabs: \textbf{best}, \underline{runner-up}."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unlearnkit.tables.aggregate import Table
from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.sheet import PAPER, CellText, Sheet, sheet_of_comparison, sheet_of_table
from unlearnkit.tables.words import agreement_rows, block_of, explained, in_paper, outcome, sourced

MARKED = {1: r"\textbf{%s}", 2: r"\underline{%s}", None: "%s"}
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\~{}", "^": r"\^{}"}
RAISED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
SIGNS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\to$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$"}


def tex_with_code(text: str) -> str:
    """Text with `code` between backquotes, escaped."""
    parts = text.split("`")
    return "".join(rf"\texttt{{{tex(part)}}}" if number % 2 else tex(part) for number, part in enumerate(parts))


def tex(text: str) -> str:
    """Escape for LaTeX; numbers like 1.2e+05, >1e10 and 1.2×10⁵ become powers of ten."""
    text = re.sub(r"[\\{}$&#%_~^]", lambda m: SPECIAL.get(m[0], "\\" + m[0]), text)
    text = re.sub(r"(-?\d\.\d)e([+-]\d+)", lambda m: rf"${m[1]}\times10^{{{int(m[2])}}}$", text)
    text = re.sub(r"([<>])(-?)1e10", r"$\1\g<2>10^{10}$", text)
    text = re.sub(rf"([<>]?-?)(?:(\d+(?:\.\d+)?)×)?10([{RAISED}]+)", _power, text)
    text = re.sub(r"(?<!\$)([<>]=?)", r"$\1$", text)
    return "".join(SIGNS.get(character, character) for character in text)


def _power(match: re.Match[str]) -> str:
    exponent = match[3].translate(str.maketrans(RAISED, "-0123456789"))
    factor = rf"{match[2]}\times" if match[2] else ""
    return f"${match[1]}{factor}10^{{{exponent}}}$"


def latex(table: Table) -> str:
    """A tabular with its footnotes."""
    sheet = sheet_of_table(table)
    notes = [rf"\par{{\footnotesize {tex(note)}}}" for note in sheet.notes]
    return "\n".join([*_tabular(sheet), *notes]) + "\n"


def latex_of(comparisons: Sequence[Comparison], spec: dict, command: str) -> str:
    """A sweep's tables as floats, each with its notes, agreement and claims after it; to be put in with `input`."""
    lines = [
        r"% \usepackage[T1]{fontenc}, \usepackage[utf8]{inputenc}, \usepackage{booktabs}, \usepackage{graphicx}",
        f"% {command}",
    ]
    for comparison in comparisons:
        sheet = sheet_of_comparison(comparison)
        caption = (
            f"{spec.get('title') or spec.get('name')}. {comparison.title}. {sourced(spec)} {explained(sheet.sided)}"
        )
        key = re.sub(r"[^A-Za-z0-9]+", "-", f"{comparison.sweep}-{comparison.table.model}-{comparison.table.data}")
        lines += [r"\begin{table}[tp]", r"\centering", rf"\caption{{{tex(caption)}}}", rf"\label{{tab:{key}}}"]
        lines += [r"\resizebox{\textwidth}{!}{%", *_tabular(sheet), "}", r"\end{table}"]
        items = [*comparison.remarks, *sheet.notes]
        if comparison.correlations:
            head, *rows = agreement_rows(comparison)
            for block, *values in zip(head[1:], *(row[1:] for row in rows), strict=True):
                pairs = "; ".join(f"{row[0]} {value}" for row, value in zip(rows, values, strict=True))
                items.append(f"Rank correlation of the methods (Spearman) {block}: {pairs}.")
        for claim in comparison.claims:
            page = f" (page {claim.page})" if claim.page else ""
            paper_verdict, numbers = in_paper(claim)
            paper = f"The paper{block_of(claim, comparison)}: {paper_verdict} ({numbers})"
            items.append(f"{claim.says}{page}. {paper}. Ours: {outcome(claim)} ({claim.our_values}).")
        if items:
            lines += [r"{\footnotesize\begin{itemize}", *(rf"\item {tex_with_code(line)}" for line in items)]
            lines += [r"\end{itemize}}"]
    return "\n".join(lines) + "\n"


def _tabular(sheet: Sheet) -> list[str]:
    first = 2 + sheet.sided
    head, rules, at = [tex(sheet.corner), *[""] * sheet.sided], [], first
    for group, span in sheet.groups():
        head.append(rf"\multicolumn{{{span}}}{{c}}{{{tex(group)}}}")
        rules += [rf"\cmidrule(lr){{{at}-{at + span - 1}}}"] if group or not sheet.sided else []
        at += span
    lines = [
        rf"\begin{{tabular}}{{{'l' * (first - 1)}{'r' * len(sheet.columns)}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
    ]
    names = [tex(name) for _, name in sheet.columns]
    lines += ["".join(rules), " & ".join([""] * (first - 1) + names) + r" \\", r"\midrule"]
    methods = sheet.methods()
    for method in methods:
        for line in method:
            lead = ["" if line.side == PAPER else tex(line.label), *[line.side] * sheet.sided]
            lines.append(" & ".join([*lead, *map(_cell, line.cells)]) + r" \\")
        if sheet.sided and method is not methods[-1]:
            lines.append(r"\addlinespace")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _cell(cell: CellText) -> str:
    value = MARKED[cell.place] % tex(cell.value)
    return f"{value} {{\\scriptsize {tex(cell.interval)}}}" if cell.interval else value
