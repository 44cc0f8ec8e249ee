"""The list of a table's rows with its filters, and their export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse

from sdg_assets.browse.columns import CATEGORIES, MEASURES
from sdg_assets.browse.export import json_lines, parquet
from sdg_assets.browse.indexing import Progress
from sdg_assets.browse.library import NotInStoreError
from sdg_assets.browse.links import address
from sdg_assets.browse.render import number, page
from sdg_assets.browse.rows import Row, first_rows, rows_at
from sdg_assets.browse.selection import NONE, PER_PAGE, PLACE, Bar, Query, Selection
from sdg_assets.browse.shelf import TableView, selected, shelf_of, view_of
from sdg_assets.errors import TransientError
from sdg_assets.store.notes import Note

SORTS = (("place", "place in the file"), *((name, m.label) for name, m in MEASURES.items()))


def table(request: Request) -> Response:
    """The rows that the address asks for, with counts and histograms that follow."""
    view = view_of(request)
    query, here, selection = view.query, view.here, selected(request, view)
    is_read = isinstance(selection, Selection)
    values: dict[str, Any] = {"selection": None, "facets": (), "histograms": (), "selected": 0}
    if isinstance(selection, Selection):
        rows = rows_at(selection.index, selection.page(query.page))
        values = {
            "selection": selection,
            "facets": selection.facets(),
            "histograms": selection.histograms(),
            "selected": len(selection.rows),
        }
    else:
        rows = first_rows(view.table, PER_PAGE) if query.is_plain and query.page == 1 else []

    def facet_url(name: str, text: str) -> str:
        is_chosen = query.filters.get(name) == text
        return query.url(here, **{name: None if is_chosen else text or NONE})

    def bar_url(name: str, bar: Bar) -> str:
        # Whole, not rounded: six digits of 2/3 once excluded all rows with 2 of 3 votes.
        return query.url(here, **{f"{name}_from": bar.low, f"{name}_to": bar.last})

    text = page(
        "table",
        store=shelf_of(request).name,
        table=view.table,
        here=here,
        query=query,
        rows=rows,
        progress=None if is_read else selection,
        trail=_trail(request),
        tabs=_tabs(request),
        links=_links(request),
        sorts=SORTS,
        chips=list(_chips(query, here)),
        notes=_notes(request, view, rows),
        summary=summary,
        row_url=view.row_url,
        facet_url=facet_url,
        bar_url=bar_url,
        export_url=lambda form: query.url(f"{here}/export.{form}", sort=query.sort),
        **values,
    )
    return HTMLResponse(text)


def export(request: Request) -> Response:
    """The selected rows as a file."""
    form = request.path_params["form"]
    if form not in ("jsonl", "parquet"):
        raise NotInStoreError(f"export.{form}: there is export.jsonl and export.parquet")
    view = view_of(request).checked()
    selection = selected(request, view)
    if isinstance(selection, Progress):
        raise TransientError(f"{view.table.name}: still being read; try again in a moment")
    name = f"{view.table.name.replace('/', '-')}.{form}"
    if form == "jsonl":
        disposition = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(
            json_lines(selection), media_type="application/jsonl", headers=disposition
        )
    opened = parquet(selection)
    file = opened.__enter__()
    return FileResponse(
        file,
        filename=name,
        media_type="application/vnd.apache.parquet",
        background=BackgroundTask(opened.__exit__, None, None, None),
    )


def summary(row: Row) -> str:
    """What a list shows of a row: its question, else whatever text it has."""
    fields = row.fields
    completion = fields.get("completion")
    for text in (
        fields.get("question"),
        completion.get("text") if isinstance(completion, Mapping) else None,
        fields.get("row"),
        row.detail,
    ):
        if text:
            return str(text)
    return "(no text)"


def _trail(request: Request) -> list[tuple[str, str]]:
    path = request.path_params
    if "release" in path:
        return [("releases", "/releases"), (path["release"], "")]
    up = address("subtasks", path["task"], path["subtask"])
    return [(f"{path['task']}/{path['subtask']}", up), (path["stage"], "")]


def _tabs(request: Request) -> list[tuple[str, str]]:
    path = request.path_params
    if "release" in path:
        return []
    held = shelf_of(request).library.subtask(path["task"], path["subtask"])
    base = address("subtasks", held.task, held.name)
    return [(stage, f"{base}/{stage}") for stage in held.manifests]


def _links(request: Request) -> list[tuple[str, str]]:
    path = request.path_params
    if "release" in path:
        return []
    names = {"task": path["task"], "subtask": path["subtask"]}
    return [("compare", f"/compare?{urlencode(names)}")]


def _chips(query: Query, here: str) -> Iterator[tuple[str, str]]:
    if query.words:
        yield f"“{query.words}”", query.url(here, q=None)
    if query.sample:
        yield f"sample of {query.sample:,} by strata", query.url(here, sample=None)
    if query.anchor:
        yield f"after seed {query.anchor}", query.url(here, anchor=None)
    for name, text in query.filters.items():
        yield f"{CATEGORIES[name].label}: {text or '(none)'}", query.url(here, **{name: None})
    for ends, sign, end in ((query.low, "≥", "from"), (query.high, "≤", "to")):
        for name, limit in ends.items():
            label = f"{MEASURES[name].label} {sign} {number(limit)}"
            yield label, query.url(here, **{f"{name}_{end}": None})
    if query.sort != PLACE:
        yield f"by {MEASURES[query.sort].label}", query.url(here, sort=None, down=None)


def _notes(request: Request, view: TableView, rows: list[Row]) -> dict[str, list[Note]]:
    """The notes on the rows of a page."""
    path, shelf = request.path_params, shelf_of(request)
    if "release" not in path:
        return shelf.notes(path["task"], path["subtask"])
    subtasks = {(row.fields.get("task"), row.fields.get("subtask")) for row in rows}
    notes: dict[str, list[Note]] = {}
    for task, subtask in subtasks:
        if (task, subtask) in shelf.library.subtasks():
            notes |= shelf.notes(str(task), str(subtask))
    return notes
