"""Prompt templates, one a role and answer kind. A template's version is a hash of its source.

A kind without a file of its own (`solve/date.jinja`) is asked by the general one of the role
(`solve/_general.jinja`), which the kind's policy completes.

A template is a system part and a user part, divided by the line `=== user ===` of its source. What
stays the same from request to request comes first, so that the engine's prefix cache holds it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from sdg_assets.kinds import policies
from sdg_assets.teacher.requests import Message

_DIRECTORY = Path(__file__).parent
_DIVIDER = "=== user ==="
# Values are anybody's words: a label that read "=== user ===" cut the prompt in two. The divider of
# a source becomes a mark that no value can guess before any value is put in.
_MARK = f"=== {secrets.token_hex(16)} ==="


# A name cannot begin with an underscore: no kind takes this one.
_GENERAL = "_general"


def _source(name: str) -> str:
    """The source of a template: its file, or the general one behind what its kind says."""
    file = _DIRECTORY / f"{name}.jinja"
    part, _, kind = name.partition("/")
    if file.is_file() or kind not in policies():
        return file.read_text("utf-8")
    values = policies()[kind].prompt_values()
    # A JSON value is a literal of Jinja too, once its true and false are those of Python.
    said = "".join(
        f"{{% set {variable} = {json.dumps(value, ensure_ascii=False)} %}}\n"
        for variable, value in values.items()
    )
    return said + (_DIRECTORY / part / f"{_GENERAL}.jinja").read_text("utf-8")


class _Sources(jinja2.BaseLoader):
    """Sources of templates, their dividers marked."""

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        try:
            source = _source(template.removesuffix(".jinja"))
        except FileNotFoundError as error:
            raise jinja2.TemplateNotFound(template) from error
        return source.replace(_DIVIDER, _MARK), None, None


_ENVIRONMENT = jinja2.Environment(
    loader=_Sources(),
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
    """The name of every template that `render` takes, those of kinds without a file included."""
    files = {path.relative_to(_DIRECTORY).with_suffix("") for path in _DIRECTORY.rglob("*.jinja")}
    general = {path for path in files if path.name == _GENERAL}
    by_kind = {path.with_name(kind) for path in general for kind in policies()}
    return sorted(map(str, (files | by_kind) - general))


@cache
def version(name: str) -> str:
    """`<name>@<hash>`: changes when the template, one it extends, or what a kind says changes."""
    sources, digest = [name], hashlib.sha256()
    while sources:
        source = _source(sources.pop())
        digest.update(source.encode())
        for node in _ENVIRONMENT.parse(source).find_all(jinja2.nodes.Extends):
            parent = node.template
            assert isinstance(parent, jinja2.nodes.Const)
            sources.append(str(parent.value).removesuffix(".jinja"))
    return f"{name}@{digest.hexdigest()[:8]}"
