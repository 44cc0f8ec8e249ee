"""Renders rows of a task without `record:` with lm-eval's own `doc_to_*` settings.

Uses only the YAML and the functions that it names. A task object of lm-eval would download the
dataset and its metrics. Templates are compiled once; lm-eval compiles them again for every row.
"""

from __future__ import annotations

import ast
import random
import re
import string
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from sdg_assets.catalog.templates import compile_template
from sdg_assets.errors import CatalogError, MappingError
from sdg_assets.mapping.record import to_fields
from sdg_assets.records import AnswerKind, Content, content_id

_RENDERING = ("doc_to_text", "doc_to_target", "doc_to_choice", "process_docs")
_TASK_NAME = re.compile(r"""^"?task"?:[ \t]*["']?([^"'\n#]+?)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)
# Words that lm-eval puts around a question for base models: "Question: …\nAnswer:".
_LEADING_CUE = re.compile(r"\A(?:Question|Q)\s*:\s*")
_TRAILING_CUE = re.compile(r"\n[^\n:：]{1,20}[:：]\s*\Z")
_LABEL = re.compile(r"\(?([A-Za-z]|\d)[).:]?\Z")


class LmEvalMapping:
    """Maps raw rows as a leaf task of lm-eval renders them."""

    def __init__(self, leaf: str, kind: AnswerKind, where: str) -> None:
        """Reads the leaf's YAML and compiles it.

        Args:
            leaf: The leaf's name in lm-eval.
            kind: The answer kind, which decides which fields are required.
            where: `task/subtask`, for messages.

        Raises:
            CatalogError: There is no such leaf, or it does not render the question, the option
                texts or the answer separately; such a task needs a `record:`.
        """
        self._kind = kind
        self._refuse = f"{where}: lm-eval's {leaf} cannot be rendered as it is:"
        config = declared_rendering(leaf, where)
        for name in ("doc_to_text", "doc_to_target"):
            if config.get(name) in (None, ""):
                raise CatalogError(f"{self._refuse} {name} is empty; write a `record:`")
        if kind.selects and config.get("doc_to_choice") is None:
            raise CatalogError(f"{self._refuse} it has no doc_to_choice; write a `record:`")
        self._process = config.get("process_docs")
        self._question = self._renderer("doc_to_text", config["doc_to_text"])
        self._target = self._renderer("doc_to_target", config["doc_to_target"])
        choice = config.get("doc_to_choice")
        if isinstance(choice, dict):
            choice = list(choice.values())
        if isinstance(choice, list) and are_labels(choice, numerals=True):
            raise CatalogError(
                f"{self._refuse} its choices are the labels {choice}, and the option texts are "
                "part of the question; write a `record:`"
            )
        self._choices = None if choice is None else self._renderer("doc_to_choice", choice)

    def __call__(self, row: Mapping[str, Any]) -> Iterator[Content]:
        """Renders one raw row.

        Args:
            row: The raw row.

        Yields:
            The row's example; none or several, depending on the leaf's `process_docs`.

        Raises:
            MappingError: lm-eval's rendering fails, or its result cannot be an example.
        """
        try:
            rendered = [self._value(doc) for doc in self._processed(row)]
        except MappingError:
            raise
        except Exception as error:
            # lm-eval's code may raise anything on an unknown row. The fault is this row's only.
            raise MappingError(f"lm-eval: {type(error).__name__}: {error}") from error
        for value in rendered:
            yield to_fields(value, self._kind)

    def _processed(self, row: Mapping[str, Any]) -> list[Any]:
        if self._process is None:
            return [row]
        state = random.getstate()
        # Some leaves shuffle the options here, but a row must give the same example in every run.
        random.seed(content_id(row))
        try:
            return list(self._process(_Rows([dict(row)])))
        finally:
            random.setstate(state)

    def _value(self, doc: Mapping[str, Any]) -> dict[str, Any]:
        question = self._question(doc)
        if not isinstance(question, str):
            raise MappingError("lm-eval: the text depends on the option; write a `record:`")
        question = _TRAILING_CUE.sub("", _LEADING_CUE.sub("", question))
        target = _literal(self._target(doc))
        if self._choices is None:
            return {"question": question, "answer": target}
        choices = [str(choice) for choice in _literal(self._choices(doc))]
        if are_labels(choices):
            raise MappingError(f"lm-eval: the choices are the labels {choices}; write a `record:`")
        if isinstance(target, str) and target.isdigit():
            target = int(target)
        key = "answer_index" if isinstance(target, int) else "answer"
        return {"question": question, "choices": choices, key: target}

    def _renderer(self, name: str, declared: Any) -> Callable[[Mapping[str, Any]], Any]:  # noqa: ANN401
        if callable(declared):
            rendered: Callable[[Mapping[str, Any]], Any] = declared
            return rendered
        if not isinstance(declared, str):
            return lambda _doc: declared
        template = compile_template(declared, f"{self._refuse} {name}")
        return lambda doc: doc[declared] if declared in doc else template(doc)


def declared_rendering(leaf: str, where: str) -> dict[str, Any]:
    """The rendering settings of a leaf's YAML, with its `!function`s imported.

    Args:
        leaf: The leaf's name in lm-eval.
        where: `task/subtask`, for messages.

    Returns:
        Setting (`doc_to_text`, …) → its value in the YAML; settings that it lacks are left out.

    Raises:
        CatalogError: There is no such leaf, it is written in Python, or one of its functions
            cannot be imported.
    """
    file = _yaml_files().get(leaf)
    if file is None:
        raise CatalogError(f"{where}: lm-eval has no task {leaf!r}")
    from lm_eval.tasks._yaml_loader import _import_fun_from_str, load_yaml

    config = load_yaml(file, resolve_func=False)
    if "class" in config:
        raise CatalogError(f"{where}: lm-eval's {leaf} is written in Python; write a `record:`")
    declared = {name: config[name] for name in _RENDERING if name in config}
    for name, value in declared.items():
        # Before it is imported, a function is a text: the path of its file, and its name.
        if isinstance(value, str) and value.startswith(f"{_tasks_directory()}/"):
            try:
                with _shims():
                    declared[name] = _import_fun_from_str(value)
            except Exception as error:
                raise CatalogError(
                    f"{where}: lm-eval's {leaf}: {value} does not import: "
                    f"{type(error).__name__}: {error}; write a `record:`"
                ) from error
    return declared


def are_labels(choices: list[Any], *, numerals: bool = False) -> bool:
    """Whether the choices are just labels in order: A B C, (a) (b).

    Args:
        choices: The choices.
        numerals: Whether 0 1 2 and (1) (2) count as labels. In a row they may be real options.
    """
    matches = [_LABEL.match(str(choice).strip()) for choice in choices]
    labels = [match[1].upper() for match in matches if match]
    orders = [string.ascii_uppercase]
    if numerals:
        orders += [string.digits, string.digits[1:]]
    return len(labels) == len(choices) > 0 and any(
        labels == list(order[: len(labels)]) for order in orders
    )


class _Rows(list[dict[str, Any]]):
    """One raw row as a dataset, with the methods of `datasets.Dataset` that `process_docs` call."""

    def map(self, function: Callable[..., Any], **options: Any) -> _Rows:  # noqa: ANN401
        dropped = options.pop("remove_columns", None) or ()
        if options.keys() - {"num_proc", "load_from_cache_file", "desc"}:
            raise MappingError(f"lm-eval: process_docs maps with {sorted(options)}")
        kept = [{k: v for k, v in row.items() if k not in dropped} for row in self]
        return _Rows({**rest, **function(row)} for rest, row in zip(kept, self, strict=True))

    def filter(self, keeps: Callable[..., bool], **_options: Any) -> _Rows:  # noqa: ANN401
        return _Rows(row for row in self if keeps(row))


def _literal(value: object) -> Any:  # noqa: ANN401 – any Python literal
    """Parses a list that lm-eval rendered as text; other values come back unchanged."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return value


def _tasks_directory() -> Path:
    spec = find_spec("lm_eval")
    if spec is None or spec.origin is None:
        raise CatalogError("lm-eval is not installed; install lm-eval, or write a `record:`")
    return Path(spec.origin).parent / "tasks"


@lru_cache(maxsize=1)
def _yaml_files() -> dict[str, Path]:
    """Leaf → its file. lm-eval's own index parses each of 14 000 files; a search is faster."""
    files: dict[str, Path] = {}
    for file in sorted(_tasks_directory().rglob("*.yaml")):
        if name := _TASK_NAME.search(file.read_text("utf-8")):
            files.setdefault(name[1], file)
    return files


@contextmanager
def _shims() -> Iterator[None]:
    """Lets a leaf's helper modules be imported without loading metrics or exiting the process."""
    import datasets

    shimmed = sys.modules.get("evaluate"), sys.exit, getattr(datasets, "load_metric", None)
    before = set(sys.modules)
    sys.modules["evaluate"] = MagicMock()
    sys.exit = MagicMock()
    datasets.load_metric = MagicMock()
    try:
        yield
    finally:
        evaluate, sys.exit, load_metric = shimmed
        if evaluate is None:
            del sys.modules["evaluate"]
        else:
            sys.modules["evaluate"] = evaluate
        if load_metric is None:
            del datasets.load_metric
        # A later evaluation in this process must not get helper modules that hold a shim.
        for name in set(sys.modules) - before:
            if name.startswith("lm_eval.tasks."):
                del sys.modules[name]
