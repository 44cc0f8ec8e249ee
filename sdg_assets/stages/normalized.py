"""Stage 2: maps raw rows of any shape to examples of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from more_itertools import chunked

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import CatalogError, MappingError
from sdg_assets.gates import Gate, first_refusals
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.mapping.mapper import mapper_of
from sdg_assets.records import Content, Example, Rejection, Seed, content_id

MAPPING_GATE = "mapping"
DUPLICATES_GATE = "duplicates"


def normalize(
    spec: SubtaskSpec,
    seeds: Iterable[Seed],
    seeded_elsewhere: Callable[[Example], str | None] | None = None,
) -> Iterator[Example | Rejection]:
    """Maps seeds to examples and refuses repeated ones.

    Args:
        spec: The subtask.
        seeds: The subtask's raw rows.
        seeded_elsewhere: For a task with `overlaps`: returns the other task that seeds a row, or
            None.

    Yields:
        An `Example` for each row (or each item of a row), or a `Rejection`: by gate `mapping` if
        the mapping does not fit the row, by `duplicates` if an earlier row, another task or another
        language seeds it.

    Raises:
        CatalogError: The mapping fits no row at all. The message quotes the first three failures.
    """
    mapper = mapper_of(spec)
    seen: set[int] = set()
    failed = 0
    failures: list[str] = []
    for seed in seeds:
        owner = spec.owner(seed.source.row)
        if owner != spec.key:
            yield Rejection(
                gate=DUPLICATES_GATE,
                reason="seeded in another language",
                detail=owner,
                row=seed.model_dump(),
            )
            continue
        try:
            examples = [_example(spec, seed, fields) for fields in mapper(seed.row)]
        except MappingError as error:
            failed += 1
            if failed <= 3:
                failures.append(f"row {seed.source.row}: {error}")
            yield Rejection(
                gate=MAPPING_GATE, reason="mapping", detail=str(error), row=seed.model_dump()
            )
            continue
        for example in examples:
            # 64 of the id's 80 bits, as an integer: half the memory of the text.
            digest = int(example.id[:16], 16)
            reason = "repeated seed" if digest in seen else None
            if reason is None and seeded_elsewhere and (other := seeded_elsewhere(example)):
                reason = f"seeded by {other}"
            seen.add(digest)
            if reason is None:
                yield example
            else:
                yield Rejection(gate=DUPLICATES_GATE, reason=reason, row=example.model_dump())
    if failures and not seen:
        raise CatalogError(
            f"{spec.where}: the mapping renders no example from {failed} rows: "
            + "; ".join(failures)
        )


def without_refused(
    rows: Iterable[Example | Rejection], gates: Sequence[Gate]
) -> Iterator[Example | Rejection]:
    """Refuses the examples that are malformed or repeat a held-out row.

    Real datasets have malformed rows: in a Basque dataset, one row in ten has U+FFFD in place of
    letters. The stage's checks limit how many rows may be refused.

    Args:
        rows: The results of `normalize`.
        gates: The gates for seeds, from `gates.seed_gates`.

    Yields:
        Each row, or its `Rejection` by the first gate that refused it. Rows that `normalize`
        rejected pass through.
    """
    for batch in chunked(rows, ROWS_PER_BATCH):
        examples = [row for row in batch if isinstance(row, Example)]
        refused = first_refusals(examples, gates)
        refusals = iter([refused.get(place) for place in range(len(examples))])
        for row in batch:
            refusal = next(refusals) if isinstance(row, Example) else None
            yield refusal.rejection(row) if refusal and isinstance(row, Example) else row


def _example(spec: SubtaskSpec, seed: Seed, fields: Content) -> Example:
    identity = (spec.task, spec.key, fields.context, fields.question, fields.choices, fields.answer)
    # `model_construct` skips the validation that the mapping has just done: 4 times faster.
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
