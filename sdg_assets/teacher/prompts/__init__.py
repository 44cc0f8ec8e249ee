"""Prompt templates, one per role and answer kind. A template's version is a hash of its source.

A kind without its own file (such as `solve/date.jinja`) uses the general template of the role
(`solve/_general.jinja`), with the values of the kind's policy.

The files are worded for small teachers. Where another class needs other words, a file with the
class in its name (`solve/base.strong.jinja`) takes the place of the plain one, also as a parent.
Where thinking teachers need the words of strong ones, their file extends that of the strong ones.

A template is a system part and a user part, divided by the line `=== user ===` of its source. The
text that all requests share comes first, so that the engine's prefix cache can reuse it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from sdg_assets.errors import PermanentError
from sdg_assets.kinds import policies
from sdg_assets.records import TeacherClass
from sdg_assets.teacher.requests import Message

_DIRECTORY = Path(__file__).parent
_DIVIDER = "=== user ==="
# Values are untrusted text: a label "=== user ===" once cut the prompt in two. The divider of a
# source is therefore replaced by a random mark before any value is inserted.
_MARK = f"=== {secrets.token_hex(16)} ==="


# No kind can have this name: kinds do not begin with an underscore.
_GENERAL = "_general"


def _file(name: str, teacher_class: TeacherClass) -> Path:
    """The file of a template: the one for the class of teachers, else the plain one."""
    own = _DIRECTORY / f"{name}.{teacher_class}.jinja"
    return own if own.is_file() else _DIRECTORY / f"{name}.jinja"


def _source(name: str, teacher_class: TeacherClass) -> str:
    """The source of a template: its file, or its kind's values followed by the general one."""
    file = _file(name, teacher_class)
    part, _, kind = name.partition("/")
    if file.is_file() or kind not in policies():
        return file.read_text("utf-8")
    values = policies()[kind].prompt_values()
    # JSON values are literals of Jinja too: it accepts true and false in lower case.
    assignments = "".join(
        f"{{% set {variable} = {json.dumps(value, ensure_ascii=False)} %}}\n"
        for variable, value in values.items()
    )
    return assignments + _file(f"{part}/{_GENERAL}", teacher_class).read_text("utf-8")


class _Sources(jinja2.BaseLoader):
    """Loads sources of templates for a class of teachers; the mark replaces the divider."""

    def __init__(self, teacher_class: TeacherClass) -> None:
        self._teacher_class = teacher_class

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        try:
            source = _source(template.removesuffix(".jinja"), self._teacher_class)
        except FileNotFoundError as error:
            raise jinja2.TemplateNotFound(template) from error
        return source.replace(_DIVIDER, _MARK), None, None


class _Environment(jinja2.Environment):
    """Copies its globals to each template once, instead of looking them up in every rendering.

    That took two fifths of the time of a rendering.
    """

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **(d or {})}


@cache
def _environment(teacher_class: TeacherClass) -> jinja2.Environment:
    return _Environment(
        loader=_Sources(teacher_class),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # prompts are text, not HTML
    )


def render(name: str, **values: Any) -> tuple[Message, ...]:  # noqa: ANN401 – template variables
    """Renders a conversation of one system and one user turn, worded for small teachers.

    Args:
        name: Template path without suffix, e.g. `write/numeric`.
        **values: The template's variables.
    """
    return Prompt(name).render(**values)


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
    return sorted(str(path) for path in (files | by_kind) - general if not path.suffix)


@cache
def version(name: str, teacher_class: TeacherClass = "small") -> str:
    """The version of a template for a class of teachers.

    Returns:
        `<name>@<hash>`, or `<name>.<class>@<hash>` for another class than `small`. The hash changes
        with the template, those it extends, and the kind's values.
    """
    return _versioned(name, _source(name, teacher_class), teacher_class)


@dataclass(frozen=True)
class Prompt:
    """A template that a module declares: a file of this package, or the module's own text.

    Attributes:
        name: Path of the file without suffix, e.g. `judge/rubric`; of own text, its name in
            versions.
        source: The own text; it may extend a file of this package. None: a file.
        teacher_class: The class of teachers whose wording is used.

    Raises:
        PermanentError: The text lacks the line that divides system and user part.
    """

    name: str
    source: str | None = None
    teacher_class: TeacherClass = "small"

    def __post_init__(self) -> None:
        """Checks the module's own text."""
        is_whole = self.source is None or _DIVIDER in self.source or _parents(self.source)
        if not is_whole:
            raise PermanentError(
                f"prompt {self.name!r}: the line {_DIVIDER!r} is missing, which divides the system "
                "part from the user part"
            )

    @property
    def version(self) -> str:
        """Changes when the template, or one it extends, changes: see `version`."""
        if self.source is None:
            return version(self.name, self.teacher_class)
        return _versioned(self.name, self.source, self.teacher_class)

    @property
    def files(self) -> set[str]:
        """Names of its template files: its own, and all that it extends."""
        parents = _parents(self.source or _source(self.name, self.teacher_class))
        files = set[str]().union(
            *(Prompt(parent, teacher_class=self.teacher_class).files for parent in parents)
        )
        if self.source is None:
            file = _file(self.name, self.teacher_class)
            # A kind without its own file has the plain name, under which `version` finds it.
            own = file.relative_to(_DIRECTORY).with_suffix("") if file.is_file() else self.name
            files.add(str(own))
        return files

    def worded_for(self, teacher_class: TeacherClass) -> Prompt:
        """The prompt in the words for a class of teachers.

        Without words for that class it is the same prompt, with the same version: a verifier's
        prompt has the words that the model was trained on, whatever its class.
        """
        return _worded(self, teacher_class)

    def render(self, **values: Any) -> tuple[Message, ...]:  # noqa: ANN401 – template variables
        """Renders a conversation of one system and one user turn.

        Args:
            **values: The template's variables.
        """
        environment = _environment(self.teacher_class)
        if self.source is None:
            template = environment.get_template(f"{self.name}.jinja")
        else:
            template = environment.from_string(self.source.replace(_DIVIDER, _MARK))
        return _conversation(template.render(**values))


@cache  # the same few prompts for all rows
def _worded(prompt: Prompt, teacher_class: TeacherClass) -> Prompt:
    worded = replace(prompt, teacher_class=teacher_class)
    has_words = any(file.endswith(f".{teacher_class}") for file in worded.files)
    return worded if has_words else prompt


def _versioned(name: str, source: str, teacher_class: TeacherClass) -> str:
    sources, digest = [source], hashlib.sha256()
    while sources:
        text = sources.pop()
        digest.update(text.encode())
        sources += [_source(parent, teacher_class) for parent in _parents(text)]
    named = name if teacher_class == "small" else f"{name}.{teacher_class}"
    return f"{named}@{digest.hexdigest()[:8]}"


@cache
def _parents(source: str) -> list[str]:
    """Names of the templates that a source extends: one, or none."""
    names = []
    for node in _environment("small").parse(source).find_all(jinja2.nodes.Extends):
        parent = node.template
        assert isinstance(parent, jinja2.nodes.Const)
        names.append(str(parent.value).removesuffix(".jinja"))
    return names
