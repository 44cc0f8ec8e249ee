"""Which mapping turns a subtask's raw rows into examples."""

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
    """The task's `record:`, compiled; lm-eval's own rendering where it has none.

    Raises:
        CatalogError: It is not valid Jinja; or lm-eval has no such leaf, or none that fits.
    """
    where = f"{spec.task}/{spec.key}"
    if spec.record is not None:
        return RowMapping(spec.record, spec.answer_kind, where)
    if spec.lm_eval is None:
        raise CatalogError(f"{spec.where}: neither `record:` nor an lm-eval leaf to render it by")
    return LmEvalMapping(spec.lm_eval, spec.answer_kind, where)
