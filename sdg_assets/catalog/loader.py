"""Reading the catalog: YAML files in, validated seed tasks out, or one error naming every fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sdg_assets.catalog.models import SeedTask, SubtaskSpec
from sdg_assets.errors import CatalogError

BUILT_IN = Path(__file__).parent
FAMILIES = ("knowledge", "reasoning")
# libyaml parses the whole catalog in a fifth of the time; it is missing only on odd platforms.
_YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Catalog:
    """Every seed task by name, switched off ones included."""

    tasks: Mapping[str, SeedTask]

    def enabled(self) -> list[SeedTask]:
        """The tasks that are seeded, sorted by name."""
        return [t for _, t in sorted(self.tasks.items()) if t.enabled_subtasks()]

    def task(self, name: str) -> SeedTask:
        """The task of that name.

        Raises:
            CatalogError: There is none; lists the closest names.
        """
        if name not in self.tasks:
            raise CatalogError(f"unknown seed task {name!r}; {_did_you_mean(name, self.tasks)}")
        return self.tasks[name]

    def subtask(self, task: str, key: str) -> SubtaskSpec:
        """One partition.

        Raises:
            CatalogError: Unknown task, unknown subtask, or one that is switched off.
        """
        seed_task = self.task(task)
        if key not in seed_task.subtasks:
            hint = _did_you_mean(key, seed_task.subtasks)
            raise CatalogError(f"seed task {task!r} has no subtask {key!r}; {hint}")
        if key not in seed_task.enabled_subtasks():
            why = seed_task.why if not seed_task.enabled else seed_task.subtasks[key].why
            raise CatalogError(f"{task}/{key} is switched off: {why}")
        return seed_task.resolve(key)


def load_catalog(directory: Path | None = None) -> Catalog:
    """Reads `knowledge/*.yaml` and `reasoning/*.yaml`.

    Args:
        directory: The catalog; None for the built-in one.

    Raises:
        CatalogError: Files that are malformed or break a rule; every problem on a line of its own.
    """
    root = (directory or BUILT_IN).resolve()
    files = [f for family in FAMILIES for f in sorted((root / family).glob("*.yaml"))]
    if not files:
        raise CatalogError(f"{root}: no catalog files in knowledge/ or reasoning/")
    tasks: dict[str, SeedTask] = {}
    problems: list[str] = []
    for file in files:
        try:
            task = _read(file)
        except CatalogError as error:
            problems.append(str(error))
            continue
        if task.task in tasks:
            problems.append(f"{file}: task {task.task!r} is defined in {tasks[task.task].path} too")
        tasks[task.task] = task
    problems += _rule_breaks(tasks)
    if problems:
        raise CatalogError("catalog:\n" + "\n".join(problems))
    return Catalog(tasks)


@lru_cache(maxsize=4)
def cached_catalog(directory: Path | None = None) -> Catalog:
    """`load_catalog`, once per process and directory."""
    return load_catalog(directory)


def _read(file: Path) -> SeedTask:
    try:
        data: Any = yaml.load(file.read_text("utf-8"), Loader=_YamlLoader)  # noqa: S506 – safe
    except yaml.YAMLError as error:
        raise CatalogError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise CatalogError(f"{file}: a mapping is expected, found {type(data).__name__}")
    try:
        task = SeedTask.model_validate({**data, "path": str(file)})
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
        )
        raise CatalogError(f"{file}: {wrong}") from error
    if task.task != file.stem:
        raise CatalogError(f"{file}: task is {task.task!r}; name the file {task.task}.yaml")
    if task.family != file.parent.name:
        raise CatalogError(f"{file}: family is {task.family!r}; move it to {task.family}/")
    return task


def _rule_breaks(tasks: Mapping[str, SeedTask]) -> list[str]:
    """What one file alone cannot know, and the train-only rules."""
    problems: list[str] = []
    owner: dict[str, str] = {}
    for task in tasks.values():
        for key, subtask in task.subtasks.items():
            # Two tasks with equal key lists have EQUAL partitions definitions in Dagster, which
            # collapses them into one run; globally unique keys rule that out.
            if key in owner:
                problems.append(f"{task.path}: subtask {key!r} stands in {owner[key]} too")
            owner[key] = task.task
            split = subtask.split or task.seed_split
            heldout = task.heldout_splits
            if subtask.heldout_splits is not None:
                heldout = subtask.heldout_splits
            if task.enabled and subtask.enabled and split in heldout:
                problems.append(
                    f"{task.path}: {key}: seed split {split!r} is held out (evaluated on); seeds "
                    "come from training splits only"
                )
    return problems


def _did_you_mean(name: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(sorted(known)[:12])}{' …' if len(known) > 12 else ''}"
