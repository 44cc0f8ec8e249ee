"""What the catalog holds: a table for people, the same as JSON, and what nobody has checked yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sdg_assets.catalog.loader import FAMILIES, Catalog
from sdg_assets.catalog.models import SeedTask
from sdg_assets.catalog.protected import load_protected

COLUMNS = ("task", "family", "domain", "kind", "subtasks", "rows", "licence", "commercial", "")


def overview(catalog: Catalog) -> dict[str, Any]:
    """Every task and the totals, as `--json` prints them. Rows are those of what is switched on."""
    tasks = [_entry(task) for _, task in sorted(catalog.tasks.items())]
    return {
        "tasks": tasks,
        "totals": {
            **{f: _total(t for t in tasks if t["family"] == f) for f in FAMILIES},
            "all": _total(tasks),
        },
    }


def table(report: dict[str, Any]) -> str:
    """The overview for a terminal; `+` marks rows of which some subtasks declare none."""
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
    off = [f"  {task['task']}: {task['why']}" for task in tasks if not task["enabled"]]
    text = _aligned([COLUMNS, *lines, ("",) * len(COLUMNS), *totals], right=(4, 5))
    return "\n".join([text, *(["", "off:", *off] if off else [])])


def guesses(catalog: Catalog) -> list[str]:
    """Facts that nobody has checked.

    `<task>: <field>`, `<task>/<subtask>` for its rows, `protected/<benchmark>` for its columns.
    """
    found = []
    for name, task in sorted(catalog.tasks.items()):
        found += [f"{name}: {field}" for field, sure in task.certainty.items() if sure == "guess"]
        found += [f"{name}/{key}" for key, s in task.subtasks.items() if s.certainty == "guess"]
    found += [f"protected/{b.name}" for b in load_protected() if b.certainty == "guess"]
    return found


def _entry(task: SeedTask) -> dict[str, Any]:
    on = task.enabled_subtasks()
    return {
        "task": task.task,
        "family": task.family,
        "domain": task.domain,
        "answer_kind": task.answer_kind.value,
        "languages": task.languages,
        "dataset": task.dataset,
        "license": task.license,
        "commercial_use": task.commercial_use,
        "enabled": bool(on),
        "why": task.why,
        "subtasks_on": len(on),
        "subtasks": len(task.subtasks),
        "rows": task.declared_rows(),
        "subtasks_without_rows": sum(task.subtasks[key].rows is None for key in on),
    }


def _total(tasks: Iterable[dict[str, Any]]) -> dict[str, int]:
    tasks = list(tasks)
    return {
        "tasks_on": sum(task["enabled"] for task in tasks),
        "tasks": len(tasks),
        **{key: sum(t[key] for t in tasks) for key in ("subtasks_on", "subtasks", "rows")},
    }


def _aligned(lines: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    widths = [min(38, max(map(len, column))) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            _cut(cell, width).rjust(width) if at in right else _cut(cell, width).ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
