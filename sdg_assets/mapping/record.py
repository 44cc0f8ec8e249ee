"""A task's `record:` – Jinja over a raw row – compiled once, applied to every row.

`catalog/templates.py` describes the language.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import jinja2

from sdg_assets.catalog.entries import RECORD_FIELDS, RecordMapping
from sdg_assets.catalog.templates import (
    ENVIRONMENT,
    Render,
    TemplateTimeoutError,
    compile_template,
    detokenizer,
    single_expression,
    time_limit,
)
from sdg_assets.errors import CatalogError, MappingError
from sdg_assets.records import AnswerKind, Content, content_id

YES_NO = ["yes", "no"]
# Prefix of the variables for a record's fields, in the template that renders all of them.
_FIELD = "rendered_"
# Time limit for one row. A normal row takes 25 to 70 microseconds.
ROW_SECONDS = 5.0
# If more rows than this reach the limit, the template is at fault, not the row.
SLOW_ROWS_ALLOWED = 3


def _assignment(variable: str, template: str) -> str:
    expression = single_expression(template)
    if expression is None:
        return f"{{% set {variable} %}}{template}{{% endset %}}"
    return f"{{% set {variable} = ({expression}) %}}"


class RowMapping:
    """A compiled `record:`."""

    def __init__(self, record: RecordMapping, kind: AnswerKind, where: str) -> None:
        """Compiles every template of the record.

        Args:
            record: The templates.
            kind: The answer kind, which decides which fields are required.
            where: `task/subtask`, for messages.

        Raises:
            CatalogError: A template is not valid Jinja.
        """
        self._kind = kind
        self._words = {"words": record.words} if record.words else {}
        self._place = where
        self._slow_rows = 0
        self._shuffle = record.shuffle
        self._each = record.each and compile_template(record.each, f"{where}: record.each")
        self._where = record.where and compile_template(record.where, f"{where}: record.where")
        self._renders: dict[str, Render] = {}
        assignments = []
        for name in RECORD_FIELDS:
            template = getattr(record, name)
            label = f"{where}: record.{name}"
            if isinstance(template, list):
                parts = [compile_template(part, label) for part in template]
                self._renders[name] = partial(_render_list, parts)
                parted = {f"{_FIELD}{name}_{i}": part for i, part in enumerate(template)}
                assignments += [_assignment(variable, part) for variable, part in parted.items()]
                assignments.append(f"{{% set {_FIELD}{name} = [{', '.join(parted)}] %}}")
            elif template is not None:
                self._renders[name] = compile_template(str(template), label)
                assignments.append(_assignment(f"{_FIELD}{name}", str(template)))
        whole = "".join(assignments)
        self._record = ENVIRONMENT.from_string(whole)
        if "detokenized" in whole:
            detokenizer()  # imports for seconds, which must not count towards a row's time limit

    def __call__(self, row: Mapping[str, Any]) -> Iterator[Content]:
        """Maps one raw row.

        Args:
            row: The raw row.

        Yields:
            The row's examples: one, or one per item of `each`; none if `where` is false.

        Raises:
            MappingError: A column is missing, the templates take more than `ROW_SECONDS`, or the
                result cannot be an example.
            CatalogError: More than `SLOW_ROWS_ALLOWED` rows took too long.
        """
        try:
            with time_limit(ROW_SECONDS):
                contents = list(self._contents(row))
        except TemplateTimeoutError:
            self._slow_rows += 1
            too_slow = f"record: the templates take more than {ROW_SECONDS:g} s on a row"
            if self._slow_rows > SLOW_ROWS_ALLOWED:
                raise CatalogError(
                    f"{self._place}: {too_slow}, as on {SLOW_ROWS_ALLOWED} rows before; check the "
                    "templates for loops and for regular expressions that backtrack"
                ) from None
            raise MappingError(too_slow) from None
        yield from contents

    def _contents(self, row: Mapping[str, Any]) -> Iterator[Content]:
        for scope in self._scopes(row):
            if self._where and not _evaluate("where", self._where, scope):
                continue
            yield self._fields(scope)

    def keeps(self, row: Mapping[str, Any]) -> bool:
        """Whether `where` keeps at least one example of a raw row; does not map the row.

        A row on which `where` or `each` fails or reaches the time limit is kept: mapping it reports
        the fault.
        """
        if not self._where:
            return True
        try:
            with time_limit(ROW_SECONDS):
                return any(_evaluate("where", self._where, scope) for scope in self._scopes(row))
        except (MappingError, TemplateTimeoutError):
            return True

    def _scopes(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The variables of each example of a row."""
        whole = {"row": row, **row, **self._words}
        if not self._each:
            return [whole]
        items = _evaluate("each", self._each, whole)
        if not isinstance(items, Iterable):
            raise MappingError(f"record.each: a list expected, found {type(items).__name__}")
        return [{**whole, "item": item, "index": i} for i, item in enumerate(items)]

    def _fields(self, scope: Mapping[str, Any]) -> Content:
        return to_fields(self._values(scope), self._kind, shuffle=self._shuffle)

    def _values(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """All fields, by one template: starting a template costs more than most expressions."""
        context = self._record.new_context(dict(scope))
        try:
            for _ in self._record.root_render_func(context):
                pass
        except Exception:  # noqa: BLE001 – rendered one by one, the error names the field
            return {name: _evaluate(name, r, scope) for name, r in self._renders.items()}
        value = {name: context.vars[_FIELD + name] for name in self._renders}
        for name, rendered in value.items():
            _defined(name, rendered)
        return value


def to_fields(value: Mapping[str, Any], kind: AnswerKind, *, shuffle: bool = False) -> Content:
    """Checks the fields that a mapping rendered, and completes them to a content.

    Args:
        value: Record field → rendered value.
        kind: The answer kind, which decides which fields are required.
        shuffle: Whether to reorder the choices by a hash of the question and the choices.

    Raises:
        MappingError: The fields cannot be an example.
    """
    question = _text("question", value["question"])
    if not question:
        raise MappingError("record.question renders to nothing")
    choices = _texts("choices", value.get("choices"), blanks=True)
    choices = choices or list(kind.policy.default_choices)
    answer, aliases, index = _answer(value, kind, choices)
    # Blank options (an unused fifth one, in some rows) are dropped last: the index counts them.
    nonblank = [place for place, choice in enumerate(choices) if choice]
    choices = [choices[place] for place in nonblank]
    index = None if index is None else nonblank.index(index)
    if shuffle and choices:
        order = list(range(len(choices)))
        random.Random(content_id(question, choices)).shuffle(order)  # noqa: S311 – no secret
        choices = [choices[i] for i in order]
        index = None if index is None else order.index(index)
    return Content(
        question=question,
        answer=answer,
        context=_text("context", value.get("context", "")),
        choices=choices,
        answer_index=index,
        aliases=aliases,
        solution=_text("solution", value.get("solution", "")),
        tests=_texts("tests", value.get("tests")),
    )


def _answer(
    value: Mapping[str, Any], kind: AnswerKind, choices: list[str]
) -> tuple[str, list[str], int | None]:
    rendered = value.get("answer")
    aliases = _texts("aliases", value.get("aliases"))
    index: int | None = None
    if isinstance(rendered, list):
        texts = list(dict.fromkeys(_texts("answer", rendered)))
        if not texts:
            raise MappingError("record.answer renders to an empty list")
        answer, aliases = texts[0], [*texts[1:], *aliases]
    elif isinstance(rendered, bool):
        position = 0 if rendered else 1
        answer = choices[position] if len(choices) == 2 else YES_NO[position]
    elif rendered is not None:
        answer = _text("answer", rendered)
    else:
        index = _index(value.get("answer_index"), choices)
        answer = choices[index]
    if not answer:
        raise MappingError("record.answer renders to nothing")
    if kind.selects:
        if sum(map(bool, choices)) < 2:
            raise MappingError(f"{kind.value} needs two choices or more, found {choices}")
        if index is None:
            if answer not in choices:
                raise MappingError(f"answer {answer!r} is not among the choices {choices}")
            index = choices.index(answer)
    if kind.policy.needs_tests and "tests" in value and not value["tests"]:
        raise MappingError("record.tests renders to nothing")
    return answer, [a for a in dict.fromkeys(aliases) if a != answer], index


def _render_list(parts: list[Render], row: Mapping[str, Any]) -> list[Any]:
    return [part(row) for part in parts]


def _evaluate(name: str, render: Render, scope: Mapping[str, Any]) -> Any:  # noqa: ANN401
    # A template may raise anything on an unknown row (a missing key, None instead of text). Such a
    # fault concerns only this row and must not stop the step.
    try:
        value = render(scope)
    except MappingError as error:
        raise MappingError(f"record.{name}: {error}") from error
    except Exception as error:
        raise MappingError(f"record.{name}: {type(error).__name__}: {error}") from error
    _defined(name, value)
    return value


def _defined(name: str, value: object) -> None:
    if isinstance(value, jinja2.Undefined):
        raise MappingError(f"record.{name}: {value._undefined_message}")


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and math.isnan(value):
        raise MappingError(f"record.{name}: text expected, found NaN")
    if isinstance(value, bool | int | float):
        return str(value)
    raise MappingError(f"record.{name}: text expected, found {type(value).__name__}")


def _texts(name: str, value: object, *, blanks: bool = False) -> list[str]:
    if value is None:
        return []
    if isinstance(value, Mapping | str) or not isinstance(value, Iterable):
        raise MappingError(f"record.{name}: a list expected, found {type(value).__name__}")
    return [text for text in (_text(name, item) for item in value) if text or blanks]


def _index(value: object, choices: list[str]) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value):  # `isdigit` accepts "²"
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise MappingError(f"record.answer_index: an integer expected, found {value!r}")
    if not 0 <= value < len(choices):
        raise MappingError(f"record.answer_index: {value} is outside the {len(choices)} choices")
    return value
