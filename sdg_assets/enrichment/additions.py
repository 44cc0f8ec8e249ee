"""Runs all enrichments on a verified row."""

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


def with_additions(
    row: EnrichedExample,
    enrichments: Sequence[Enrichment],
    context: EnrichmentContext,
    counts: Counter[str],
) -> Work[EnrichedExample]:
    """Runs every enrichment that wants a row, all of them at the same time.

    Args:
        row: A verified row.
        enrichments: From `enrichments()`.
        context: The context of the partition.
        counts: The enrichments' counts for this row are added to it.

    Returns:
        The row with everything that was added.

    Raises:
        PermanentError: An enrichment uses a prompt that it does not declare, or adds a field that a
            row cannot hold.
    """
    used = {
        each.name: each
        for each in enrichments
        if each.role in context.teachers and each.is_wanted(row, context)
    }
    prompts = {
        name: each.prompts(row.answer_kind, context.judge_api) for name, each in used.items()
    }
    works = {
        name: as_declared(
            each.ask(row, context),
            f"enrichment {name!r}",
            [(each.role, prompt) for prompt in prompts[name]],
        )
        for name, each in used.items()
    }
    changes: dict[str, Any] = {}
    additions: list[Addition] = []
    for name, added in (yield from together(works)).items():
        each = used[name]
        counts.update(each.numbers(added))
        changes |= {column: added[column] for column in each.columns & added.keys()}
        rest = {field: value for field, value in added.items() if field not in each.columns}
        if rest:
            additions.append(_addition(each, rest, prompts[name], context))
    if additions:
        changes["enrichments"] = sorted(additions, key=lambda addition: addition.enrichment)
    return row.model_copy(update=changes)


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
