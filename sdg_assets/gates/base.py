"""A gate tests rows; a verdict is why it refused one. What a module in `gates/` declares as `GATE`.

A gate is added by a module that exports one `GateSpec` as `GATE`, here or in another package (entry
point group `sdg_assets.gates`). Everything that is special about a gate is a field of its spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

from sdg_assets.errors import PermanentError
from sdg_assets.records import Example, Refusal, polars_schema
from sdg_assets.thresholds import OwnT

if TYPE_CHECKING:
    import polars as pl

    from sdg_assets.signatures.table import Signatures

RowT = TypeVar("RowT", bound=Example)
ItemT = TypeVar("ItemT")
ROWS_PER_BATCH = 1024
COLUMNS = ("context", "question", "answer", "language", "answer_kind", "choices")


@dataclass(frozen=True)
class Batch(Generic[RowT]):
    """Rows that go through the gates together, as records and as columns."""

    rows: Sequence[RowT]

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows' texts: one column a field, for gates whose rule polars can express.

        Columns `context`, `question`, `answer`, `language`, `answer_kind`: String; `choices`:
        List(String). A lone surrogate, for which UTF-8 has no form, stands as U+FFFD.
        """
        import polars as pl

        schema = {name: kind for name, kind in polars_schema(Example).items() if name in COLUMNS}
        columns = {name: [getattr(row, name) for row in self.rows] for name in schema}
        try:
            return pl.DataFrame(columns, schema=schema)
        except UnicodeEncodeError:
            return pl.DataFrame(_encodable(columns), schema=schema)

    def without(self, positions: Iterable[int]) -> Batch[RowT]:
        """The batch less some of its rows."""
        gone = set(positions)
        return Batch([row for place, row in enumerate(self.rows) if place not in gone])


class Gate(Protocol):
    """Rows → the refusals among them. Without memory: a row's verdict is its own."""

    @property
    def name(self) -> str:
        """How verdicts name it."""
        ...

    def refusals(self, batch: Batch[Example], /) -> Mapping[int, Refusal]:
        """The verdict on each row that is refused, by its position in the batch."""
        ...


@dataclass(frozen=True)
class EachRow:
    """A gate whose rule looks at one row at a time."""

    name: str
    judge: Callable[[Example], Refusal | None]

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Applies the rule to every row."""
        verdicts = ((place, self.judge(row)) for place, row in enumerate(batch.rows))
        return {place: refusal for place, refusal in verdicts if refusal}


class SetGate(Protocol):
    """Takes rows and says at the end which of them it refuses, given all the others."""

    def add(self, rows: Sequence[Example], /) -> None:
        """Takes more rows of the set."""
        ...

    def refusals(self) -> Mapping[int, Refusal]:
        """The verdict on each row that is refused, by the place at which it was added."""
        ...


@runtime_checkable
class SigningGate(SetGate, Protocol):
    """A gate over a set that signs the rows that stay, so that nothing is hashed a second time."""

    def signatures(self) -> Signatures:
        """The signatures of the rows that stay, in the order in which they were added."""
        ...


class Point(StrEnum):
    """Where in the pipeline a gate is applied."""

    SEED = "seed"
    """A dataset's own row, in `normalized`: refused, it is no seed."""
    DRAFT = "draft"
    """What the writer wrote, as soon as it is read, in `generated`."""
    TEXT = "text"
    """A trace or background written for a row; it stands in as the row's context."""
    ROW = "row"
    """A row of `enriched`, in `filtered`."""
    SET = "set"
    """The rows that all other gates accept, together, in `filtered`."""


class Cost(StrEnum):
    """What a gate takes for one row."""

    FIELDS = "fields"
    """Compares a few fields: microseconds."""
    TEXT = "text"
    """Reads every character of the row: tens of microseconds."""
    HASHES = "hashes"
    """Hashes the row's texts and looks the hashes up: hundreds of microseconds."""


@dataclass(frozen=True, kw_only=True)
class Reporting(Generic[OwnT]):
    """What a gate finds, for one that may report rows instead of refusing them."""

    finds: Gate
    """Names each row that it finds something in, whatever the thresholds say. The scores of its
    verdicts are counts, which the check adds up."""
    is_report: Callable[[OwnT], bool]
    """Whether rows are only reported."""
    says: str
    """What the rows do that it finds, after "12 of 40 rows": "hold personal data"."""
    advice: str
    """How to refuse them."""


@dataclass(frozen=True, kw_only=True)
class GateSpec(Generic[OwnT]):
    """Everything that the pipeline must know of a gate; a gate module exports one as `GATE`."""

    name: str
    """How verdicts, the preview and release cards name it: lower-case letters, digits and _."""
    rank: int
    """Its place in the order, the cheapest gate first. Built-in gates have 10, 20, 30 …; gates of
    other packages stand between them. Gates over a set always come after those over one row."""
    cost: Cost
    points: frozenset[Point]
    thresholds: type[OwnT]
    """The thresholds it owns; `NoThresholds` if it draws no line."""
    description: str
    """What holds of a partition whose check passes, as Dagster shows it."""
    build: Callable[[OwnT], Gate] | None = None
    """The gate with its lines drawn. None for a gate over a set, and for the one gate that needs
    what is held out: whoever reads the hashes builds it and passes it in."""
    build_set: Callable[[Iterable[Example], OwnT], SetGate] | None = None
    """The gate over a set, given the partition's seeds; for `Point.SET` and no other."""
    checked_in: tuple[str, ...] = ()
    """Stages that check that no published row is refused by it. A stage that applies it to seeds
    counts what it refused there, and judges no row twice."""
    check: str = ""
    """The name of that check; the gate's own if empty."""
    reads: type[Example] = Example
    """The record it needs: one that looks at what `enriched` adds reads `EnrichedExample`."""
    reporting: Reporting[OwnT] | None = None
    """For a gate that may report rows instead of refusing them: its check reports them, too."""
    counts_unread: bool = False
    """Whether its check also counts rows that never became an example: see `checks.unread`."""
    recheck: Callable[[Signatures, OwnT], Mapping[int, Refusal]] | None = None
    """Verdicts on rows from the signatures that are published with them, by place, for a gate over
    a set: its check hashes nothing again. This gate comes last, for it signs the rows that stay."""

    def __post_init__(self) -> None:
        """Refuses a spec that contradicts itself.

        Raises:
            PermanentError: Says what is wrong.
        """
        for name in (self.name, self.check_name):
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise PermanentError(f"gate {name!r}: use lower-case letters, digits and _")
        if not self.points:
            raise PermanentError(f"gate {self.name}: it is applied at no point of the pipeline")
        if self.reads is not Example and self.points - {Point.ROW, Point.SET}:
            raise PermanentError(
                f"gate {self.name}: it reads {self.reads.__name__}, which seeds and drafts are not"
            )
        is_over_set = self.points == {Point.SET}
        if is_over_set != (self.build_set is not None) or (Point.SET in self.points) != is_over_set:
            raise PermanentError(
                f"gate {self.name}: the point `set` needs `build_set`, and goes with no other point"
            )

    @property
    def check_name(self) -> str:
        """The name of its check."""
        return self.check or self.name

    @property
    def needs_heldout(self) -> bool:
        """Whether it is built by whoever reads the hashes of what is held out."""
        return self.build is None and self.build_set is None

    @property
    def place(self) -> tuple[bool, bool, int, str]:
        """Sorts gates: over one row, over a set, the one that signs; by rank, then by name."""
        return Point.SET in self.points, self.recheck is not None, self.rank, self.name


def first_refusals(rows: Sequence[Example], gates: Iterable[Gate]) -> dict[int, Refusal]:
    """Puts rows through gates in order, each until one refuses it.

    Args:
        rows: Any number of rows; they are judged together.
        gates: The gates, the cheapest first: a later one never sees what an earlier one refused.

    Returns:
        Position → verdict of the first gate that refused the row.
    """
    batch, places = Batch(rows), list(range(len(rows)))
    verdicts: dict[int, Refusal] = {}
    for gate in gates:
        if not batch.rows:
            break
        if refused := gate.refusals(batch):
            verdicts |= {places[place]: refusal for place, refusal in refused.items()}
            batch = batch.without(refused)
            places = [p for place, p in enumerate(places) if place not in refused]
    return verdicts


def batches(items: Iterable[ItemT], size: int = ROWS_PER_BATCH) -> Iterator[list[ItemT]]:
    """Cuts a stream into lists of `size`; the last may be shorter."""
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def _encodable(columns: Mapping[str, list[object]]) -> dict[str, list[object]]:
    def plain(value: object) -> object:
        if isinstance(value, list):
            return [plain(item) for item in value]
        return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    return {name: [plain(value) for value in values] for name, values in columns.items()}
