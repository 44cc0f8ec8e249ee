"""A row with everything about it, and the form for a note on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sdg_assets.browse.indexing import Progress
from sdg_assets.browse.library import NotInStoreError
from sdg_assets.browse.render import page
from sdg_assets.browse.rows import (
    Row,
    Trace,
    completions_with,
    first_rows,
    records_with,
    rows_at,
    traces,
)
from sdg_assets.browse.selection import BadQueryError, Query, Selection
from sdg_assets.browse.shelf import (
    VERSION,
    Shelf,
    TableView,
    selected,
    shelf_of,
    view_of,
)
from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.gates import order
from sdg_assets.records import Role, Stage
from sdg_assets.store.notes import Note, add_note, reviewer_named
from sdg_assets.store.partitions import PartitionKey
from sdg_assets.store.places import listing
from sdg_assets.teacher.requests import Completion

LOGS_BYTES = 64 << 20
"""Completion logs up to this size are searched for every row; larger ones when a person asks."""
MOST_BODY = 16_384
EARLY_ROWS = 1_000
"""Rows that can be opened while their table is still being read."""
LOGS = "logs"
# Fields with a place of their own on the page. All others are shown as they are.
PLACED = frozenset(
    ("question", "choices", "answer", "answer_index", "aliases", "context", "solution", "tests",
     "votes", "votes_cast", "votes_cut_off", "vote_ids", "vote_share", "reasoning",
     "reasoning_fault", "knowledge", "knowledge_fault", "judge", "written_answer", "text",
     "outcome")
)  # fmt: skip
PROVENANCE = (
    "id", "task", "subtask", "family", "domain", "language", "answer_kind", "source", "license",
    "commercial_use", "not_commercial", "teacher", "prompt_version", "variation", "topic", "angle",
    "solver", "written_by", "seed_ids", "completion_id",
)  # fmt: skip


def row(request: Request) -> Response:
    """A row of a table."""
    view = view_of(request, LOGS).checked()
    number, selection = request.path_params["number"], selected(request, view)
    one = _row(view, selection, number)
    before = after = place = None
    if isinstance(selection, Selection):
        before, after, place = selection.neighbours(number)
    shelf, owner = shelf_of(request), _owner(request, one)
    said = _said(shelf, owner, one, wants_logs=view.own.get(LOGS) == "1")
    known = {*PLACED, *PROVENANCE, "completion"}
    text = page(
        "row",
        store=shelf.name,
        table=view.table,
        row=one,
        place=place,
        before=before,
        after=after,
        selected=len(selection.rows) if isinstance(selection, Selection) else 0,
        list_url=view.query.url(view.here, page=view.query.page),
        row_url=view.row_url,
        note_url=view.query.url(
            f"{view.here}/rows/{number}/notes", **{VERSION: view.table.version}
        ),
        notes=shelf.notes(*owner).get(one.id, ()) if owner else (),
        seeds=_seeds(shelf, owner, one),
        same_seed=_same_seed(view, selection, one),
        passed=order() if view.table.stage in (Stage.FILTERED, Stage.CURATED) else (),
        provenance={name: one.fields[name] for name in PROVENANCE if one.fields.get(name)},
        more={
            n: v for n, v in one.fields.items() if n not in known and v not in (None, "", [], {})
        },
        traces_url=None if said.is_searched else view.row_url(number, **{LOGS: "1"}),
        traces=said.traces,
        written=said.written,
        logs_size=said.size,
    )
    return HTMLResponse(text)


async def note(request: Request) -> Response:
    """Keeps a note on a row, and goes back to the row."""
    _from_here(request)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise BadQueryError(f"a note has at most {MOST_BODY:,} bytes")
    try:
        sent = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10)
    except (UnicodeDecodeError, ValueError):
        raise BadQueryError("the note is no form in UTF-8") from None
    url = await run_in_threadpool(_noted, request, sent)
    return RedirectResponse(url, 303)


def _noted(request: Request, sent: Sequence[tuple[str, str]]) -> str:
    """Appends the note; returns the address of its row."""
    values = {name: value for name, value in sent if name in ("reviewer", "verdict", "why")}
    view = view_of(request).checked()
    number = request.path_params["number"]
    one = _row(view, selected(request, view), number)
    owner = _owner(request, one)
    if owner is None:
        raise NotInStoreError(
            f"row {number}: its subtask is not in this store, where notes are kept"
        )
    try:
        reviewer = reviewer_named(values.get("reviewer", "").strip())
    except PermanentError as error:
        raise BadQueryError(str(error)) from None
    try:
        kept = Note.model_validate(
            {
                "row": one.id,
                "stage": view.table.stage.value,
                "version": view.table.version,
                "verdict": values.get("verdict", ""),
                "why": values.get("why", "").strip(),
                "reviewer": reviewer,
                "at": datetime.now(UTC),
            }
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadQueryError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    add_note(shelf_of(request).library.store, *owner, kept)
    return view.row_url(number)


def _from_here(request: Request) -> None:
    """Refuses a form that another site sends through the browser of a person.

    Raises:
        HTTPException: The form does not come from a page of this application.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    same = urlsplit(origin).netloc == request.headers.get("host") if origin else site in _SAME
    if not same:
        raise HTTPException(403, "Notes are taken from this page's own form only.")


_SAME = (None, "same-origin", "none")


def _row(view: TableView, selection: Selection | Progress, number: int) -> Row:
    """The row with a number.

    Raises:
        NotInStoreError: The table has fewer rows.
        TransientError: The table is still being read.
    """
    if number >= view.table.rows:
        raise NotInStoreError(f"{view.table.name} has {view.table.rows:,} rows, from 0 on")
    if isinstance(selection, Selection):
        return rows_at(selection.index, [number])[0]
    if number < EARLY_ROWS:
        return first_rows(view.table, number + 1)[number]
    raise TransientError(f"{view.table.name}: still being read; try again in a moment")


def _owner(request: Request, one: Row) -> tuple[str, str] | None:
    """Task and subtask that a row belongs to; None if the store does not hold that subtask."""
    path = request.path_params
    if "release" not in path:
        return path["task"], path["subtask"]
    named = str(one.fields.get("task")), str(one.fields.get("subtask"))
    return named if named in shelf_of(request).library.subtasks() else None


@dataclass(frozen=True)
class _Said:
    """What the completion logs hold of a row."""

    traces: Sequence[Trace]
    written: Completion | None
    size: int
    """Bytes of the logs."""
    is_searched: bool
    """Whether the logs were searched, or have nothing of this row."""


def _said(shelf: Shelf, owner: tuple[str, str] | None, one: Row, *, wants_logs: bool) -> _Said:
    refused = one.fields.get("completion")
    if isinstance(refused, Mapping):  # a draft that could not be read
        try:
            return _Said((), Completion.model_validate(refused), 0, True)
        except ValidationError:
            return _Said((), None, 0, True)
    request = one.fields.get("completion_id")
    if owner is None or not isinstance(request, str):
        return _Said((), None, 0, True)
    folder = shelf.library.store.completions_dir(*owner)
    size = sum(file.size for file in listing(folder))
    if size > LOGS_BYTES and not wants_logs:
        return _Said((), None, size, False)
    written = completions_with(folder, Role.WRITER, [request]).get(request)
    return _Said(traces(one, folder), written, size, True)


def _seeds(
    shelf: Shelf, owner: tuple[str, str] | None, one: Row
) -> list[tuple[str, Mapping[str, Any] | None]]:
    """The seeds that a row was written after, the anchor first; None for one that is gone."""
    listed = one.fields.get("seed_ids")
    ids = [i for i in listed if isinstance(i, str)] if isinstance(listed, list) else []
    if not ids:
        return []
    records: Mapping[str, Mapping[str, Any]] = {}
    if owner and Stage.NORMALIZED.value in shelf.library.subtask(*owner).manifests:
        key = PartitionKey(owner[0], Stage.NORMALIZED.value, owner[1])
        records = records_with(shelf.library.store.path(key), ids)
    return [(i, records.get(i)) for i in ids]


def _same_seed(
    view: TableView, selection: Selection | Progress, one: Row
) -> tuple[str, int] | None:
    """Where the rows after the same anchor are listed, and how many there are."""
    ids = one.fields.get("seed_ids")
    if isinstance(selection, Progress) or not isinstance(ids, list) or not ids:
        return None
    anchor = str(ids[0])
    count = len(selection.index.rows_after(anchor))
    return (Query(anchor=anchor).url(view.here), count) if count > 1 else None
