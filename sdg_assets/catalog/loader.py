"""Loads the catalog's YAML files as validated seed tasks; one error names all faults."""

from __future__ import annotations

import gc
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdg_assets.catalog.derivations import derivation_breaks, held_out_by_tasks
from sdg_assets.catalog.files import faults, read_yaml
from sdg_assets.catalog.licences import DUTIES, licences
from sdg_assets.catalog.lm_eval_index import recorded
from sdg_assets.catalog.protected import load_protected
from sdg_assets.catalog.seed_task import SeedTask
from sdg_assets.catalog.subtask_spec import SubtaskSpec
from sdg_assets.catalog.taxonomy import AXES, Taxonomy, load_taxonomy
from sdg_assets.catalog.templates import template_fault
from sdg_assets.catalog.topic_tree import topic_tree
from sdg_assets.catalog.train_only import train_only_breaks
from sdg_assets.environment import nearest
from sdg_assets.errors import CatalogError
from sdg_assets.settings import Settings
from sdg_assets.thresholds import overridden

BUILT_IN = Path(__file__).parent
FAMILIES = ("knowledge", "reasoning")


@dataclass(frozen=True)
class Catalog:
    """All seed tasks by name, including tasks that are switched off."""

    tasks: Mapping[str, SeedTask]

    def enabled(self) -> list[SeedTask]:
        """The tasks with at least one enabled subtask, sorted by name."""
        return [t for _, t in sorted(self.tasks.items()) if t.enabled_subtasks()]

    def task(self, name: str) -> SeedTask:
        """The task with this name.

        Raises:
            CatalogError: No such task; the message suggests similar names.
        """
        if name not in self.tasks:
            raise CatalogError(f"unknown seed task {name!r}; {nearest(name, self.tasks)}")
        return self.tasks[name]

    def subtask(self, task: str, key: str) -> SubtaskSpec:
        """An enabled subtask with the values it inherits from its task.

        Raises:
            CatalogError: Unknown task, unknown subtask, or a subtask that is switched off.
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
def _garbage_collection_paused() -> Iterator[None]:
    """Pauses garbage collection, which takes a tenth of the loading time and frees very little."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_garbage_collection_paused()
def load_catalog(directory: Path | None = None, allow_canary: Collection[str] = ()) -> Catalog:
    """Reads `knowledge/*.yaml`, `reasoning/*.yaml`, and subtask files in folders named after them.

    Args:
        directory: The catalog's directory; None for the built-in catalog.
        allow_canary: Names of tasks to enable although their rows carry a canary.

    Raises:
        CatalogError: Files are malformed or break a rule; one line for each problem.
    """
    root = (directory or BUILT_IN).resolve()
    files = [f for family in FAMILIES for f in sorted((root / family).glob("*.yaml"))]
    problems = [*_files_with_another_ending(root), *_subtask_files_without_task(root)]
    if not files and not problems:
        raise CatalogError(f"{root}: no catalog files in knowledge/ or reasoning/")
    tasks: dict[str, SeedTask] = {}
    for file in files:
        try:
            task = _read(file)
        except CatalogError as error:
            problems.append(str(error))
            continue
        if task.task in tasks:
            problems.append(
                f"{file}: task {task.task!r} is also defined in {tasks[task.task].path}"
            )
        tasks[task.task] = task
    problems += _enable_canaries(tasks, allow_canary)
    problems += _duplicate_keys(tasks)
    problems += _invalid_overlaps(tasks)
    problems += _outside_the_taxonomy(tasks, load_taxonomy(root))
    problems += _invalid_templates(tasks)
    problems += _missing_words(tasks)
    problems += _unknown_topics(tasks)
    problems += _forbidden_commercial_use(tasks)
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
    """Like `load_catalog`, but each catalog is loaded once per process."""
    return load_catalog(directory, allow_canary)


def configured_catalog(settings: Settings) -> Catalog:
    """The catalog for the settings SDG_CATALOG and SDG_ALLOW_CANARY, loaded once per process.

    Raises:
        CatalogError: See `load_catalog`; or a subtask's thresholds contradict SDG_GATES.
    """
    gates = json.dumps(settings.gates, sort_keys=True, default=str)
    if problems := _contradictory_thresholds(settings.catalog, settings.allow_canary, gates):
        raise CatalogError("catalog:\n" + "\n".join(problems))
    return cached_catalog(settings.catalog, settings.allow_canary)


@lru_cache(maxsize=4)
def _contradictory_thresholds(
    directory: Path | None, allow_canary: frozenset[str], gates: str
) -> tuple[str, ...]:
    """Problems of thresholds that only together are out of range: a minimum above a maximum.

    Args:
        directory: See `load_catalog`.
        allow_canary: See `load_catalog`.
        gates: SDG_GATES, as JSON.
    """
    problems = []
    for task in cached_catalog(directory, allow_canary).enabled():
        for key in task.enabled_subtasks():
            own = {**task.gates, **task.subtasks[key].gates}
            try:
                overridden(json.loads(gates), own)
            except ValueError as error:
                problems.append(f"{task.path}: subtasks.{key}: gates and SDG_GATES: {error}")
    return tuple(problems)


def _read(file: Path) -> SeedTask:
    data = read_yaml(file)
    if not isinstance(data, dict):
        raise CatalogError(f"{file}: a mapping is expected, found {type(data).__name__}")
    subtasks = data.get("subtasks")
    if isinstance(subtasks, dict):
        data["subtasks"] = subtasks | _subtask_files(file, subtasks)
    try:
        task = SeedTask.model_validate({**data, "path": str(file)})
    except ValidationError as error:
        raise CatalogError(f"{file}: {faults(error)}") from error
    if task.task != file.stem:
        raise CatalogError(f"{file}: task is {task.task!r}; name the file {task.task}.yaml")
    if task.family != file.parent.name:
        raise CatalogError(f"{file}: family is {task.family!r}; move it to {task.family}/")
    return task


def _files_with_another_ending(root: Path) -> Iterator[str]:
    for pattern in (
        "taxonomy.yml",
        *(f"{f}/{each}.yml" for f in FAMILIES for each in ("*", "*/*")),
    ):
        for file in sorted(root.glob(pattern)):
            yield f"{file}: is not read; name it {file.stem}.yaml"


def _subtask_files_without_task(root: Path) -> Iterator[str]:
    for file in sorted(file for family in FAMILIES for file in (root / family).glob("*/*.yaml")):
        task_file = file.parent.with_suffix(".yaml")
        if not task_file.is_file():
            yield f"{file}: its task's file {task_file.name} is missing in {task_file.parent}"


def _subtask_files(task_file: Path, subtasks: Mapping[str, Any]) -> dict[str, Any]:
    """Reads subtasks from files of their own, in a folder next to the task's file.

    `reasoning/gsm8k/gsm8k_sample.yaml` adds the subtask `gsm8k_sample` to `reasoning/gsm8k.yaml`
    without a change to that file.
    """
    added = {}
    for file in sorted(task_file.with_suffix("").glob("*.yaml")):
        if file.stem in subtasks:
            raise CatalogError(f"{file}: subtask {file.stem!r} is also defined in {task_file}")
        added[file.stem] = read_yaml(file)
    return added


def _enable_canaries(tasks: dict[str, SeedTask], allowed: Collection[str]) -> Iterator[str]:
    """Enables the named tasks in place, and yields problems with the names and with other tasks."""
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


def _duplicate_keys(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    # Dagster treats the partitions definitions of two tasks with the same keys as equal, and puts
    # both tasks into one run. Globally unique keys prevent that.
    owner: dict[str, str] = {}
    for task in tasks.values():
        for key in task.subtasks:
            if owner.setdefault(key, task.task) != task.task:
                yield f"{task.path}: subtask {key!r} is also defined in {owner[key]}"


def _outside_the_taxonomy(tasks: Mapping[str, SeedTask], taxonomy: Taxonomy) -> Iterator[str]:
    for task in tasks.values():
        for place, owner in (
            ("", task),
            *((f"subtasks.{k}.", s) for k, s in task.subtasks.items()),
        ):
            for axis in AXES:
                for fault in taxonomy.faults(axis, getattr(owner, axis) or ()):
                    yield f"{task.path}: {place}{fault}"


def _invalid_templates(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    for task in tasks.values():
        records = {
            "": task.record,
            **{f"subtasks.{k}.": s.record for k, s in task.subtasks.items()},
        }
        for place, record in records.items():
            for name, template in record.templates() if record else ():
                if fault := template_fault(template):
                    yield f"{task.path}: {place}record.{name}: {fault} in {template!r}"


def _missing_words(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    for task in tasks.values():
        of_task = task.record.missing_words() if task.record else []
        for key, subtask in task.subtasks.items():
            missing = of_task
            if subtask.record is not None or subtask.words is not None:
                record = task.resolve(key).record
                missing = record.missing_words() if record else []
            if missing:
                yield f"{task.path}: subtasks.{key}: its `words` lack {', '.join(missing)}"


def _unknown_topics(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    for task in tasks.values():
        for place, topics in (
            ("", task.topics),
            *((f"subtasks.{key}.", subtask.topics) for key, subtask in task.subtasks.items()),
        ):
            for part in topics if isinstance(topics, list) else ():
                if fault := topic_tree().fault(part):
                    yield f"{task.path}: {place}topics: {fault}"


def _forbidden_commercial_use(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    for task in tasks.values():
        for spec in map(task.resolve, task.subtasks):
            licence = licences().of_data(spec.license)
            if spec.commercial_use == "yes" and licence.forbids_commercial_use:
                yield (
                    f"{task.path}: subtasks.{spec.key}: commercial_use is `yes`, but {spec.license}"
                    f" asks: {'; '.join(DUTIES[duty] for duty in licence.asks)}"
                )


def _invalid_overlaps(tasks: Mapping[str, SeedTask]) -> Iterator[str]:
    for task in tasks.values():
        for other in task.overlaps:
            if other not in tasks:
                hint = nearest(other, tasks)
                yield f"{task.path}: overlaps: unknown seed task {other!r}; {hint}"
            elif task.task in tasks[other].overlaps:
                yield (
                    f"{task.path}: overlaps {other!r}, which also overlaps it: neither task would "
                    "seed the shared rows"
                )
