"""The web application: addresses, headers, and errors as pages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sdg_assets.browse import compare_page, overview_pages, row_pages, table_pages
from sdg_assets.browse.indexing import PATIENCE_SECONDS, Indexes
from sdg_assets.browse.library import Library, NotInStoreError
from sdg_assets.browse.render import HERE, page
from sdg_assets.browse.selection import BadQueryError
from sdg_assets.browse.shelf import ChangedError, Shelf
from sdg_assets.errors import SdgError, TransientError
from sdg_assets.store.partitions import Store

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    # Nothing but our own files; forms go nowhere else; no frame may hold a page.
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer a browser sends our form's origin as null
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
PARTITION = "/subtasks/{task}/{subtask}/{stage}"
RELEASE = "/releases/{release}"
logger = logging.getLogger(__name__)


def application(
    store: Store,
    cache: Path,
    hosts: Sequence[str] = LOOPBACK,
    patience: float | None = PATIENCE_SECONDS,
) -> Starlette:
    """The application.

    Args:
        store: The store to show.
        cache: The directory of the indexes.
        hosts: Names by which it may be called. A page of another site could otherwise have its own
            name point to this address, and read the store through the browser of a visitor.
        patience: Seconds that a page waits for an index; None: until it is made.
    """
    routes = [
        Route("/", overview_pages.overview),
        Route("/subtasks/{task}/{subtask}", overview_pages.subtask),
        Route("/releases", overview_pages.releases),
        Route("/compare", compare_page.compare),
        *(
            route
            for base in (PARTITION, RELEASE)
            for route in (
                Route(base, table_pages.table),
                Route(f"{base}/export.{{form}}", table_pages.export),
                Route(f"{base}/rows/{{number:int}}", row_pages.row),
                Route(f"{base}/rows/{{number:int}}/notes", row_pages.note, methods=["POST"]),
            )
        ),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(_Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        ],
        exception_handlers={SdgError: _problem, HTTPException: _http_problem},
    )
    app.state.shelf = Shelf(Library(store), Indexes(cache, patience))
    return app


def host_of(url: str) -> str:
    """The host in an address, as browsers send it, without the port."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


class _Headers:
    """Adds `HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await self._app(scope, receive, with_headers)


def _problem(request: Request, error: Exception) -> Response:
    status, link = 500, None
    if isinstance(error, NotInStoreError):
        status = 404
    elif isinstance(error, ChangedError):
        status, link = 409, ("The rows of the version published now", error.url)
    elif isinstance(error, BadQueryError):
        status = 400
    elif isinstance(error, TransientError):
        status = 503
    if status == 500:
        logger.error("%s: %s", request.url.path, error)
    return _page(request, status, str(error), link)


def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {404: "There is no such page.", 405: "This page can only be read."}
    return _page(request, error.status_code, details.get(error.status_code, error.detail))


def _page(
    request: Request, status: int, message: str, link: tuple[str, str] | None = None
) -> Response:
    titles = {400: "This cannot be asked", 403: "Not from here", 404: "Not here",
              409: "Made again since", 405: "Not like this", 503: "Not yet"}  # fmt: skip
    title = titles.get(status, "Something failed")
    shelf: Shelf = request.app.state.shelf
    text = page("problem", store=shelf.name, title=title, message=message, link=link)
    return HTMLResponse(text, status)
