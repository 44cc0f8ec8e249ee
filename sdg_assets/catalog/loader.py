"""Reading the catalog: YAML files in, validated seed tasks out, or one error naming every fault."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdg_assets.catalog.derivations import derivation_breaks, held_out_by_tasks
from sdg_assets.catalog.files import faults, read_yaml
from sdg_assets.catalog.lm_eval_index import recorded
from sdg_assets.catalog.models import SeedTask, SubtaskSpec
from sdg_assets.catalog.protected import load_protected
from sdg_assets.catalog.templates import template_fault
from sdg_assets.catalog.train_only import train_only_breaks
from sdg_assets.environment import nearest
from sdg_assets.errors import CatalogError
from sdg_assets.settings import Settings

BUILT_IN = Path(__file__).parent
FAMILIES = ("knowledge", "reasoning")


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
            raise CatalogError(f"unknown seed task {name!r}; {nearest(name, self.tasks)}")
        return self.tasks[name]

    def subtask(self, task: str, key: str) -> SubtaskSpec:
        """One partition.

        Raises:
            CatalogError: Unknown task, unknown subtask, or one that is switched off.
        """
        seed_task = self.task(task)
        if key not in seed_task.subtasks:
            hint = nearest(key, seed_task.subtasks)
            raise CatalogError(f"seed task {task!r} has no subtask {key!r}; {hint}")
        if key not in seed_task.enabled_subtasks():
            why = seed_task.why if not seed_task.enabled else seed_task.subtasks[key].why
            raise CatalogError(f"{task}/{key} is switched off: {why}")
        return seed_task.resolve(key)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pauses garbage collection, which takes a tenth of the time and finds next to nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_uncollected()
def load_catalog(directory: Path | None = None, allow_canary: Collection[str] = ()) -> Catalog:
    """Reads `knowledge/*.yaml` and `reasoning/*.yaml`, and what lies in folders of their names.

    Args:
        directory: The catalog; None for the built-in one.
        allow_canary: Names of tasks to switch on although their rows ask not to be trained on.

    Raises:
        CatalogError: Files that are malformed or break a rule; every problem on a line of its own.
    """
    root = (directory or BUILT_IN).resolve()
    files = [f for family in FAMILIES for f in sorted((root / family).glob("*.yaml"))]
    if not files:
        raise CatalogError(f"{root}: no catalog files in knowledge/ or reasoning/")
    tasks: dict[str, SeedTask] = {}
    problems = [*_ownerless_folders(root)]
    for file in files:
        try:
            task = _read(file)
        except CatalogError as error:
            problems.append(str(error))
            continue
        if task.task in tasks:
            problems.append(f"{file}: task {task.task!r} is defined in {tasks[task.task].path} too")
        tasks[task.task] = task
    problems += _switch_canaries(tasks, allow_canary)
    problems += _shared_keys(tasks)
    problems += _wrong_overlaps(tasks)
    problems += _wrong_templates(tasks)
    problems += _absent_words(tasks)
    held_out = held_out_by_tasks(tasks.values())
    for task in tasks.values():
        breaks = [
            *train_only_breaks(task, recorded(), load_protected()),
            *derivation_breaks(task, held_out, recorded(), load_protected()),
        ]
        problems += [f"{task.path}: {reason}" for reason in breaks]
    if problems:
        raise CatalogError("catalog:\n" + "\n".join(problems))
    return Catalog(tasks)


@lru_cache(maxsize=4)
def cached_catalog(
    directory: Path | None = None, allow_canary: frozenset[str] = frozenset()
) -> Catalog:
    """`load_catalog`, once a process and arguments."""
    return load_catalog(directory, allow_canary)


def configured_catalog(settings: Settings) -> Catalog:
    """The catalog that the settings name, with the tasks on that SDG_ALLOW_CANARY switches on.

    Read once a process.

    Raises:
        CatalogError: See `load_catalog`.
    """
    return cached_catalog(settings.catalog, settings.allow_canary)


def _read(file: Path) -> SeedTask:
    data = read_yaml(file)
    if not isinstance(data, dict):
        raise CatalogError(f"{file}: a mapping is expected, found {type(data).__name__}")
    given = data.get("subtasks")
    if isinstance(given, dict):
        data["subtasks"] = given | _subtask_files(file, given)
    try:
        task = SeedTask.model_validate({**data, "path": str(file)})
    except ValidationError as error:
        raise CatalogError(f"{file}: {faults(error)}") from error
    if task.task != file.stem:
        raise CatalogError(f"{file}: task is {task.task!r}; name the file {task.task}.yaml")
    if task.family != file.parent.name:
        raise CatalogError(f"{file}: family is {task.family!r}; move it to {task.family}/")
    return task


def _ownerless_folders(root: Path) -> Iterator[str]:
    for more in sorted(file for family in FAMILIES for file in (root / family).glob("*/*.yaml")):
        task = more.parent.with_suffix(".yaml")
        if not task.is_file():
            yield f"{more}: there is no {task.name} beside its folder, whose subtask it would be"


def _subtask_files(file: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Subtasks that have a file of their own, in a folder beside the task's file.

    `reasoning/gsm8k/gsm8k_sample.yaml` adds the subtask `gsm8k_sample` to `reasoning/gsm8k.yaml`,
    so that a subtask can be added without a change to that file.
    """
    subtasks = {}
    for more in sorted(file.with_suffix("").glob("*.yaml")):
        if more.stem in given:
            raise CatalogError(f"{more}: subtask {more.stem!r} stands in {file} too")
        subtasks[more.stem] = read_yaml(more)
    return subtasks


def _switch_canaries(tasks: dict[str, SeedTask], allowed: Collection[str]) -> Iterator[str]:
    """Switches the named tasks on in place; only a name can switch on a task with a canary."""
    for name in sorted(allowed):
        if name not in tasks:
            yield f"SDG_ALLOW_CANARY: unknown seed task {name!r}; {nearest(name, tasks)}"
        elif not tasks[name].canary:
            yield f"SDG_ALLOW_CANARY: the rows of {name!r} carry no canary"
        else:
            tasks[name] = tasks[name].model_copy(update={"enabled": True, "why": None})
    for task in tasks.values():
        if task.canary and task.enabled and task.task not in allowed:
            yield (
                f"{task.path}: its rows ask not to be trained on (canary); keep `enabled: false`, "
                f"and switch it on by name: SDG_ALLOW_CANARY={task.task}"
            )


def _shared_keys(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    # Two tasks with equal key lists have EQUAL partitions definitions in Dagster, which collapses
    # them into one run; globally unique keys rule that out.
    owner: dict[str, str] = {}
    for task in tasks.values():
        for key in task.subtasks:
            if owner.setdefault(key, task.task) != task.task:
                yield f"{task.path}: subtask {key!r} stands in {owner[key]} too"


def _wrong_templates(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    for task in tasks.values():
        records = {
            "": task.record,
            **{f"subtasks.{k}.": s.record for k, s in task.subtasks.items()},
        }
        for place, record in records.items():
            for name, template in record.templates() if record else ():
                if fault := template_fault(template):
                    yield f"{task.path}: {place}record.{name}: {fault} in {template!r}"


def _absent_words(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    for task in tasks.values():
        for key in task.subtasks:
            record = task.resolve(key).record
            absent = record.absent_words() if record else []
            if absent:
                yield f"{task.path}: subtasks.{key}: its `words` lack {', '.join(absent)}"


def _wrong_overlaps(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    for task in tasks.values():
        for other in task.overlaps:
            if other not in tasks:
                hint = nearest(other, tasks)
                yield f"{task.path}: overlaps: unknown seed task {other!r}; {hint}"
            elif task.task in tasks[other].overlaps:
                yield (
                    f"{task.path}: overlaps {other!r}, which overlaps it too: their rows would be "
                    "seeded in neither"
                )
