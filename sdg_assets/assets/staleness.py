"""Stale partitions: the version of an input has changed since the partition was made.

Every materialization records the versions of its inputs, so staleness is a comparison of recorded
and current versions. Dagster's automation conditions track single changes instead: a change that
arrived while a partition was being made was cleared by the partition's own update. Their first
evaluation of 4,242 partitions also took 131 s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dagster as dg

from sdg_assets.assets.keys import BENCHMARKS, PASSAGES, asset_key
from sdg_assets.assets.newest import Tags, newest_tags
from sdg_assets.assets.provenance import INCOMPLETE_TAG, version_of_all
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import SeedTask, load_protected
from sdg_assets.dagster_internals import (
    DATA_VERSION_TAG,
    extract_data_version_from_entry,
    get_input_data_version_tag,
)
from sdg_assets.errors import PermanentError
from sdg_assets.records import Role, Stage, content_id
from sdg_assets.settings import settings
from sdg_assets.stages.stage import REMADE_STAGES, TASK_STAGES, TEACHER_STAGES

REMADE_TAG = "remake_stale"
"""Tag of the runs by which the sensor `remake_stale` makes stale partitions again."""
Versions = dict[dg.AssetKey, str]


@dataclass(frozen=True)
class Made:
    """The newest materializations of a seed task."""

    task: str
    tags: Mapping[Stage, Mapping[str, Tags]]
    """Stage → subtask → tags with the versions of the partition and of its inputs."""

    def stale_stages(self, subtask: str, shared: Versions) -> dict[Stage, list[dg.AssetKey]]:
        """The stale stages of a subtask.

        Args:
            subtask: The subtask's key.
            shared: Versions of the inputs that all tasks share; see `shared_versions`.

        Returns:
            Materialized stage whose inputs have changed → the changed inputs.
        """
        now = self._versions(subtask) | shared
        stale = {}
        for stage in REMADE_STAGES:
            tags = self.tags[stage].get(subtask, {})
            made_from = {key: tags.get(get_input_data_version_tag(key)) for key in now}
            if changed := [key for key, old in made_from.items() if old and old != now[key]]:
                stale[stage] = changed
        return stale

    def incomplete_stages(self, subtask: str) -> list[Stage]:
        """The stages of a subtask that a budget of tokens ended before all rows were made."""
        return [s for s in TEACHER_STAGES if INCOMPLETE_TAG in self.tags[s].get(subtask, {})]

    def inputs(self, stage: Stage, subtask: str, shared: Versions) -> str:
        """A hash of the current versions of a stage's inputs: it changes when one of them does."""
        now, tags = self._versions(subtask) | shared, self.tags[stage].get(subtask, {})
        named = {key: v for key, v in now.items() if get_input_data_version_tag(key) in tags}
        return content_id(sorted((key.to_user_string(), v) for key, v in named.items()))[:12]

    def _versions(self, subtask: str) -> Versions:
        return {
            asset_key(self.task, stage): version
            for stage, partitions in self.tags.items()
            if (version := partitions.get(subtask, {}).get(DATA_VERSION_TAG))
        }


@dataclass(frozen=True)
class Stale:
    """The first stale stage of a subtask. Downstream stages follow once it is made again."""

    task: str
    stage: Stage
    subtask: str
    inputs: str
    """See `Made.inputs`."""
    changed: tuple[str, ...]
    """The changed inputs, as asset names of the UI."""

    @property
    def name(self) -> str:
        """The partition as `task/stage/subtask`."""
        return f"{self.task}/{self.stage}/{self.subtask}"


def made_of(instance: dg.DagsterInstance, tasks: Iterable[SeedTask]) -> list[Made]:
    """The newest materializations of the tasks' enabled subtasks, in the order of the tasks."""
    subtasks = {task.task: task.enabled_subtasks() for task in tasks}
    tags = newest_tags(
        instance, {asset_key(task, s): keys for task, keys in subtasks.items() for s in TASK_STAGES}
    )
    return [
        Made(task, {stage: tags[asset_key(task, stage)] for stage in TASK_STAGES})
        for task in subtasks
    ]


def stop_if_superseded(
    context: dg.AssetExecutionContext, task: SeedTask, stage: Stage, subtask: str
) -> None:
    """Stops a re-run by `remake_stale` if an upstream stage has become stale; see `superseded`.

    Raises:
        PermanentError: An upstream stage is stale. The sensor makes that stage first, then this.
    """
    if reason := superseded(context.instance, context.run, task, stage).get(subtask):
        raise PermanentError(reason)


def superseded(
    instance: dg.DagsterInstance, run: dg.DagsterRun, task: SeedTask, stage: Stage
) -> dict[str, str]:
    """The subtasks that a re-run by `remake_stale` would make from old rows, each with the reason.

    A run may wait a day for a GPU. If the writer changes in the meantime, the rows that the run is
    about to vote on are stale. Runs that a person launched are not stopped.

    Args:
        instance: Where the materializations are recorded.
        run: The run.
        task: The seed task.
        stage: The stage that the run makes.
    """
    if REMADE_TAG not in run.tags:
        return {}
    upstream = REMADE_STAGES[: REMADE_STAGES.index(stage)]
    return {
        stale.subtask: f"superseded: {stale.name} has become stale ({', '.join(stale.changed)} "
        "changed), so this partition would be made from old rows. The sensor remake_stale makes "
        "the upstream stage first, then this one; you need not do anything"
        for stale in first_stale(instance, [task])
        if stale.stage in upstream
    }


def teacher_versions(instance: dg.DagsterInstance) -> Versions:
    """The observed version of each teacher; those that were never observed are left out."""
    versions: Versions = {}
    for role in reversed(Role):
        record = instance.get_latest_data_version_record(TEACHERS[role], is_source=True)
        if record and (version := extract_data_version_from_entry(record.event_log_entry)):
            versions[TEACHERS[role]] = version.value
    return versions


def shared_versions(instance: dg.DagsterInstance) -> Versions:
    """Versions of the teachers, of the passages if they are on, and of the benchmarks' hashes.

    An observation records the writer first, so its version is read last here: then a new solver is
    never seen without the new writer. Otherwise a sensor tick during an observation would have
    `enriched` made from the old writer's rows, and waste all its votes.
    """
    versions = teacher_versions(instance)
    if settings().passages:
        record = instance.get_latest_data_version_record(PASSAGES)
        if record and (version := extract_data_version_from_entry(record.event_log_entry)):
            versions[PASSAGES] = version.value
    names = [benchmark.name for benchmark in load_protected()]
    if hashed := version_of_all(instance, BENCHMARKS, names):
        versions[BENCHMARKS] = hashed.version
    return versions


def first_stale(instance: dg.DagsterInstance, tasks: Iterable[SeedTask]) -> list[Stale]:
    """The first stale stage of each subtask that has one.

    Args:
        instance: Where the materializations are recorded.
        tasks: The seed tasks to look at.
    """
    # Shared versions are read second: a version read later can only make more partitions stale.
    tasks = list(tasks)
    made = made_of(instance, tasks)
    shared = shared_versions(instance)
    stale_partitions = []
    for task, partitions in zip(tasks, made, strict=True):
        for subtask in task.enabled_subtasks():
            for stage, changed in partitions.stale_stages(subtask, shared).items():
                inputs = partitions.inputs(stage, subtask, shared)
                names = tuple(key.to_user_string() for key in changed)
                stale_partitions.append(Stale(task.task, stage, subtask, inputs, names))
                break
    return stale_partitions
