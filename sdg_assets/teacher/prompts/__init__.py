"""Prompt templates, one a role and answer kind. A template's version is a hash of its source.

A template is a system part and a user part, divided by the line `=== user ===` of its source. What
stays the same from request to request comes first, so that the engine's prefix cache holds it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from sdg_assets.teacher.requests import Message

_DIRECTORY = Path(__file__).parent
_DIVIDER = "=== user ==="
# Values are anybody's words: a label that read "=== user ===" cut the prompt in two. The divider of
# a source becomes a mark that no value can guess before any value is put in.
_MARK = f"=== {secrets.token_hex(16)} ==="


class _Sources(jinja2.FileSystemLoader):
    """Template files, their dividers marked."""

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        source, file, is_current = super().get_source(environment, template)
        return source.replace(_DIVIDER, _MARK), file, is_current


_ENVIRONMENT = jinja2.Environment(
    loader=_Sources(_DIRECTORY),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701 – prompts are text, not HTML
)


def render(name: str, **values: Any) -> tuple[Message, ...]:  # noqa: ANN401 – template variables
    """A conversation of one system and one user turn.

    Args:
        name: Template path without suffix, e.g. `write/numeric`.
        **values: What the template refers to.
    """
    text = _ENVIRONMENT.get_template(f"{name}.jinja").render(**values)
    system, _, user = text.partition(_MARK)
    return (
        Message(role="system", content=system.strip()),
        Message(role="user", content=user.strip()),
    )


def names() -> list[str]:
    """Every template's name, sorted."""
    found = _DIRECTORY.rglob("*.jinja")
    return sorted(str(path.relative_to(_DIRECTORY).with_suffix("")) for path in found)


@cache
def version(name: str) -> str:
    """`<name>@<hash>`: changes when the template, or one it extends, changes."""
    sources, digest = [name], hashlib.sha256()
    while sources:
        source = (_DIRECTORY / f"{sources.pop()}.jinja").read_text("utf-8")
        digest.update(source.encode())
        for node in _ENVIRONMENT.parse(source).find_all(jinja2.nodes.Extends):
            parent = node.template
            assert isinstance(parent, jinja2.nodes.Const)
            sources.append(str(parent.value).removesuffix(".jinja"))
    return f"{name}@{digest.hexdigest()[:8]}"
