"""Stage 6: one release over all partitions – unique rows, training texts, licences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from sdg_assets.gates.licence import Terms, commercial_use, contributions, row_licence
from sdg_assets.records import CommercialUse, CuratedExample, EnrichedExample, Refusal, Rejection
from sdg_assets.stages.gate_refusals import Partition
from sdg_assets.stages.relicensed import CurrentLicences
from sdg_assets.texts import TextStyle, render_texts


def curate(
    partitions: Iterable[Partition],
    copies: Callable[[str], Mapping[int, Refusal]],
    refused: Callable[[str], Mapping[int, Refusal]],
    seed_use: Mapping[str, CommercialUse],
    terms: Mapping[str, Terms],
    style: TextStyle = "plain",
    *,
    share_alike: bool = True,
    licences: CurrentLicences | None = None,
) -> Iterator[CuratedExample | Rejection]:
    """Turns the rows of all partitions into the rows of a release.

    Args:
        partitions: (name, rows of `filtered`), one after the other.
        copies: Returns, for a partition, the refusal of each row that is a copy of a released row,
            by position.
        refused: Returns the same for the rows that the release's gates refuse, see `GateRefusals`.
        seed_use: Subtask → whether its seeds may be used commercially.
        terms: Model → the terms of its licence for outputs. A missing model's terms are unknown.
        style: The style of the training texts.
        share_alike: Whether the commercial subset has rows of share-alike seeds.
        licences: What catalog and cards state today; counts the rows that were made under other
            licences. None: rows keep their stamps.

    Yields:
        A `CuratedExample` or a `Rejection` for each row, in the order of the rows.
    """
    licences = licences or CurrentLicences({}, {})
    for name, rows in partitions:
        by_gates, as_copies = refused(name), copies(name)
        for place, row in enumerate(rows):
            if refusal := by_gates.get(place) or as_copies.get(place):
                yield refusal.rejection(row)
            else:
                yield _curated(row, licences, seed_use, terms, style, share_alike)


def _curated(
    row: EnrichedExample,
    licences: CurrentLicences,
    seed_use: Mapping[str, CommercialUse],
    terms: Mapping[str, Terms],
    style: TextStyle,
    share_alike: bool,
) -> CuratedExample:
    row, corrections = licences.current(row)
    written_by = contributions(row, terms)
    seeds = seed_use.get(row.subtask, "unclear")
    use, reasons = commercial_use(row, seeds, written_by, share_alike=share_alike)
    wrote = {part.model for part in written_by}
    forbidden = [
        reason
        for corrected in corrections
        if corrected.what == "dataset" or corrected.name in wrote
        if (reason := corrected.still_forbids(share_alike=share_alike))
    ]
    return CuratedExample(
        **dict(row),
        license=row_licence(row),
        written_by=written_by,
        commercial_use="no" if forbidden else use,
        not_commercial=[*reasons, *forbidden],
        text=render_texts(row, style),
    )
