"""`python -m sdg_assets.gates preview`: what the gates would drop, before anything is applied."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from sdg_assets.catalog import configured_catalog
from sdg_assets.cli.command import command
from sdg_assets.cli.preview.report import named, preview, report, subtasks, tried
from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.gates.contamination import Contamination, ContaminationThresholds
from sdg_assets.heldout.protection import protection
from sdg_assets.settings import settings
from sdg_assets.stages.training_rows import training_rows
from sdg_assets.store.partitions import Store


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The command line; None for the process's own.

    Returns:
        0; 2 where the command cannot be done.
    """
    _preview(_parser().parse_args(arguments))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sdg_assets.gates", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    options = commands.add_parser("preview", help="rows that each gate would drop, with examples")
    options.add_argument("--task", required=True)
    options.add_argument("--subtask", help="default: all that have rows in the store")
    options.add_argument("--gate", help="this gate alone")
    options.add_argument("--examples", type=int, default=2, help="rows shown for each reason")
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a threshold to try, its value as JSON: question_chars=[20,500]",
    )
    return parser


def _preview(options: argparse.Namespace) -> None:
    knobs, only = settings(), named(options.gate)
    catalog, store = configured_catalog(knobs), Store(knobs.store)
    changes = dict(_assignment(text) for text in options.set)
    task = catalog.task(options.task)
    keys = [options.subtask] if options.subtask else task.enabled_subtasks()
    specs = [catalog.subtask(task.task, key) for key in keys]
    stored = subtasks(keys, store, task.task)
    for spec in specs:
        if spec.key in stored:
            thresholds = tried([knobs.gates, spec.gates, changes])
            try:
                held = protection(
                    store, catalog, [spec], knobs.without_benchmarks, knobs.seed_source
                )
                background = held.index.background(training_rows(spec, store))
                own = f"{spec.task}/{spec.key}"
                drawn = thresholds.of(ContaminationThresholds)
                heldout = Contamination(held.index, drawn, own, background)
            except StoreError as error:
                print(f"contamination is left out: {error}", file=sys.stderr)
                heldout = None
            for line in report(preview(store, spec, thresholds, only, options.examples, heldout)):
                print(line)


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise PermanentError(f"--set {text}: NAME=VALUE is expected")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value


if __name__ == "__main__":
    sys.exit(main())
