"""Arguments and options that several subcommands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sdg_assets.errors import CatalogError

if TYPE_CHECKING:
    from sdg_assets.catalog import Catalog, SubtaskSpec

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Subtasks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TASK",
        help="Seed tasks or subtasks, like gsm8k or arc/arc_easy. Default: all enabled ones.",
        show_default=False,
    ),
]
OneTask = Annotated[
    str,
    typer.Argument(metavar="TASK", help="A seed task or one subtask, like gsm8k or arc/arc_easy."),
]
OneSubtask = Annotated[
    str, typer.Argument(metavar="TASK/SUBTASK", help="The subtask whose prompts are used.")
]


def one_selected(name: str) -> SubtaskSpec:
    """The subtask of the configured catalog that is named `task/subtask`.

    Raises:
        CatalogError: The name is not of this form, or the catalog has no such subtask.
    """
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.settings import settings

    task, slash, subtask = name.partition("/")
    if not slash:
        raise CatalogError(f"{name!r} is not a subtask; write it as task/subtask: {task}/…")
    return configured_catalog(settings()).subtask(task, subtask)


def selected(catalog: Catalog, names: Sequence[str] | None) -> list[SubtaskSpec]:
    """The subtasks that a command line selects.

    Args:
        catalog: The catalog.
        names: `task` for all enabled subtasks of a task, or `task/subtask`. None or empty for all
            enabled subtasks. A subtask that is named twice is selected once.

    Raises:
        CatalogError: The catalog has no such task or subtask.
    """
    specs: dict[tuple[str, str], SubtaskSpec] = {}
    for name in names or [task.task for task in catalog.enabled()]:
        task, _, subtask = name.strip().partition("/")
        keys = [subtask] if subtask else catalog.task(task).enabled_subtasks()
        specs |= {(task, key): catalog.subtask(task, key) for key in keys}
    return list(specs.values())
