"""`sdg catalog`: list, check and draft seed tasks, and show their mapped rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.endings import exit_codes, group
from sdg_assets.cli.options import AsJson, OneTask
from sdg_assets.errors import CatalogError

app = group("The seed tasks: list them, check them, show their mapped rows, draft new ones.")


@app.command("list", short_help="List all seed tasks.", epilog=exit_codes())
def list_tasks(as_json: AsJson = False) -> int:
    """List every seed task with its subtasks, declared rows, licence and whether it is enabled.

    The column `subtasks` has the enabled ones and all of them. Below the table are the reasons why
    tasks are off.
    """
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.cli.catalog.report import overview, write_overview
    from sdg_assets.settings import settings

    report = overview(configured_catalog(settings()))
    if as_json:
        terminal.write_json(report)
    else:
        write_overview(report)
    return 0


@app.command("show", short_help="Show rows of a task, raw and normalized.", epilog=exit_codes())
def show_rows(
    task: OneTask,
    source: Annotated[
        str | None,
        typer.Option(
            help="samples, hub or mirror:<dir>. Default: SDG_SEED_SOURCE.", show_default=False
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 3,
    as_json: AsJson = False,
) -> int:
    """Show the first rows of a task, raw beside normalized. Look at them when you add a task.

    If only a task is named, the rows are those of its first enabled subtask.
    """
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.cli.catalog.show import beside, show
    from sdg_assets.settings import settings
    from sdg_assets.sources.source import open_source

    name, _, key = task.partition("/")
    seed_task = configured_catalog(settings()).task(name)
    key = key or next(iter(seed_task.enabled_subtasks() or seed_task.subtasks))
    if key not in seed_task.subtasks:
        raise CatalogError(f"seed task {seed_task.task!r} has no subtask {key!r}")
    spec = seed_task.resolve(key)
    opened = open_source(source or settings().seed_source)
    with terminal.busy(f"reading {spec.where}"):
        mapped_rows = list(show(spec, opened, rows))
    if as_json:
        terminal.write_json([row.as_json() for row in mapped_rows])
        return 0
    terminal.write(f"{spec.where} from {opened.name}\n")
    line = "│" if terminal.is_terminal() else "|"
    for row in mapped_rows:
        terminal.write(f"{beside(row, terminal.width(), line)}\n")
    return 0


@app.command(
    "check",
    short_help="Compare the catalog with lm-eval.",
    epilog=exit_codes("there are differences"),
)
def check(
    update: Annotated[
        bool, typer.Option("--update", help="First rewrite the catalog's copy of lm-eval's facts.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            help="Also look for the seed splits in a source: samples, hub or mirror:<dir>.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Compare the catalog with the installed lm-eval: leaves, datasets and held-out splits."""
    from sdg_assets.catalog import citations
    from sdg_assets.catalog.lm_eval_index import installed, recorded, write
    from sdg_assets.catalog.loader import cached_catalog, configured_catalog, load_catalog
    from sdg_assets.cli.catalog.check import absent_splits, differences, stale_index
    from sdg_assets.settings import settings
    from sdg_assets.sources.source import open_source

    with terminal.busy("reading lm-eval's tasks"):
        index = installed()
        if update:
            write(index)
            recorded.cache_clear()
            cached_catalog.cache_clear()
            citations.write(citations.collect(load_catalog()))
        catalog = configured_catalog(settings())
        problems = [*stale_index(recorded(), index), *differences(catalog, index)]
        if source:
            problems += absent_splits(catalog, open_source(source))
    subtasks = sum(len(task.subtasks) for task in catalog.tasks.values())
    if as_json:
        report = {"lm_eval": index.version, "subtasks": subtasks, "differences": problems}
        terminal.write_json(report)
    else:
        for problem in problems:
            terminal.write(problem)
        terminal.write(
            f"{len(problems)} differences in {subtasks} subtasks from lm-eval {index.version}"
        )
    return 1 if problems else 0


@app.command("new", short_help="Draft a seed task from lm-eval.", epilog=exit_codes())
def new(
    lm_eval_task: Annotated[str, typer.Argument(help="A leaf, a group or a tag of lm-eval.")],
    family: Annotated[str, typer.Option(help="knowledge or reasoning.")] = "knowledge",
) -> int:
    """Draft a seed task's YAML file from lm-eval's declaration, and print its path.

    The task is off, and the draft marks the facts that a person must look up. SDG_CATALOG selects
    a catalog other than the built-in one.
    """
    from sdg_assets.catalog.loader import BUILT_IN, FAMILIES
    from sdg_assets.cli.catalog.draft import draft
    from sdg_assets.settings import settings

    if family not in FAMILIES:
        raise CatalogError(f"unknown family {family!r}; there are: {', '.join(FAMILIES)}")
    with terminal.busy("reading lm-eval's tasks"):
        text = draft(lm_eval_task, family)
    name = text.split("\n", 1)[0].removeprefix("task: ")
    directory = Path(settings().catalog or BUILT_IN) / family
    file = directory / f"{name}.yaml"
    if file.exists():
        raise CatalogError(f"{file} exists already")
    directory.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    terminal.write(str(file))
    return 0


@app.command("guesses", epilog=exit_codes())
def list_guesses() -> int:
    """List facts of the catalog that nobody has checked yet."""
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.cli.catalog.report import guesses
    from sdg_assets.settings import settings

    unchecked = guesses(configured_catalog(settings()))
    terminal.write("\n".join(unchecked) or "every fact is marked as seen or known")
    return 0
