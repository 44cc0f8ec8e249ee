"""No code outside `answers` tests for an answer kind: differences are in the kind's policy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jinja2
import jinja2.nodes
import pytest

import sdg_assets
from sdg_assets.kinds import policies

PACKAGE = Path(sdg_assets.__file__).parent
# Texts that equal a kind's name but have another meaning: (file, text) → that meaning.
OTHER_MEANINGS = {
    ("kinds.py", "multiple_choice"): "the output family of that name",
    ("release/card.py", "multiple_choice"): "the output family of that name",
    ("release/card.md.jinja", "multiple_choice"): "the output family of that name",
    ("release/configs.py", "multiple_choice"): "the output family of that name",
    ("sandbox/__init__.py", "code"): "a field of the sandbox's protocol",
    ("sandbox/roles.py", "code"): "a field of the sandbox's protocol",
    ("teacher/server/replies.py", "code"): "a field of an HTTP error",
}


def branches(source: str) -> Iterator[tuple[int, str]]:
    """(line, kind) of every `AnswerKind.<KIND>` and every text that is a kind's name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in policies():
                yield node.lineno, node.value
        elif isinstance(node, ast.Attribute) and node.attr.lower() in policies():
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if name == "AnswerKind":
                yield node.lineno, node.attr.lower()


def template_branches(source: str) -> Iterator[tuple[int, str]]:
    """(line, kind) of every text in a Jinja expression that is a kind's name."""
    for node in jinja2.Environment(autoescape=True).parse(source).find_all(jinja2.nodes.Const):
        if isinstance(node.value, str) and node.value in policies():
            yield node.lineno, node.value


@cache
def all_branches() -> list[tuple[str, int, str]]:
    """(file, line, kind) of every branch outside `answers`."""
    readers = {".py": branches, ".jinja": template_branches}
    places = [file.relative_to(PACKAGE) for file in sorted(PACKAGE.rglob("*"))]
    return [
        (place.as_posix(), line, kind)
        for place in places
        if place.suffix in readers and place.parts[0] != "answers"
        for line, kind in readers[place.suffix]((PACKAGE / place).read_text("utf-8"))
    ]


def test_nothing_outside_answers_branches_on_an_answer_kind() -> None:
    branching = [
        f"{file}:{line}: {kind!r}; make the difference an attribute of `AnswerPolicy`"
        for file, line, kind in all_branches()
        if (file, kind) not in OTHER_MEANINGS
    ]

    assert branching == []


def test_every_exception_is_still_needed() -> None:
    assert set(OTHER_MEANINGS) <= {(file, kind) for file, _, kind in all_branches()}


@pytest.mark.parametrize(
    "branch",
    [
        "if row.answer_kind is AnswerKind.CODE: ...",
        "if row.answer_kind is records.AnswerKind.CODE: ...",
        "if row.answer_kind == 'code': ...",
        "if row.answer_kind in ('span', 'code'): ...",
        "LENGTHS = {'code': 8000}",
    ],
)
def test_a_branch_is_detected_in_every_form(branch: str) -> None:
    assert "code" in {kind for _, kind in branches(branch)}


def test_a_branch_in_a_template_is_detected() -> None:
    template = "{% if row.answer_kind == 'code' %}```{% endif %} code"

    assert list(template_branches(template)) == [(1, "code")]
