"""Tables in HTML: a page of their own, and a fragment for a sweep's report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.sheet import sheet_of_comparison
from unlearnkit.tables.words import agreement_line, agreement_rows, explained, in_paper, sourced, verdict

PAGES = Path(__file__).parent.parent / "pages"


def code(text: str) -> Markup:
    """Escaped, with what stands between backquotes as <code>."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = code
    return environment.get_template(name)


def html_fragment(comparisons: Sequence[Comparison], spec: dict) -> str:
    """Headings from <h3> on and tables; no style, no script. Classes: scroll, paper, soft, tag good, tag bad."""
    return _template("tables.html.j2").render(
        comparisons=[(comparison, sheet_of_comparison(comparison)) for comparison in comparisons],
        agreement_rows=agreement_rows,
        agreement=agreement_line(comparisons),
        explained=explained,
        verdict=verdict,
        in_paper=in_paper,
        source=sourced(spec),
    )


def html_page(comparisons: Sequence[Comparison], spec: dict, command: str) -> str:
    """One file that opens offline."""
    return _template("table_page.html.j2").render(
        title=spec.get("title") or spec.get("name"), command=command, fragment=Markup(html_fragment(comparisons, spec))
    )
