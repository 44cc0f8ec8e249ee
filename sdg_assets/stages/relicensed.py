"""Rows that were made under a licence that the catalog or a teacher's card no longer states.

A row carries the licences of its making. Where one was corrected since, the release states the
corrected one: with the old stamps, rows of a dataset that turned out to be share-alike stayed in a
commercial subset that leaves share-alike out, and said MIT. What the old licence forbids stays
forbidden until the rows are made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sdg_assets.catalog.licences import licences
from sdg_assets.records import EnrichedExample, TeacherStamp


@dataclass(frozen=True, order=True)
class Relicensed:
    """A licence that was corrected after rows had been made."""

    what: Literal["dataset", "teacher"]
    name: str
    """The dataset, or the model."""
    before: str
    """The licence with which rows were stamped."""
    now: str
    """The licence that the catalog or the card states."""

    def still_forbids(self, *, share_alike: bool) -> str:
        """Why rows that were made under the earlier licence are not for commercial use; or "".

        Args:
            share_alike: Whether rows of share-alike seeds count as usable.
        """
        read = licences()
        licence = (read.of_data if self.what == "dataset" else read.of_model)(self.before)
        who = f"{self.what} {self.name}, made under {self.before}"
        if licence.forbids_commercial_use:
            return f"{who}: commercial use: no"
        if self.what == "dataset" and "share_alike" in licence.asks and not share_alike:
            return f"{who}: commercial use without sharing alike: no"
        return ""


class CurrentLicences:
    """Stamps rows with the licences of today, and counts the rows that had others."""

    def __init__(self, seeds: Mapping[str, str], models: Mapping[str, str]) -> None:
        """Has counted nothing.

        Args:
            seeds: Subtask → the licence that the catalog states.
            models: Model → the licence that its card states. A model without a card keeps its
                stamps.
        """
        self._seeds = seeds
        self._models = models
        self.rows: Counter[Relicensed] = Counter()
        """Corrected licence → the rows that were made under the earlier one."""

    def current(self, row: EnrichedExample) -> tuple[EnrichedExample, list[Relicensed]]:
        """The row with the licences of today, and the corrections that it needed."""
        corrections = sorted({*self._corrections(row)})
        if not corrections:
            return row, corrections
        self.rows.update(corrections)
        return self._restamped(row), corrections

    def _corrections(self, row: EnrichedExample) -> Iterator[Relicensed]:
        now = self._of_seeds(row)
        if now != row.source.license:
            yield Relicensed("dataset", row.source.dataset, row.source.license, now)
        for stamp in _stamps(row):
            now = self._models.get(stamp.model, stamp.license)
            if now != stamp.license:
                yield Relicensed("teacher", stamp.model, stamp.license, now)

    def _of_seeds(self, row: EnrichedExample) -> str:
        return self._seeds.get(row.subtask, row.source.license)

    def _restamped(self, row: EnrichedExample) -> EnrichedExample:
        def stamped(stamp: TeacherStamp) -> TeacherStamp:
            licence = self._models.get(stamp.model, stamp.license)
            return stamp.model_copy(update={"license": licence})

        judge, equivalence = row.judge, row.equivalence
        return row.model_copy(
            update={
                "source": row.source.model_copy(update={"license": self._of_seeds(row)}),
                "teacher": stamped(row.teacher),
                "solver": stamped(row.solver),
                "judge": judge and judge.model_copy(update={"judge": stamped(judge.judge)}),
                "equivalence": equivalence
                and equivalence.model_copy(update={"verifier": stamped(equivalence.verifier)}),
                "probe": row.probe and stamped(row.probe),
                "enrichments": [
                    added.model_copy(update={"teacher": stamped(added.teacher)})
                    for added in row.enrichments
                ],
            }
        )


def _stamps(row: EnrichedExample) -> Iterator[TeacherStamp]:
    yield row.teacher
    yield row.solver
    if row.judge:
        yield row.judge.judge
    if row.equivalence:
        yield row.equivalence.verifier
    if row.probe:
        yield row.probe
    for added in row.enrichments:
        yield added.teacher
