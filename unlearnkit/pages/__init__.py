"""Templates of the pages that are written: HTML that opens offline."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup, escape


def template(name: str) -> jinja2.Template:
    """A template of this folder; the filter `code` is there for it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = code
    return environment.get_template(name)


def code(text: str) -> Markup:
    """Escaped, with what stands between backquotes as <code>."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )
