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
from sdg_assets.gates.duplicates import NAME
from sdg_assets.gates.licence import combined_use
from sdg_assets.signatures.shingles import exact_text
from sdg_assets.texts import TextStyle, render_texts


def curate(
    rows: Iterable[EnrichedExample],
    seed_use: Mapping[str, CommercialUse],
    teacher_use: Mapping[str, CommercialUse],
    style: TextStyle = "plain",
) -> Iterator[CuratedExample | Rejection]:
    """Turns verified rows of all partitions into what leaves.

    Args:
        rows: Rows of `filtered`, partition after partition.
        seed_use: Subtask → whether its seeds may be used commercially.
        teacher_use: Model → whether its outputs may; a model that is absent is unclear.
        style: Of the training texts.

    Yields:
        A `CuratedExample`, or a `Rejection` by gate `duplicates` when another partition holds it.
    """
    seen: dict[str, str] = {}
    for row in rows:
        if first := seen.get(key := exact_text(row)):
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
            text=render_texts(row, style),
        )
