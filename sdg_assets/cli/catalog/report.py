"""Reports on the catalog: its tasks as a table or as JSON, and its unchecked facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sdg_assets.catalog.loader import FAMILIES, Catalog
from sdg_assets.catalog.protected import load_protected
from sdg_assets.catalog.seed_task import SeedTask
from sdg_assets.cli import terminal
from sdg_assets.cli.terminal import Column

COLUMNS = (
    Column("task"),
    Column("family"),
    Column("domain", spare=4),
    Column("kind", spare=2),
    Column("subtasks", right=True),
    Column("rows", right=True),
    Column("licence", spare=3),
    Column("commercial", spare=1),
    Column(""),
)


def overview(catalog: Catalog) -> dict[str, Any]:
    """All tasks and the totals, as `--json` prints them. Rows count enabled subtasks only."""
    tasks = [_entry(task) for _, task in sorted(catalog.tasks.items())]
    return {
        "tasks": tasks,
        "totals": {
            **{f: _total(t for t in tasks if t["family"] == f) for f in FAMILIES},
            "all": _total(tasks),
        },
    }


def write_overview(report: dict[str, Any]) -> None:
    """Prints the overview as a table. `+` after a number: some subtasks do not declare their rows.

    Args:
        report: The result of `overview`.
    """
    order = {family: at for at, family in enumerate(FAMILIES)}
    tasks = sorted(report["tasks"], key=lambda t: (order[t["family"]], t["task"]))
    lines = [
        (
            task["task"],
            task["family"],
            task["domain"],
            task["answer_kind"],
            f"{task['subtasks_on']}/{task['subtasks']}",
            f"{task['rows']:,}" + ("+" if task["subtasks_without_rows"] else ""),
            task["license"],
            task["commercial_use"],
            "on" if task["enabled"] else "off",
        )
        for task in tasks
    ]
    totals = [
        (
            name,
            f"{total['tasks_on']}/{total['tasks']} on",
            "",
            "",
            f"{total['subtasks_on']}/{total['subtasks']}",
            f"{total['rows']:,}",
            "",
            "",
            "",
        )
        for name, total in report["totals"].items()
    ]
    terminal.write_table(COLUMNS, [*lines, ("",) * len(COLUMNS), *totals])
    off = [task for task in tasks if not task["enabled"]]
    if off:
        terminal.write("\noff:")
    for task in off:
        terminal.write(f"  {task['task']}: {task['why']}")


def guesses(catalog: Catalog) -> list[str]:
    """Facts of the catalog that are marked as guesses.

    Returns:
        `<task>: <field>` for a field, `<task>/<subtask>` for a subtask's number of rows,
        `protected/<benchmark>` for a benchmark's columns.
    """
    facts = []
    for name, task in sorted(catalog.tasks.items()):
        facts += [f"{name}: {field}" for field, sure in task.certainty.items() if sure == "guess"]
        facts += [f"{name}/{key}" for key, s in task.subtasks.items() if s.certainty == "guess"]
    facts += [f"protected/{b.name}" for b in load_protected() if b.certainty == "guess"]
    return facts


def _entry(task: SeedTask) -> dict[str, Any]:
    enabled = task.enabled_subtasks()
    return {
        "task": task.task,
        "family": task.family,
        "domain": task.domain,
        "behaviours": task.behaviours,
        "skills": task.skills,
        "answer_kind": task.answer_kind.value,
        "languages": task.languages,
        "dataset": task.dataset,
        "license": task.license,
        "commercial_use": task.commercial_use,
        "enabled": bool(enabled),
        "why": task.why,
        "subtasks_on": len(enabled),
        "subtasks": len(task.subtasks),
        "rows": task.declared_rows(),
        "subtasks_without_rows": sum(task.subtasks[key].rows is None for key in enabled),
    }


def _total(tasks: Iterable[dict[str, Any]]) -> dict[str, int]:
    tasks = list(tasks)
    return {
        "tasks_on": sum(task["enabled"] for task in tasks),
        "tasks": len(tasks),
        **{key: sum(t[key] for t in tasks) for key in ("subtasks_on", "subtasks", "rows")},
    }
