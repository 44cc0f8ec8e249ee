"""Stage 2: raw rows of any shape become examples of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import CatalogError, MappingError
from sdg_assets.examples import Example, Rejection, Seed, content_id
from sdg_assets.mapping import Fields, RowMapping

MAPPING_GATE = "mapping"
Mapper = Callable[[Mapping[str, Any]], Iterable[Fields]]


def mapper_of(spec: SubtaskSpec) -> Mapper:
    """The task's `record:`, compiled.

    Raises:
        CatalogError: It has none, or one that is not valid Jinja.
    """
    if spec.record is None:
        raise CatalogError(f"{spec.where}: no `record:` mapping")
    return RowMapping(spec.record, spec.answer_kind, f"{spec.task}/{spec.key}")


def normalize(spec: SubtaskSpec, seeds: Iterable[Seed]) -> Iterator[Example | Rejection]:
    """Turns seeds into examples; a row is seeded once.

    Args:
        spec: The subtask.
        seeds: Its raw rows.

    Yields:
        An `Example` for each row (or each item of a row), or a `Rejection`: gate `mapping` when
        the record does not fit the row, `duplicates` when an earlier row says the same.

    Raises:
        CatalogError: The mapping fits no row at all; quotes the first three failures.
    """
    mapper = mapper_of(spec)
    seen: set[str] = set()
    failures: list[str] = []
    for seed in seeds:
        owner = spec.owner(seed.source.row)
        if owner != spec.key:
            yield Rejection(
                gate="duplicates",
                reason="seeded in another language",
                detail=owner,
                row=seed.model_dump(),
            )
            continue
        try:
            examples = [_example(spec, seed, fields) for fields in mapper(seed.row)]
        except MappingError as error:
            failures.append(f"row {seed.source.row}: {error}")
            yield Rejection(
                gate=MAPPING_GATE, reason="mapping", detail=str(error), row=seed.model_dump()
            )
            continue
        for example in examples:
            if example.id in seen:
                yield Rejection(gate="duplicates", reason="repeated seed", row=example.model_dump())
                continue
            seen.add(example.id)
            yield example
    if failures and not seen:
        raise CatalogError(
            f"{spec.where}: the mapping renders no example from {len(failures)} rows: "
            + "; ".join(failures[:3])
        )


def _example(spec: SubtaskSpec, seed: Seed, fields: Fields) -> Example:
    identity = (spec.task, spec.key, fields.context, fields.question, fields.choices, fields.answer)
    # `model_construct` skips validation that the mapping has just done: 4x rows a second.
    return Example.model_construct(
        id=content_id(*identity),
        task=spec.task,
        subtask=spec.key,
        family=spec.family,
        domain=spec.domain,
        language=spec.language,
        answer_kind=spec.answer_kind,
        source=seed.source,
        context=fields.context,
        question=fields.question,
        choices=fields.choices,
        answer=fields.answer,
        answer_index=fields.answer_index,
        aliases=fields.aliases,
        solution=fields.solution,
        tests=fields.tests,
    )
