"""A verified row with what every enrichment adds to it."""

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
    """Asks every enrichment that wants a row, side by side.

    Args:
        row: A verified row.
        enrichments: From `enrichments()`.
        context: Of the partition.
        counts: What the enrichments count is added to it.

    Returns:
        The row with all that was added.

    Raises:
        PermanentError: An enrichment asks with a prompt that it does not declare, or adds what no
            row can hold.
    """
    asked = {
        each.name: each
        for each in enrichments
        if each.role in context.teachers and each.is_wanted(row, context)
    }
    prompts = {
        name: each.prompts(row.answer_kind, context.judge_api) for name, each in asked.items()
    }
    works = {
        name: as_declared(
            each.ask(row, context),
            f"enrichment {name!r}",
            [(each.role, prompt) for prompt in prompts[name]],
        )
        for name, each in asked.items()
    }
    changes: dict[str, Any] = {}
    additions: list[Addition] = []
    for name, added in (yield from together(works)).items():
        each = asked[name]
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
        what = error.errors()[0]
        place = ".".join(str(part) for part in what["loc"])
        raise PermanentError(
            f"enrichment {enrichment.name!r} adds {place or 'fields'}: {what['msg']}"
        ) from error
