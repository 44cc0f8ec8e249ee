"""What every page needs: the library, the indexes, and the table that an address names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.requests import Request

from sdg_assets.browse.indexing import Indexes, Progress
from sdg_assets.browse.library import Library
from sdg_assets.browse.links import rows_address
from sdg_assets.browse.selection import BadQueryError, Query, Selection, select
from sdg_assets.browse.tables import Table
from sdg_assets.errors import PermanentError
from sdg_assets.store.notes import Note, notes_of, standing

VERSION = "v"
"""Parameter that says of which version a row's number is."""


class ChangedError(PermanentError):
    """A row's number is of a version that was replaced."""

    def __init__(self, table: Table, url: str) -> None:
        """The message says what happened.

        Args:
            table: The table as it is now.
            url: Where its rows are listed.
        """
        super().__init__(f"{table.name} was made again since this page was opened")
        self.url = url


@dataclass(frozen=True)
class Shelf:
    """The library with its indexes."""

    library: Library
    indexes: Indexes

    @property
    def name(self) -> str:
        """The store's address, for the head of each page."""
        return str(self.library.store.root)

    def notes(self, task: str, subtask: str) -> dict[str, list[Note]]:
        """Row → the last note of each reviewer on it."""
        grouped: dict[str, list[Note]] = {}
        for (row, _), note in standing(notes_of(self.library.store, task, subtask)).items():
            grouped.setdefault(row, []).append(note)
        return grouped


@dataclass(frozen=True)
class TableView:
    """The table that a page shows, and what its address asks."""

    table: Table
    here: str
    """The address of the table's rows."""
    query: Query
    version: str | None
    """The version that the address names, if it names one."""
    own: Mapping[str, str]
    """Parameters of the page that are no part of the query."""

    def row_url(self, number: int, **more: str) -> str:
        """The address of a row in this query."""
        changes = {VERSION: self.table.version, **more}
        return self.query.url(f"{self.here}/rows/{number}", page=None, **changes)

    def checked(self) -> TableView:
        """Itself, if its version is still the published one.

        Raises:
            ChangedError: The table was made again; row numbers mean other rows now.
        """
        if self.version is not None and self.version != self.table.version:
            raise ChangedError(self.table, self.query.url(self.here))
        return self


def shelf_of(request: Request) -> Shelf:
    """The application's shelf."""
    shelf: Shelf = request.app.state.shelf
    return shelf


def view_of(request: Request, *own: str) -> TableView:
    """The table and the query that an address names.

    Args:
        request: The request.
        *own: Parameters of the page that are no part of the query.

    Raises:
        NotInStoreError: The store does not hold it.
        BadQueryError: A parameter is unknown or has a wrong value.
    """
    library, path = shelf_of(request).library, request.path_params
    if "release" in path:
        table, here = library.release_table(path["release"]), rows_address(path["release"])
    else:
        names = path["task"], path["subtask"], path["stage"]
        table, here = library.partition(*names), rows_address(*names)
    parameters = request.query_params.multi_items()
    names_of_own = (VERSION, *own)
    own_parameters = only([pair for pair in parameters if pair[0] in names_of_own], names_of_own)
    query = Query.of(pair for pair in parameters if pair[0] not in names_of_own)
    return TableView(table, here, query, own_parameters.pop(VERSION, None), own_parameters)


def selected(request: Request, view: TableView) -> Selection | Progress:
    """The rows of a page's query, or how far their index is."""
    index = shelf_of(request).indexes.get(view.table)
    return index if isinstance(index, Progress) else select(index, view.query)


def only(parameters: Iterable[tuple[str, str]], known: Iterable[str]) -> dict[str, str]:
    """The parameters of a page that has no query.

    Raises:
        BadQueryError: One is unknown, comes twice or is too long.
    """
    names, values = set(known), dict[str, str]()
    for name, value in parameters:
        if name not in names:
            raise BadQueryError(f"{name[:60]!r} is no parameter of this page")
        if name in values:
            raise BadQueryError(f"{name!r} is given twice")
        if len(value) > 300:
            raise BadQueryError(f"{name!r} is longer than 300 characters")
        values[name] = value
    return values
