"""Stage 6: one release over all partitions – unique rows, training texts, licences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sdg_assets.examples import CommercialUse, CuratedExample, EnrichedExample, Rejection
from sdg_assets.gates import Gate, Refusal, first_refusals
from sdg_assets.gates.base import batches
from sdg_assets.gates.licence import combined_use
from sdg_assets.texts import TextStyle, render_texts

Partition = tuple[str, Iterable[EnrichedExample]]


def curate(
    partitions: Iterable[Partition],
    copies: Callable[[str], Mapping[int, Refusal]],
    gates: Callable[[str], Sequence[Gate]],
    seed_use: Mapping[str, CommercialUse],
    teacher_use: Mapping[str, CommercialUse],
    style: TextStyle = "plain",
) -> Iterator[CuratedExample | Rejection]:
    """Turns verified rows of all partitions into what leaves.

    Args:
        partitions: (name, rows of `filtered`), one after the other; a batch is in memory at a time.
        copies: Partition → place in it → the verdict on a row that another one is a copy of.
        gates: Partition → those that are applied again, as what they compare with may have
            changed.
        seed_use: Subtask → whether its seeds may be used commercially.
        teacher_use: Model → whether its outputs may; a model that is absent is unclear.
        style: Of the training texts.

    Yields:
        A `CuratedExample`, or a `Rejection`, in the order of the rows.
    """
    for name, rows in partitions:
        known, again, before = copies(name), gates(name), 0
        for batch in batches(rows):
            verdicts = {
                place: verdict
                for place in range(len(batch))
                if (verdict := known.get(before + place))
            }
            left = [place for place in range(len(batch)) if place not in verdicts]
            refused = first_refusals([batch[place] for place in left], again)
            verdicts |= {left[place]: refusal for place, refusal in refused.items()}
            before += len(batch)
            for place, row in enumerate(batch):
                if verdict := verdicts.get(place):
                    yield verdict.rejection(row)
                else:
                    yield _curated(row, seed_use, teacher_use, style)


def _curated(
    row: EnrichedExample,
    seed_use: Mapping[str, CommercialUse],
    teacher_use: Mapping[str, CommercialUse],
    style: TextStyle,
) -> CuratedExample:
    uses: list[CommercialUse] = [
        seed_use.get(row.subtask, "unclear"),
        teacher_use.get(row.teacher.model, "unclear"),
        teacher_use.get(row.solver.model, "unclear"),
    ]
    return CuratedExample(
        **dict(row),
        license=row.source.license,
        commercial_use=combined_use(uses),
        text=render_texts(row, style),
    )
