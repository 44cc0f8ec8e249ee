"""The contract of a gate: it tests rows and returns a refusal, with a reason, for each bad one.

To add a gate, write a module that exports one `GateSpec` as `GATE`, here or in another package
(entry point group `sdg_assets.gates`). Each special property of a gate is a field of its spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

from sdg_assets.errors import PermanentError
from sdg_assets.records import Example, Refusal, polars_schema
from sdg_assets.thresholds import OwnT

if TYPE_CHECKING:
    import polars as pl

    from sdg_assets.signatures.table import Signatures

RowT = TypeVar("RowT", bound=Example)
ROWS_PER_BATCH = 1024
COLUMNS = ("context", "question", "answer", "language", "answer_kind", "choices")


@dataclass(frozen=True)
class Batch(Generic[RowT]):
    """Rows that the gates test together, as records and as columns."""

    rows: Sequence[RowT]
    untested: frozenset[str] = frozenset(COLUMNS)
    """The fields that hold new texts. The gates have accepted the rows' other fields before, so a
    gate that tests fields one by one leaves those out."""
    _columns: dict[str, pl.Series] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows' texts, one column per field, for gates whose rule polars can express.

        Columns `context`, `question`, `answer`, `language`, `answer_kind`: String; `choices`:
        List(String). A lone surrogate, which UTF-8 cannot encode, becomes U+FFFD.
        """
        return self.columns(*COLUMNS)

    def columns(self, *names: str) -> pl.DataFrame:
        """Some columns of `frame`: a list of choices takes as long to convert as all other fields.

        Args:
            *names: Names from `COLUMNS`.
        """
        import polars as pl

        for name in names:
            if name not in self._columns:
                self._columns[name] = _column(name, [getattr(row, name) for row in self.rows])
        return pl.DataFrame([self._columns[name] for name in names])

    def without(self, positions: Iterable[int]) -> Batch[RowT]:
        """The batch without the rows at these positions."""
        dropped = set(positions)
        rows = [row for place, row in enumerate(self.rows) if place not in dropped]
        return Batch(rows, self.untested)


class Gate(Protocol):
    """Tests rows one by one. It is stateless: a refusal depends only on the row itself."""

    @property
    def name(self) -> str:
        """The gate's name in refusals."""
        ...

    def refusals(self, batch: Batch[Example], /) -> Mapping[int, Refusal]:
        """The refusal of each refused row, by the row's position in the batch."""
        ...


@dataclass(frozen=True)
class EachRow:
    """A gate whose rule looks at one row at a time."""

    name: str
    rule: Callable[[Example], Refusal | None]

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Applies the rule to every row."""
        verdicts = ((place, self.rule(row)) for place, row in enumerate(batch.rows))
        return {place: refusal for place, refusal in verdicts if refusal}


class SetGate(Protocol):
    """Collects all rows of a set, then says which ones it refuses, given all the others."""

    def add(self, rows: Sequence[Example], /) -> None:
        """Adds rows to the set."""
        ...

    def refusals(self) -> Mapping[int, Refusal]:
        """The refusal of each refused row, by the position at which the row was added."""
        ...


@runtime_checkable
class SigningGate(SetGate, Protocol):
    """A set gate that signs the accepted rows, so that nothing is hashed a second time."""

    def signatures(self) -> Signatures:
        """The signatures of the accepted rows, in the order in which they were added."""
        ...


class Point(StrEnum):
    """Where in the pipeline a gate applies."""

    SEED = "seed"
    """A dataset's own row, in `normalized`; a refused row does not become a seed."""
    DRAFT = "draft"
    """The writer's draft, as soon as it is read, in `generated`."""
    TEXT = "text"
    """A trace or background that was written for a row; it takes the place of the row's context."""
    ROW = "row"
    """A row of `enriched`, in `filtered`."""
    SET = "set"
    """All rows that every other gate accepts, together, in `filtered`."""


class Cost(StrEnum):
    """How expensive a gate is per row."""

    FIELDS = "fields"
    """Compares a few fields: microseconds."""
    TEXT = "text"
    """Reads every character of the row: tens of microseconds."""
    HASHES = "hashes"
    """Hashes the row's texts and looks up the hashes: hundreds of microseconds."""


@dataclass(frozen=True, kw_only=True)
class Reporting(Generic[OwnT]):
    """The findings of a gate that may report rows instead of refusing them."""

    finds: Gate
    """Names every row with a finding, whatever the thresholds say. The scores of its refusals are
    counts, which the check adds up."""
    is_report: Callable[[OwnT], bool]
    """Whether rows are reported only, not refused."""
    says: str
    """What the reported rows do, as it follows "12 of 40 rows": "hold personal data"."""
    advice: str
    """How to have such rows refused."""


@dataclass(frozen=True, kw_only=True)
class GateSpec(Generic[OwnT]):
    """Everything that the pipeline must know about a gate; a gate module exports one as `GATE`."""

    name: str
    """Its name in refusals, in the preview and on release cards: lower-case letters, digits, _."""
    rank: int
    """Its place in the order, cheapest gate first. Built-in gates have 10, 20, 30 …; gates of other
    packages can take the numbers between. Set gates always come after gates that test one row."""
    cost: Cost
    points: frozenset[Point]
    thresholds: type[OwnT]
    """The class of the thresholds that it owns; `NoThresholds` if it has none."""
    description: str
    """What is true of a partition whose check passes; Dagster shows this text."""
    build: Callable[[OwnT], Gate] | None = None
    """Builds the gate from its thresholds. None for a set gate, and for the one gate that needs the
    held-out index: the code that reads the index builds that gate and passes it in."""
    build_set: Callable[[Iterable[Example], OwnT], SetGate] | None = None
    """Builds the set gate from the partition's seeds, which can be read more than once; for
    `Point.SET` only."""
    checked_in: tuple[str, ...] = ()
    """Stages whose check says that the gate refuses no published row. A stage that applies the gate
    to seeds counts the seeds refused there, and tests no row twice."""
    check: str = ""
    """The name of that check; the gate's own name if empty."""
    reads: type[Example] = Example
    """The record type it needs: a gate that uses fields added in `enriched` reads
    `EnrichedExample`."""
    reporting: Reporting[OwnT] | None = None
    """For a gate that may report rows instead of refusing them: its check reports them as well."""
    counts_unread: bool = False
    """Whether its check also counts rows that could not become an example: see `checks.unread`."""
    is_passed_in: bool = False
    """Whether the code that opened what the gate needs (a model) builds it and passes it in. The
    gate is left out where nobody does, so no check can demand it."""
    recheck: Callable[[Signatures, OwnT], Mapping[int, Refusal]] | None = None
    """For a set gate: the refusals, by row position, computed from the published signatures, so
    that its check hashes nothing again. This gate comes last because it signs the accepted rows."""

    def __post_init__(self) -> None:
        """Rejects a spec that contradicts itself.

        Raises:
            PermanentError: The message says what is wrong.
        """
        for name in (self.name, self.check_name):
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise PermanentError(f"gate {name!r}: use lower-case letters, digits and _")
        if not self.points:
            raise PermanentError(f"gate {self.name}: `points` is empty; name where it applies")
        if self.reads is not Example and self.points - {Point.ROW, Point.SET}:
            raise PermanentError(
                f"gate {self.name}: seeds and drafts are no {self.reads.__name__}; use only "
                "the points `row` and `set`"
            )
        is_over_set = self.points == {Point.SET}
        if is_over_set != (self.build_set is not None) or (Point.SET in self.points) != is_over_set:
            raise PermanentError(
                f"gate {self.name}: the point `set` needs `build_set` and cannot be combined with "
                "another point"
            )

    @property
    def check_name(self) -> str:
        """The name of its check."""
        return self.check or self.name

    @property
    def needs_heldout(self) -> bool:
        """Whether the gate is built by the code that reads the held-out index."""
        return self.build is None and self.build_set is None and not self.is_passed_in

    @property
    def place(self) -> tuple[bool, bool, int, str]:
        """Sort key: row gates, set gates, the gate that signs; then by rank and name."""
        return Point.SET in self.points, self.recheck is not None, self.rank, self.name


def first_refusals(
    rows: Sequence[Example],
    gates: Iterable[Gate],
    untested: Iterable[str] = COLUMNS,
) -> dict[int, Refusal]:
    """Puts rows through the gates in order; a refused row goes no further.

    Args:
        rows: Any number of rows; they are tested together.
        gates: The gates, cheapest first; a later gate never sees a row that an earlier one refused.
        untested: The fields that hold new texts, see `Batch.untested`.

    Returns:
        Position of a refused row → the refusal of the first gate that refused it.
    """
    batch, places = Batch(rows, frozenset(untested)), list(range(len(rows)))
    verdicts: dict[int, Refusal] = {}
    for gate in gates:
        if not batch.rows:
            break
        if refused := gate.refusals(batch):
            verdicts |= {places[place]: refusal for place, refusal in refused.items()}
            batch = batch.without(refused)
            places = [p for place, p in enumerate(places) if place not in refused]
    return verdicts


def true_places(column: pl.Series) -> list[int]:
    """Where a column of Booleans is true; `arg_true` takes ten times as long for a few rows."""
    places: list[int] = column.to_numpy().nonzero()[0].tolist()
    return places


def _column(name: str, values: list[object]) -> pl.Series:
    import polars as pl

    kind = _column_types()[name]
    try:
        return pl.Series(name, values, kind)
    except UnicodeEncodeError:
        return pl.Series(name, [_encodable(value) for value in values], kind)


@cache
def _column_types() -> dict[str, pl.DataType]:
    return polars_schema(Example)


def _encodable(value: object) -> object:
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
