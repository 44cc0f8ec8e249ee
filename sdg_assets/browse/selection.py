"""A query on a table: its typed parameters, the rows that it selects, their counts and histograms.

No text of a query becomes part of a program: a category's text is looked up in the table's own
values, a number is a number, and words are hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sdg_assets.browse.columns import CATEGORIES, MEASURES, Measure
from sdg_assets.browse.index import Index
from sdg_assets.browse.strata import by_strata
from sdg_assets.errors import PermanentError

BINS = 12
TOP = 12
"""Values of a category that are shown with their counts. The others are counted together."""
PER_PAGE = 50
PLACE = "place"
"""Sorts rows as they stand in their files."""
Rows = npt.NDArray[np.uint32]
Text = Annotated[str, Field(max_length=300)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]


class BadQueryError(PermanentError):
    """A parameter of an address is unknown or has a wrong value."""


class Query(BaseModel):
    """What a person asked a table for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: Annotated[str, Field(max_length=200)] = ""
    """Words that a row must hold."""
    sort: str = PLACE
    """`PLACE` or a measure."""
    down: bool = False
    page: Annotated[int, Field(ge=1, le=10_000_000)] = 1
    filters: dict[str, Text] = {}
    """Category → its text; an empty text stands for rows without one."""
    low: dict[str, Number] = {}
    """Measure → lowest value."""
    high: dict[str, Number] = {}
    """Measure → highest value."""
    anchor: Text = ""
    """Id of the seed that a row must imitate."""
    sample: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Rows to draw by strata from those; 0: all of them."""

    @field_validator("sort")
    @classmethod
    def _known_column(cls, value: str) -> str:
        if value != PLACE and value not in MEASURES:
            raise ValueError(f"sort by {PLACE}, {', '.join(MEASURES)}")
        return value

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]]) -> Query:
        """The query in an address.

        Args:
            parameters: Names and values. An empty value of a range counts as unset, as forms send
                it; the value `-` of a category stands for rows without one.

        Raises:
            BadQueryError: A name is unknown or comes twice, or a value has the wrong type.
        """
        plain: dict[str, object] = {}
        filters, low, high = dict[str, str](), dict[str, str](), dict[str, str]()
        for name, value in parameters:
            measure, _, end = name.rpartition("_")
            if name in CATEGORIES:
                target: dict[str, str] | dict[str, object] = filters
            elif measure in MEASURES and end in ("from", "to"):
                target, name = (low if end == "from" else high), measure
            elif name in ("q", "sort", "down", "page", "anchor", "sample"):
                target, name = plain, "words" if name == "q" else name
            else:
                raise BadQueryError(f"{name[:60]!r} is no filter of this page")
            if name in target:
                raise BadQueryError(f"{name!r} is given twice")
            if value:
                target[name] = "" if target is filters and value == NONE else value
        try:
            return cls.model_validate({**plain, "filters": filters, "low": low, "high": high})
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise BadQueryError(f"{where}: {fault['msg']}") from None

    def parameters(self, **changes: object) -> dict[str, str]:
        """The parameters of an address that asks this, with some of them changed.

        Args:
            **changes: Parameter → its new value; None removes it. Without `page`, the page is the
                first one.
        """
        named: dict[str, object] = {
            "q": self.words or None,
            **{name: text or NONE for name, text in self.filters.items()},
            **{f"{name}_from": number for name, number in self.low.items()},
            **{f"{name}_to": number for name, number in self.high.items()},
            "anchor": self.anchor or None,
            "sample": self.sample or None,
            "sort": self.sort if self.sort != PLACE else None,
            "down": "1" if self.down else None,
        }
        named |= changes
        return {name: str(value) for name, value in named.items() if value is not None}

    def url(self, path: str, **changes: object) -> str:
        """An address below `path` that asks this; see `parameters`."""
        text = urlencode(self.parameters(**changes))
        return f"{path}?{text}" if text else path

    @property
    def is_plain(self) -> bool:
        """Whether it selects all rows in the order of their files."""
        asks = (
            self.words,
            self.anchor,
            self.sample,
            self.filters,
            self.low,
            self.high,
            self.sort != PLACE,
            self.down,
        )
        return not any(asks)


NONE = "-"


@dataclass(frozen=True)
class Count:
    """How many selected rows have a text in a category."""

    text: str
    rows: int


@dataclass(frozen=True)
class Facet:
    """A category's counts, the most frequent first."""

    name: str
    label: str
    counts: Sequence[Count]
    others: int
    """Rows with further texts."""


@dataclass(frozen=True)
class Bar:
    """A bin of a histogram."""

    low: float
    """The smallest number that counts here."""
    high: float
    """Where the next bin begins."""
    last: float
    """The largest number that counts here, as columns have it: in 32 bits."""
    rows: int


@dataclass(frozen=True)
class Histogram:
    """The distribution of a measure over the selected rows that have it."""

    name: str
    measure: Measure
    bars: Sequence[Bar]
    rows: int
    mean: float

    @property
    def highest(self) -> int:
        """Rows of the fullest bin."""
        return max(bar.rows for bar in self.bars)


@dataclass(frozen=True)
class Selection:
    """The rows that a query selects, in its order."""

    index: Index
    rows: Rows

    def page(self, number: int) -> list[int]:
        """The rows of a page, counted from 1."""
        start = (number - 1) * PER_PAGE
        return [int(row) for row in self.rows[start : start + PER_PAGE]]

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-len(self.rows) // PER_PAGE))

    def neighbours(self, row: int) -> tuple[int | None, int | None, int | None]:
        """The row before, the row after, and the row's own place in the selection, from 0."""
        places = np.flatnonzero(self.rows == row)
        if not len(places):
            return None, None, None
        place = int(places[0])
        before = int(self.rows[place - 1]) if place else None
        after = int(self.rows[place + 1]) if place + 1 < len(self.rows) else None
        return before, after, place

    def facets(self) -> list[Facet]:
        """The counts of each category in which the table's rows differ."""
        totals, facets = self.index.counts, []
        names = [name for name in CATEGORIES if np.count_nonzero(totals[name]) > 1]
        for name in names:
            values, counts = self.index.values[name], totals[name]
            if not self._is_everything:
                counts = np.bincount(self._column(name), minlength=len(values))
            order = np.argsort(-counts, kind="stable")
            most_frequent = [Count(values[i], int(counts[i])) for i in order[:TOP] if counts[i]]
            others = int(counts[order[TOP:]].sum())
            facets.append(Facet(name, CATEGORIES[name].label, most_frequent, others))
        return facets

    def histograms(self) -> list[Histogram]:
        """The histogram of each measure that a selected row has."""
        histograms = []
        for name, measure in MEASURES.items():
            numbers = self._column(name)
            numbers = numbers[~np.isnan(numbers)]
            if not len(numbers):
                continue
            low = measure.low if measure.low is not None else float(numbers.min())
            high = measure.high if measure.high is not None else float(numbers.max())
            bars = _bars(numbers, low, high)
            mean = float(numbers.mean(dtype=np.float64))
            histograms.append(Histogram(name, measure, bars, len(numbers), mean))
        return histograms

    @property
    def _is_everything(self) -> bool:
        return len(self.rows) == self.index.rows

    def _column(self, name: str) -> npt.NDArray[Any]:
        """A column of the selected rows; numbers that a row does not have are NaN."""
        column = self.index.columns[name]
        return column if self._is_everything else column[self.rows]


def select(index: Index, query: Query) -> Selection:
    """The rows that a query selects.

    Args:
        index: The table's index.
        query: The query. A text that no row has selects nothing.
    """
    rows = np.arange(index.rows, dtype=np.uint32)
    masks = [index.columns[name] == index.code(name, text) for name, text in query.filters.items()]
    # 0.7 as the rows have it, in 32 bits.
    masks += [index.columns[name] >= np.float32(low) for name, low in query.low.items()]
    masks += [index.columns[name] <= np.float32(high) for name, high in query.high.items()]
    if masks:
        rows = rows[np.logical_and.reduce(masks)]
    if query.anchor:
        rows = _among(rows, np.array(index.rows_after(query.anchor), np.uint32), index)
    if query.words and (holding := index.words.rows_with(query.words)) is not None:
        rows = _among(rows, holding, index)
    if query.sample:
        rows = by_strata(index, rows, query.sample)
    return Selection(index, _ordered(index, rows, query))


def _among(rows: Rows, others: Rows, index: Index) -> Rows:
    """Those of some rows that are among others; `np.intersect1d` would sort millions of them."""
    is_other = np.zeros(index.rows, np.bool_)
    is_other[others] = True
    return rows[is_other[rows]]


def _ordered(index: Index, rows: Rows, query: Query) -> Rows:
    if query.sort == PLACE:
        return rows[::-1] if query.down else rows
    order = index.order(query.sort)
    if query.down:
        missing = int(np.isnan(index.columns[query.sort]).sum())
        order = np.concatenate([order[: len(order) - missing][::-1], order[len(order) - missing :]])
    return order if len(rows) == len(order) else _among(order, rows, index)


def _bars(numbers: npt.NDArray[np.float32], low: float, high: float) -> list[Bar]:
    """The bins between two limits; smaller and larger numbers count in the first and last one.

    Bins are compared with their edges, as `select` does: a click on a bar shows the rows that it
    counts. `np.histogram` takes three times as long.
    """
    width = (high - low) / BINS or 1.0
    edges = (low + width * np.arange(BINS + 1)).astype(np.float32)
    inner = [int(np.count_nonzero(numbers < edge)) for edge in edges[1:-1]]
    below = [0, *inner, len(numbers)]
    last = [*np.nextafter(edges[1:-1], np.float32(-np.inf)), edges[-1]]
    return [
        Bar(float(edges[i]), float(edges[i + 1]), float(last[i]), below[i + 1] - below[i])
        for i in range(BINS)
    ]
