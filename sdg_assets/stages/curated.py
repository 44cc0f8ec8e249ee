"""Stage 6: one release over all partitions – unique rows, training texts, licences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sdg_assets.examples import (
    CommercialUse,
    CuratedExample,
    EnrichedExample,
    Rejection,
)
from sdg_assets.gates import Refusal
from sdg_assets.gates.duplicates import NAME, duplicate_key
from sdg_assets.gates.licence import combined_use

VARIANTS = ("answer_only", "with_reasoning", "with_context")


def curate(
    rows: Iterable[EnrichedExample],
    seed_use: Mapping[str, CommercialUse],
    teacher_use: Mapping[str, CommercialUse],
) -> Iterator[CuratedExample | Rejection]:
    """Turns verified rows of all partitions into what leaves.

    Args:
        rows: Rows of `filtered`, partition after partition.
        seed_use: Subtask → whether its seeds may be used commercially.
        teacher_use: Model → whether its outputs may; a model that is absent is unclear.

    Yields:
        A `CuratedExample`, or a `Rejection` by gate `duplicates` when another partition holds it.
    """
    seen: dict[str, str] = {}
    for row in rows:
        if first := seen.get(key := duplicate_key(row)):
            yield Refusal(NAME, "exact duplicate", first).rejection(row)
            continue
        seen[key] = row.id
        yield CuratedExample(
            **dict(row),
            license=row.source.license,
            commercial_use=combined_use(
                [
                    seed_use.get(row.subtask, "unclear"),
                    teacher_use.get(row.teacher.model, "unclear"),
                    teacher_use.get(row.solver.model, "unclear"),
                ]
            ),
            text=render_texts(row),
        )


def render_texts(row: EnrichedExample) -> dict[str, str]:
    """The row as pretraining text, one a variant; a variant whose part is missing is left out.

    Plain text without chat markup. `with_context` is the variant that gave the method's gain.
    """
    question = _question(row)
    answer = f"Answer: {row.answer}"
    texts = {"answer_only": f"{question}\n\n{answer}"}
    if row.reasoning:
        texts["with_reasoning"] = f"{question}\n\n{_reasoning(row)}"
    if row.knowledge:
        closing = _reasoning(row) if row.reasoning else answer
        texts["with_context"] = f"{row.knowledge}\n\n{question}\n\n{closing}"
    return texts


def _question(row: EnrichedExample) -> str:
    parts = [row.context] if row.context else []
    parts.append(row.question)
    if row.answer_kind.selects:
        parts.append("\n".join(f"- {choice}" for choice in row.choices))
    if row.tests:
        parts.append("\n".join(row.tests))
    return "\n\n".join(parts)


def _reasoning(row: EnrichedExample) -> str:
    """The trace, which ends in the answer already or has it put behind."""
    ends = row.reasoning.rstrip().splitlines()[-1] if row.reasoning.strip() else ""
    if row.answer in ends:
        return row.reasoning
    return f"{row.reasoning}\n\nAnswer: {row.answer}"
