"""The Markdown pages of a release as Jinja templates: `*.md.jinja` in this folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2


@cache
def page_template(name: str) -> jinja2.Template:
    """The template `<name>.md.jinja`; a name that it uses and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 – Markdown
    )
    return environment.get_template(f"{name}.md.jinja")
