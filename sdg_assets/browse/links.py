"""Addresses of pages, also for those who link to them from elsewhere."""

from __future__ import annotations

from urllib.parse import quote


def address(*names: str) -> str:
    """The path of a page; its parts are names in the store."""
    return "/" + "/".join(quote(name, safe="") for name in names)


def rows_address(*names: str) -> str:
    """The path of a table's rows.

    Args:
        *names: Task, subtask and stage of a partition, or the id of a release.
    """
    return address("releases" if len(names) == 1 else "subtasks", *names)


def rows_url(base: str, *names: str) -> str:
    """The whole address of a table's rows.

    Args:
        base: Where `sdg browse` is reached (`SDG_BROWSE_URL`).
        *names: As for `rows_address`.
    """
    return base.rstrip("/") + rows_address(*names)
