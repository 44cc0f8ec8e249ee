"""Stage 6: one release over all partitions – unique rows, training texts, licences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sdg_assets.gates import Gate, first_refusals
from sdg_assets.gates.base import batches
from sdg_assets.gates.licence import Terms, commercial_use, contributions
from sdg_assets.records import CommercialUse, CuratedExample, EnrichedExample, Refusal, Rejection
from sdg_assets.texts import TextStyle, render_texts

Partition = tuple[str, Iterable[EnrichedExample]]


def curate(
    partitions: Iterable[Partition],
    copies: Callable[[str], Mapping[int, Refusal]],
    gates: Callable[[str], Sequence[Gate]],
    seed_use: Mapping[str, CommercialUse],
    terms: Mapping[str, Terms],
    style: TextStyle = "plain",
) -> Iterator[CuratedExample | Rejection]:
    """Turns verified rows of all partitions into what leaves.

    Args:
        partitions: (name, rows of `filtered`), one after the other; a batch is in memory at a time.
        copies: Partition → place in it → the verdict on a row that another one is a copy of.
        gates: Partition → those that are applied again, as what they compare with may have
            changed.
        seed_use: Subtask → whether its seeds may be used commercially.
        terms: Model → what its licence says of its outputs; of an absent one nothing is known.
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
                    yield _curated(row, seed_use, terms, style)


def _curated(
    row: EnrichedExample,
    seed_use: Mapping[str, CommercialUse],
    terms: Mapping[str, Terms],
    style: TextStyle,
) -> CuratedExample:
    written_by = contributions(row, terms)
    use, reasons = commercial_use(row, seed_use.get(row.subtask, "unclear"), written_by)
    return CuratedExample(
        **dict(row),
        license=row.source.license,
        written_by=written_by,
        commercial_use=use,
        not_commercial=reasons,
        text=render_texts(row, style),
    )
