"""A page from its template: one file with all that it needs, written whole or not at all."""

from __future__ import annotations

import base64
import gzip
import os
from pathlib import Path
from typing import Any

import jinja2

from unlearnkit.report.answers import verdicts

PAGES = Path(__file__).parents[1] / "pages"


def render(template: str, **values: Any) -> str:
    """The HTML of `pages/TEMPLATE`, with plotly where there are `figures`. Every page has `examples` and `methods`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plotly = plotly_gzip() if values["figures"] else ""
    return environment.get_template(template).render(plotly=plotly, verdicts=verdicts(values["examples"]), **values)


def write_page(folder: Path, page: str) -> Path:
    """Write FOLDER/report.html under a temporary name and rename it."""
    path, part = folder / "report.html", folder / f".report.html.{os.getpid()}"
    try:
        part.write_text(page, encoding="utf-8", errors="replace")  # a model may emit half a surrogate pair
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def gzipped(text: str) -> str:
    """Text, gzipped, in base64."""
    return base64.b64encode(gzip.compress(text.encode(errors="replace"), mtime=0)).decode()


def plotly_gzip() -> str:
    """plotly.min.js, `gzipped`: 4.8 MB become 1.9."""
    from plotly.offline import get_plotlyjs

    return gzipped(get_plotlyjs())
