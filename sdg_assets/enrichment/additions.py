"""Runs all enrichments on a verified row, and adds what they wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from sdg_assets.enrichment.asking import as_declared, together
from sdg_assets.enrichment.base import Enrichment, EnrichmentContext
from sdg_assets.errors import PermanentError
from sdg_assets.records import Addition, EnrichedExample
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.prompts import Prompt


def additions(
    row: EnrichedExample, enrichments: Sequence[Enrichment], context: EnrichmentContext
) -> Work[dict[str, Mapping[str, Any]]]:
    """Runs every enrichment that wants a row, all of them at the same time.

    Args:
        row: A verified row.
        enrichments: From `enrichments()`.
        context: The context of the partition.

    Returns:
        Name of the enrichment → the fields that it adds.

    Raises:
        PermanentError: An enrichment uses a prompt that it does not declare.
    """
    works = {
        each.name: as_declared(
            each.ask(row, context),
            f"enrichment {each.name!r}",
            each.prompts_in(row.answer_kind, context),
        )
        for each in enrichments
        if each.role in context.teachers and each.is_wanted(row, context)
    }
    return (yield from together(works))


def with_additions(
    row: EnrichedExample,
    read: Mapping[str, str],
    added: Mapping[str, Mapping[str, Any]],
    enrichments: Sequence[Enrichment],
    context: EnrichmentContext,
    counts: Counter[str],
) -> EnrichedExample:
    """The row with what its votes and its enrichments added.

    Args:
        row: A verified row.
        read: Fields that were read from its votes; an enrichment may replace them.
        added: The result of `additions`, without the texts that a gate refused.
        enrichments: From `enrichments()`.
        context: The context of the partition.
        counts: The enrichments' counts for this row are added to it.

    Raises:
        PermanentError: An enrichment adds a field that a row cannot hold.
    """
    changes: dict[str, Any] = dict(read)
    others: list[Addition] = []
    for each in enrichments:
        fields = added.get(each.name)
        if fields is None:
            continue
        counts.update(each.numbers(fields))
        changes |= {column: fields[column] for column in each.columns & fields.keys()}
        rest = {field: value for field, value in fields.items() if field not in each.columns}
        if rest:
            prompts = [prompt for _, prompt in each.prompts_in(row.answer_kind, context)]
            others.append(_addition(each, rest, prompts, context))
    if others:
        changes["enrichments"] = sorted(others, key=lambda addition: addition.enrichment)
    return row.changed(changes)


def _addition(
    enrichment: Enrichment,
    fields: Mapping[str, Any],
    prompts: Sequence[Prompt],
    context: EnrichmentContext,
) -> Addition:
    try:
        return Addition(
            enrichment=enrichment.name,
            role=enrichment.role,
            teacher=context.teachers[enrichment.role].identity.stamp,
            prompt_versions=[prompt.version for prompt in prompts],
            fields=dict(fields),
            trained=[name for name in enrichment.trained if name in fields],
        )
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise PermanentError(
            f"enrichment {enrichment.name!r} adds {place or 'fields'}: {problem['msg']}"
        ) from error
