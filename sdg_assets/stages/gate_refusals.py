"""The rows of a release that its gates refuse, found before its duplicates are.

A row is a duplicate of a better one only if that one is released. When duplicates were searched
first, the better of two rows could be refused afterwards, and its copy was lost with it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from more_itertools import chunked
from pydantic import Field

from sdg_assets.gates import Gate, first_refusals
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.records import EnrichedExample, Record, Refusal
from sdg_assets.store.row_file import RowFile

Partition = tuple[str, Iterable[EnrichedExample]]


class GateRefusals:
    """What the gates refuse. Memory holds 12 bytes a refused row; the reasons lie on disk."""

    def __init__(
        self, partitions: Iterable[Partition], gates: Callable[[str], Sequence[Gate]]
    ) -> None:
        """Puts all rows through the gates.

        Args:
            partitions: (name, rows of `filtered`), one after the other. One batch is in memory at a
                time.
            gates: Returns, for a partition, the gates to apply once more, because the data that
                they compare with may have changed.

        Raises:
            StoreError: The disk for temporary files is full.
        """
        self._reasons = RowFile(_Reason)
        self._starts: dict[str, int] = {}
        self.places: dict[str, array[int]] = {}
        """Partition → the positions of its refused rows, ascending."""
        for name, rows in partitions:
            partition_gates, start = gates(name), 0
            self._starts[name], self.places[name] = len(self._reasons), array("I")
            for batch in chunked(rows, ROWS_PER_BATCH):
                refused = sorted(first_refusals(batch, partition_gates).items())
                self.places[name].extend(start + place for place, _ in refused)
                self._reasons.extend(_Reason.of(refusal) for _, refusal in refused)
                start += len(batch)

    def of(self, partition: str) -> Mapping[int, Refusal]:
        """The refusals of a partition, by row position."""
        return _Refusals(self.places[partition], self._starts[partition], self._reasons)


class _Reason(Record):
    """A `Refusal` in a file."""

    gate: str
    reason: str
    detail: str
    scores: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def of(cls, refusal: Refusal) -> _Reason:
        return cls(
            gate=refusal.gate,
            reason=refusal.reason,
            detail=refusal.detail,
            scores=dict(refusal.scores),
        )


class _Refusals(Mapping[int, Refusal]):
    """The refusals of a partition, read one by one."""

    def __init__(self, places: Sequence[int], start: int, reasons: Sequence[_Reason]) -> None:
        self._places = places
        self._start = start
        self._reasons = reasons

    def __getitem__(self, place: int) -> Refusal:
        index = bisect_left(self._places, place)
        if index == len(self._places) or self._places[index] != place:
            raise KeyError(place)
        return Refusal(**dict(self._reasons[self._start + index]))

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
