"""Selects the mapping that turns a subtask's raw rows into examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import CatalogError
from sdg_assets.mapping.lm_eval import LmEvalMapping
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import Content

Mapper = Callable[[Mapping[str, Any]], Iterable[Content]]


def mapper_of(spec: SubtaskSpec) -> Mapper:
    """The task's compiled `record:`; lm-eval's own rendering if the task has none.

    Raises:
        CatalogError: The record is not valid Jinja; or lm-eval has no such leaf, or cannot render
            rows with it.
    """
    where = f"{spec.task}/{spec.key}"
    if spec.record is not None:
        return RowMapping(spec.record, spec.answer_kind, where)
    if spec.lm_eval is None:
        raise CatalogError(
            f"{spec.where}: neither `record:` nor an lm-eval leaf to render its rows"
        )
    return LmEvalMapping(spec.lm_eval, spec.answer_kind, where)
