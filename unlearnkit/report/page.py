"""A page from its template: one file with all that it needs, written whole or not at all."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

from unlearnkit import pages
from unlearnkit.files import write
from unlearnkit.report.answers import verdicts


def render(name: str, **values: Any) -> str:
    """The HTML of `pages/NAME`, with plotly where there are `figures`. Every page has `examples` and `methods`."""
    plotly = plotly_gzip() if values["figures"] else ""
    return pages.template(name).render(plotly=plotly, verdicts=verdicts(values["examples"]), **values)


def write_page(folder: Path, page: str) -> Path:
    """Write FOLDER/report.html under a temporary name and rename it."""
    path = folder / "report.html"
    write(path, page, errors="replace")  # a model may emit half a surrogate pair
    return path


def gzipped(text: str) -> str:
    """Text, gzipped, in base64."""
    return base64.b64encode(gzip.compress(text.encode(errors="replace"), mtime=0)).decode()


def plotly_gzip() -> str:
    """plotly.min.js, `gzipped`: 4.8 MB become 1.9."""
    from plotly.offline import get_plotlyjs

    return gzipped(get_plotlyjs())
