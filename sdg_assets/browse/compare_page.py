"""Two teachers, prompts or releases of one subtask, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sdg_assets.browse.comparison import Side, pairs, reasons, side_of
from sdg_assets.browse.index import Index
from sdg_assets.browse.indexing import Progress
from sdg_assets.browse.links import rows_address
from sdg_assets.browse.render import number, page, percent
from sdg_assets.browse.rows import Row
from sdg_assets.browse.selection import BadQueryError, Histogram, Query, select
from sdg_assets.browse.shelf import VERSION, Shelf, only, shelf_of
from sdg_assets.browse.tables import Table
from sdg_assets.records import Stage

BY = {"teacher": "writer", "solver": "solver", "prompt": "prompt"}
"""Categories that sides may differ in → their labels."""
LETTERS = ("a", "b")
PARAMETERS = (
    "task",
    "subtask",
    *(name for s in LETTERS for name in (s, *(f"{s}_{b}" for b in BY))),
)
RELEASE = "release "
FIGURES: Mapping[str, Callable[[Side], str]] = {
    "rows": lambda side: number(side.rows),
    "accepted": lambda side: number(side.accepted),
    "yield": lambda side: percent(side.share),
    "distinct-1": lambda side: f"{side.diversity.distinct_1:.2f}",
    "distinct-2": lambda side: f"{side.diversity.distinct_2:.2f}",
    "distinct-3": lambda side: f"{side.diversity.distinct_3:.2f}",
    "self-similarity": lambda side: f"{side.diversity.self_similarity:.2f}",
}


@dataclass(frozen=True)
class _SideView:
    """A side as the template shows it."""

    letter: str
    source: str
    title: str
    choices: Sequence[tuple[str, str, Sequence[str], str]]
    """(category, label, values, the selected one)"""
    histograms: Sequence[Histogram] = field(default=())


def compare(request: Request) -> Response:
    """Two selections of a subtask's rows."""
    shelf = shelf_of(request)
    parameters = only(request.query_params.multi_items(), PARAMETERS)
    held = shelf.library.subtask(parameters.get("task", ""), parameters.get("subtask", ""))
    sources = _sources(shelf, held.task, held.name)
    if not sources:
        raise BadQueryError(f"{held.task}/{held.name}: it has no generated rows to compare")
    tables = [
        _source_of(parameters.get(letter), sources, place) for place, letter in enumerate(LETTERS)
    ]
    values: dict[str, Any] = {
        "store": shelf.name,
        "task": held.task,
        "subtask": held.name,
        "sources": [(name, name) for name in sources],
        "progress": None,
    }
    indexes = [shelf.indexes.get(sources[name][0]) for name in tables]
    for index in indexes:
        if isinstance(index, Progress):
            sides = [_SideView(c, name, "", ()) for c, name in zip(LETTERS, tables, strict=True)]
            return HTMLResponse(page("compare", **values | {"progress": index, "sides": sides}))
    read = [index for index in indexes if isinstance(index, Index)]
    filters = _filters(parameters, read, [sources[name][1] for name in tables])
    selections = [select(i, Query(filters=f)) for i, f in zip(read, filters, strict=True)]
    left, right = map(side_of, selections)
    side_views = [
        _SideView(
            letter,
            name,
            ", ".join([name, *(filters[place][by] for by in BY if by in filters[place])]),
            [
                (by, label, _texts(index, by), filters[place].get(by, ""))
                for by, label in BY.items()
            ],
            selection.histograms(),
        )
        for place, (letter, name, index, selection) in enumerate(
            zip(LETTERS, tables, read, selections, strict=True)
        )
    ]
    heres = [sources[name][2] for name in tables]
    values |= {
        "sides": side_views,
        "figures": [(label, show(left), show(right)) for label, show in FIGURES.items()],
        "reasons": reasons(left, right),
        "pairs": [
            tuple(
                _linked(row, index.table, here)
                for row, index, here in zip(pair, read, heres, strict=True)
            )
            for pair in pairs(*selections)
        ],
    }
    return HTMLResponse(page("compare", **values))


def _sources(shelf: Shelf, task: str, subtask: str) -> dict[str, tuple[Table, dict[str, str], str]]:
    """Name → table, the filters that leave the subtask's rows, and the address of its rows."""
    stages = (Stage.FILTERED.value, Stage.ENRICHED.value, Stage.GENERATED.value)
    held = shelf.library.subtask(task, subtask).manifests
    sources: dict[str, tuple[Table, dict[str, str], str]] = {
        stage: (
            shelf.library.partition(task, subtask, stage),
            {},
            rows_address(task, subtask, stage),
        )
        for stage in stages
        if stage in held
    }
    for release in shelf.library.releases():
        if task in release.manifest.get("tasks", {}):
            table, here = shelf.library.release_table(release.id), rows_address(release.id)
            sources[f"{RELEASE}{release.id}"] = table, {"task": task, "subtask": subtask}, here
    return sources


def _source_of(name: str | None, sources: Mapping[str, object], place: int) -> str:
    """The source that a side asks for; by default the newest stage, on both sides."""
    if not name:
        return next(iter(sources))
    if name not in sources:
        raise BadQueryError(f"side {LETTERS[place]}: {name!r} holds no rows of this subtask")
    return name


def _filters(
    parameters: Mapping[str, str], indexes: Sequence[Index], base: Sequence[dict[str, str]]
) -> list[dict[str, str]]:
    """The filters of each side. Without any, sides of one table get different writers."""
    of_sides = [
        {by: text for by in BY if (text := parameters.get(f"{letter}_{by}"))} for letter in LETTERS
    ]
    has_filters = any(f"{letter}_{by}" in parameters for letter in LETTERS for by in BY)
    same = indexes[0].table.name == indexes[1].table.name
    for by in BY:
        texts = _texts(indexes[0], by)
        if not has_filters and same and len(texts) > 1:
            of_sides = [{by: texts[0]}, {by: texts[1]}]
            break
    return [dict(ours) | theirs for ours, theirs in zip(base, of_sides, strict=True)]


def _texts(index: Index, category: str) -> list[str]:
    return sorted(filter(None, index.values[category]))


def _linked(row: Row, table: Table, here: str) -> tuple[Row, str]:
    return row, f"{here}/rows/{row.number}?{VERSION}={table.version}"
