"""A gate is one row-level test; a verdict is why it refused a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sdg_assets.records import Example, Refusal, polars_schema

if TYPE_CHECKING:
    import polars as pl

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
        found = ((place, self.judge(row)) for place, row in enumerate(batch.rows))
        return {place: refusal for place, refusal in found if refusal}


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
