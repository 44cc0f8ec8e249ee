"""`python -m sdg_assets.catalog`: what is seeded, whether it may be, and how a row comes out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from sdg_assets.catalog import citations
from sdg_assets.catalog.lm_eval_index import installed, recorded, write
from sdg_assets.catalog.loader import BUILT_IN, FAMILIES, configured_catalog, load_catalog
from sdg_assets.cli.catalog.check import absent_splits, differences, stale_index
from sdg_assets.cli.catalog.draft import draft
from sdg_assets.cli.catalog.report import guesses, overview, table
from sdg_assets.cli.catalog.show import show
from sdg_assets.cli.command import command
from sdg_assets.errors import CatalogError
from sdg_assets.settings import settings
from sdg_assets.sources.source import open_source


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The command line; None for the process's own.

    Returns:
        0; 1 where `check` found differences; 2 where the command cannot be done.
    """
    options = _parser().parse_args(arguments)
    return {
        "check": _check,
        "guesses": _guesses,
        "new": _new,
        "show": _show,
        None: _table,
    }[options.command](options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sdg_assets.catalog", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the table for machines")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("guesses", help="facts that nobody has checked yet")
    check = commands.add_parser("check", help="compare with the installed lm-eval")
    check.add_argument("--update", action="store_true", help="rewrite lm-eval's facts first")
    check.add_argument("--source", help="look for the seed splits, too: samples, hub, mirror:<dir>")
    shown = commands.add_parser("show", help="the first rows of a task, raw beside normalized")
    shown.add_argument("task")
    shown.add_argument("--subtask", help="default: the first that is switched on")
    shown.add_argument("--source", help="samples, hub or mirror:<dir>; default: SDG_SEED_SOURCE")
    shown.add_argument("--rows", type=int, default=3)
    new = commands.add_parser("new", help="draft a task from what lm-eval declares")
    new.add_argument("lm_eval_task", help="a leaf, a group or a tag")
    new.add_argument("--family", choices=FAMILIES, default=FAMILIES[0])
    return parser


def _table(options: argparse.Namespace) -> int:
    report = overview(configured_catalog(settings()))
    print(json.dumps(report, ensure_ascii=False, indent=1) if options.json else table(report))
    return 0


def _guesses(_options: argparse.Namespace) -> int:
    found = guesses(configured_catalog(settings()))
    print("\n".join(found) or "every fact is marked as seen or known")
    return 0


def _check(options: argparse.Namespace) -> int:
    index = installed()
    if options.update:
        write(index)
        recorded.cache_clear()
        citations.write(citations.collect(load_catalog()))
    catalog = configured_catalog(settings())
    found = [*stale_index(recorded(), index), *differences(catalog, index)]
    if options.source:
        found += absent_splits(catalog, open_source(options.source))
    for difference in found:
        print(difference)
    count = sum(len(task.subtasks) for task in catalog.tasks.values())
    print(f"{len(found)} differences in {count} subtasks from lm-eval {index.version}")
    return 1 if found else 0


def _show(options: argparse.Namespace) -> int:
    task = configured_catalog(settings()).task(options.task)
    key = options.subtask or next(iter(task.enabled_subtasks() or task.subtasks))
    if key not in task.subtasks:
        raise CatalogError(f"seed task {task.task!r} has no subtask {key!r}")
    source = open_source(options.source or settings().seed_source)
    for block in show(task.resolve(key), source, options.rows):
        print(block, end="\n\n")
    return 0


def _new(options: argparse.Namespace) -> int:
    text = draft(options.lm_eval_task, options.family)
    name = text.split("\n", 1)[0].removeprefix("task: ")
    directory = Path(settings().catalog or BUILT_IN) / options.family
    file = directory / f"{name}.yaml"
    if file.exists():
        raise CatalogError(f"{file} exists already")
    directory.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
