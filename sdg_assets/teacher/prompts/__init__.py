"""Prompt templates, one per role and answer kind. A template's version is a hash of its source.

A kind without its own file (such as `solve/date.jinja`) uses the general template of the role
(`solve/_general.jinja`), with the values of the kind's policy.

A template is a system part and a user part, divided by the line `=== user ===` of its source. The
text that all requests share comes first, so that the engine's prefix cache can reuse it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from sdg_assets.errors import PermanentError
from sdg_assets.kinds import policies
from sdg_assets.teacher.requests import Message

_DIRECTORY = Path(__file__).parent
_DIVIDER = "=== user ==="
# Values are untrusted text: a label "=== user ===" once cut the prompt in two. The divider of a
# source is therefore replaced by a random mark before any value is inserted.
_MARK = f"=== {secrets.token_hex(16)} ==="


# No kind can have this name: kinds do not begin with an underscore.
_GENERAL = "_general"


def _source(name: str) -> str:
    """The source of a template: its file, or its kind's values followed by the general one."""
    file = _DIRECTORY / f"{name}.jinja"
    part, _, kind = name.partition("/")
    if file.is_file() or kind not in policies():
        return file.read_text("utf-8")
    values = policies()[kind].prompt_values()
    # JSON values are literals of Jinja too: it accepts true and false in lower case.
    assignments = "".join(
        f"{{% set {variable} = {json.dumps(value, ensure_ascii=False)} %}}\n"
        for variable, value in values.items()
    )
    return assignments + (_DIRECTORY / part / f"{_GENERAL}.jinja").read_text("utf-8")


class _Sources(jinja2.BaseLoader):
    """Loads sources of templates, with the divider replaced by the mark."""

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
    """Renders a conversation of one system and one user turn.

    Args:
        name: Template path without suffix, e.g. `write/numeric`.
        **values: The template's variables.
    """
    return _conversation(_ENVIRONMENT.get_template(f"{name}.jinja").render(**values))


def _conversation(text: str) -> tuple[Message, ...]:
    system, _, user = text.partition(_MARK)
    return (
        Message(role="system", content=system.strip()),
        Message(role="user", content=user.strip()),
    )


def names() -> list[str]:
    """Names of all templates that `render` accepts, including kinds without their own file."""
    files = {path.relative_to(_DIRECTORY).with_suffix("") for path in _DIRECTORY.rglob("*.jinja")}
    general = {path for path in files if path.name == _GENERAL}
    by_kind = {path.with_name(kind) for path in general for kind in policies()}
    return sorted(map(str, (files | by_kind) - general))


@cache
def version(name: str) -> str:
    """`<name>@<hash>`: changes with the template, those it extends, and the kind's values."""
    return _versioned(name, _source(name))


@dataclass(frozen=True)
class Prompt:
    """A template that a module declares: a file of this package, or the module's own text.

    Attributes:
        name: Path of the file without suffix, e.g. `judge/rubric`; of own text, its name in
            versions.
        source: The own text; it may extend a file of this package. None: a file.

    Raises:
        PermanentError: The text lacks the line that divides system and user part.
    """

    name: str
    source: str | None = None

    def __post_init__(self) -> None:
        """Checks the module's own text."""
        if self.source is not None and _DIVIDER not in self.source and not _parents(self.source):
            raise PermanentError(
                f"prompt {self.name!r}: the line {_DIVIDER!r} is missing, which divides the system "
                "part from the user part"
            )

    @property
    def version(self) -> str:
        """`<name>@<hash>`: changes when the template, or one it extends, changes."""
        return version(self.name) if self.source is None else _versioned(self.name, self.source)

    @property
    def files(self) -> set[str]:
        """Names of its template files: its own, and all that it extends."""
        files = set() if self.source is not None else {self.name}
        parents = _parents(_source(self.name) if self.source is None else self.source)
        return files.union(*(Prompt(parent).files for parent in parents))

    def render(self, **values: Any) -> tuple[Message, ...]:  # noqa: ANN401 – template variables
        """Renders a conversation of one system and one user turn.

        Args:
            **values: The template's variables.
        """
        if self.source is None:
            return render(self.name, **values)
        template = _ENVIRONMENT.from_string(self.source.replace(_DIVIDER, _MARK))
        return _conversation(template.render(**values))


@cache
def _versioned(name: str, source: str) -> str:
    sources, digest = [source], hashlib.sha256()
    while sources:
        text = sources.pop()
        digest.update(text.encode())
        sources += [_source(parent) for parent in _parents(text)]
    return f"{name}@{digest.hexdigest()[:8]}"


def _parents(source: str) -> list[str]:
    """Names of the templates that a source extends: one, or none."""
    names = []
    for node in _ENVIRONMENT.parse(source).find_all(jinja2.nodes.Extends):
        parent = node.template
        assert isinstance(parent, jinja2.nodes.Const)
        names.append(str(parent.value).removesuffix(".jinja"))
    return names
