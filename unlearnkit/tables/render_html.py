"""Tables in HTML: a page of their own, and a fragment for a sweep's report."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from unlearnkit.pages import template
from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.sheet import sheet_of_comparison
from unlearnkit.tables.words import agreement_line, agreement_rows, decided, explained, in_paper, outcome, sourced


def html_fragment(comparisons: Sequence[Comparison], spec: dict) -> str:
    """Headings from <h3> on and tables; no style, no script. Classes: scroll, paper, soft, tag good, tag bad."""
    return template("tables.html.j2").render(
        comparisons=[(comparison, sheet_of_comparison(comparison)) for comparison in comparisons],
        agreement_rows=agreement_rows,
        agreement=agreement_line(comparisons),
        explained=explained,
        outcome=outcome,
        decided=decided,
        in_paper=in_paper,
        source=sourced(spec),
    )


def html_page(comparisons: Sequence[Comparison], spec: dict, command: str) -> str:
    """One file that opens offline."""
    return template("table_page.html.j2").render(
        title=spec.get("title") or spec.get("name"), command=command, fragment=Markup(html_fragment(comparisons, spec))
    )
