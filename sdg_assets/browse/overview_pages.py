"""The pages of the whole store: subtasks, one subtask, releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, get_args
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sdg_assets.browse.links import address
from sdg_assets.browse.overview import Sort, State, sorted_states, state_of
from sdg_assets.browse.render import page
from sdg_assets.browse.selection import BadQueryError
from sdg_assets.browse.shelf import only, shelf_of
from sdg_assets.records import Stage
from sdg_assets.store.review import reviewed


@dataclass(frozen=True)
class _Column:
    name: Sort
    label: str
    meaning: str
    right: bool = False


COLUMNS = (
    _Column("task", "subtask", "task and subtask"),
    _Column("read", Stage.SEEDS, "rows of the training split", right=True),
    _Column("written", Stage.GENERATED, "drafts that could be read", right=True),
    _Column("verified", "verified", "rows whose answer the votes agreed on", right=True),
    _Column("accepted", "accepted", "rows that passed every gate", right=True),
    _Column("share", "yield", "accepted rows by the writer's drafts", right=True),
    _Column("stale", "stale", "stages published before one of their inputs"),
    _Column("incomplete", "incomplete", "stages that a budget of tokens ended"),
    _Column("failed", "failed", "stages whose last attempt broke a check"),
    _Column("teacher", "writer", "model that wrote the rows"),
    _Column("made", "last made", "when a stage was last published"),
)


def overview(request: Request) -> Response:
    """All subtasks in one sortable table."""
    parameters = only(request.query_params.multi_items(), ("sort", "down", "q"))
    sort = parameters.get("sort") or "task"
    if sort not in get_args(Sort):
        raise BadQueryError(f"sort: one of {', '.join(get_args(Sort))}")
    down, words = parameters.get("down") == "1", parameters.get("q", "")
    library = shelf_of(request).library
    states = sorted_states(library.subtasks().values(), cast("Sort", sort), down=down)
    states = [state for state in states if _matches(state, words)]
    columns = [
        {
            "name": column.name,
            "heading": column.label,
            "meaning": column.meaning,
            "right": column.right,
            "url": _sorted_by(column.name, words, down=column.name == sort and not down),
        }
        for column in COLUMNS
    ]
    return HTMLResponse(
        page(
            "overview",
            store=shelf_of(request).name,
            states=states,
            columns=columns,
            sort=sort,
            down=down,
            q=words,
            tasks=len({state.task for state in states}),
            rows=sum(state.accepted for state in states),
            releases=len(library.releases()),
        )
    )


def subtask(request: Request) -> Response:
    """A subtask's stages, and why its rows were refused."""
    only(request.query_params.multi_items(), ())
    task, name = request.path_params["task"], request.path_params["subtask"]
    shelf = shelf_of(request)
    held = shelf.library.subtask(task, name)
    base, state = address("subtasks", task, name), state_of(held)
    reasons = []
    for stage, _, _ in state.stages:
        counted = held.manifests[stage].rejected.items()
        for combined, count in sorted(counted, key=lambda item: -item[1]):
            gate, _, reason = combined.partition(": ")
            filters = urlencode({"gate": gate, "reason": reason[:300]})
            reasons.append((stage, gate, reason, count, f"{base}/{stage}?{filters}"))
    return HTMLResponse(
        page(
            "subtask",
            store=shelf.name,
            state=state,
            manifests=held.manifests,
            base=base,
            reasons=reasons,
            review=reviewed(shelf.library.store, [(task, name)]).sentence(),
        )
    )


def releases(request: Request) -> Response:
    """All releases, newest first."""
    only(request.query_params.multi_items(), ())
    shelf = shelf_of(request)
    return HTMLResponse(page("releases", store=shelf.name, releases=shelf.library.releases()))


def _matches(state: State, words: str) -> bool:
    text = f"{state.task}/{state.subtask} {state.teacher}".casefold()
    return all(word in text for word in words.casefold().split())


def _sorted_by(column: str, words: str, *, down: bool) -> str:
    parameters = {"sort": column, "q": words, "down": "1" if down else ""}
    return f"/?{urlencode({name: value for name, value in parameters.items() if value})}"
