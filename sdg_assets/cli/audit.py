"""`sdg audit`: a sample of rows by strata, for people to read in `sdg browse`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.options import AsJson
from sdg_assets.cli.terminal import Column
from sdg_assets.errors import PermanentError

if TYPE_CHECKING:
    from sdg_assets.browse.library import Library
    from sdg_assets.browse.tables import Table

COLUMNS = (Column("row", right=True), Column("subtask"), Column("id", spare=2), Column("question"))
QUESTION = 100


def audit(
    rows_of: Annotated[
        str | None,
        typer.Argument(
            metavar="ROWS",
            help="task/subtask for the rows of its `filtered`, or a release's id. Default: the "
            "latest release.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="Rows to draw.")] = 100,
    as_json: AsJson = False,
) -> int:
    """Draw accepted rows by strata for people to read: writer, variation, topic and subtask.

    Each stratum gives a row in turn, so small ones are read too. Prints the rows, and the address
    in `sdg browse` where they are read one after the other and get a verdict each. The card of the
    next release states how many rows were read, and what was found.
    """
    from sdg_assets.browse.index import Index
    from sdg_assets.browse.indexing import Indexes
    from sdg_assets.browse.library import Library
    from sdg_assets.browse.links import rows_url
    from sdg_assets.browse.rows import rows_at
    from sdg_assets.browse.selection import Query, select
    from sdg_assets.cli.browse import HOST, PORT
    from sdg_assets.environment import cache_directory
    from sdg_assets.settings import settings
    from sdg_assets.store.partitions import Store
    from sdg_assets.store.review import reviewed

    library = Library(Store(settings().store))
    table, names = _table(library, rows_of)
    with terminal.busy("reading the rows"):
        index = Indexes(cache_directory("browse"), patience=None).get(table)
    assert isinstance(index, Index)
    query = Query(sample=sample, filters={"state": "accepted"})
    drawn = rows_at(index, [int(row) for row in select(index, query).rows])
    address = query.url(rows_url(settings().browse_url or f"http://{HOST}:{PORT}", *names))
    if as_json:
        lines = [{"number": row.number, "id": row.id, "row": dict(row.fields)} for row in drawn]
        terminal.write_json({"address": address, "rows": lines})
        return 0
    terminal.write_table(
        COLUMNS,
        [
            (
                row.number,
                f"{row.fields.get('task')}/{row.fields.get('subtask')}",
                row.id,
                " ".join(str(row.fields.get("question", "")).split())[:QUESTION],
            )
            for row in drawn
        ],
    )
    terminal.note(reviewed(library.store, library.subtasks(), {row.id for row in drawn}).sentence())
    terminal.note(f"read them at {address} (`sdg browse`)")
    return 0


def _table(library: Library, rows_of: str | None) -> tuple[Table, tuple[str, ...]]:
    """The rows to draw from, and the names of their page."""
    from sdg_assets.records import Stage

    if rows_of and "/" in rows_of:
        task, _, subtask = rows_of.partition("/")
        names = (task, subtask, Stage.FILTERED.value)
        return library.partition(*names), names
    if rows_of:
        return library.release_table(rows_of), (rows_of,)
    latest = next((release for release in library.releases() if release.is_latest), None)
    if latest is None:
        raise PermanentError("audit: there is no release yet; name a subtask, like gsm8k/gsm8k")
    return library.release_table(latest.id), (latest.id,)
