"""Which partitions are stale: an input has another version than the one they were made from.

Every materialization tells the versions of its inputs, so staleness is a comparison of two states.
It is not followed change by change: Dagster's automation conditions do that, and a change that
arrived while a partition was being made was cleared by the partition's own update. They also took
131 s for the first look at 4,242 partitions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dagster as dg

from sdg_assets.assets.keys import BENCHMARKS, asset_key
from sdg_assets.assets.provenance import version_of_all
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import SeedTask, load_protected
from sdg_assets.dagster_internals import (
    DATA_VERSION_TAG,
    extract_data_version_from_entry,
    get_input_data_version_tag,
)
from sdg_assets.errors import PermanentError
from sdg_assets.records import Role, Stage, content_id
from sdg_assets.stages.stage import REMADE_STAGES, TASK_STAGES

REMADE_TAG = "remake_stale"
"""Tag of the runs that make stale partitions again."""
Versions = dict[dg.AssetKey, str]
Tags = Mapping[str, str]
_READ: dict[tuple[str, dg.AssetKey], dict[int, Tags]] = {}


@dataclass(frozen=True)
class Made:
    """What the newest materializations of a seed task tell."""

    task: str
    tags: Mapping[Stage, Mapping[str, Tags]]
    """Stage → subtask → tags: the partition's own version, and its inputs'."""

    def stale_stages(self, subtask: str, shared: Versions) -> dict[Stage, list[dg.AssetKey]]:
        """The materialized stages of a subtask whose inputs have changed → the changed inputs.

        Args:
            subtask: The partition.
            shared: Versions of the inputs that all tasks share, see `shared_versions`.
        """
        now = self._versions(subtask) | shared
        stale = {}
        for stage in REMADE_STAGES:
            tags = self.tags[stage].get(subtask, {})
            made_from = {key: tags.get(get_input_data_version_tag(key)) for key in now}
            if changed := [key for key, old in made_from.items() if old and old != now[key]]:
                stale[stage] = changed
        return stale

    def inputs(self, stage: Stage, subtask: str, shared: Versions) -> str:
        """A fingerprint of the inputs of a stage as they are now: the same until one changes."""
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
    """The first stale stage of a subtask. What lies below it follows once it is made again."""

    task: str
    stage: Stage
    subtask: str
    inputs: str
    """See `Made.inputs`."""
    changed: tuple[str, ...]
    """The inputs that have changed, as the UI names assets."""

    @property
    def name(self) -> str:
        """As `task/stage/subtask`."""
        return f"{self.task}/{self.stage}/{self.subtask}"


def made_of(instance: dg.DagsterInstance, task: SeedTask) -> Made:
    """What Dagster was told of the enabled subtasks' newest materializations."""
    subtasks = task.enabled_subtasks()
    return Made(
        task.task,
        {
            stage: _newest_tags(instance, asset_key(task.task, stage), subtasks)
            for stage in TASK_STAGES
        },
    )


def stop_if_superseded(
    context: dg.AssetExecutionContext, task: SeedTask, stage: Stage, subtask: str
) -> None:
    """Stops a re-run of stale partitions where a stage above is stale by now.

    A run may wait for a GPU for a day, and a new writer that comes in the meantime makes the rows
    stale that it is about to vote on. A person's own run is not stopped.

    Raises:
        PermanentError: A stage above is stale. The sensor has it made first, and this one then.
    """
    if REMADE_TAG not in context.run.tags:
        return
    above = REMADE_STAGES[: REMADE_STAGES.index(stage)]
    for stale in first_stale(context.instance, [task]):
        if stale.subtask == subtask and stale.stage in above:
            raise PermanentError(
                f"superseded: {stale.name} is stale by now ({', '.join(stale.changed)} changed), "
                "so this would be made from old rows. The sensor remake_stale makes that again "
                "first; nothing is to be done"
            )


def _newest_tags(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: list[str]
) -> dict[str, Tags]:
    """Partition → the tags of its newest materialization.

    Events never change, and reading one takes 1.6 ms, most of it for metadata that nobody asks for
    here: each is read once a process.
    """
    place = instance.root_directory, key
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(partitions)
    )
    known = _READ.get(place, {})
    if new := [event for event in newest.values() if event not in known]:
        filtered = dg.AssetRecordsFilter(key, storage_ids=new)
        for record in instance.fetch_materializations(filtered, limit=len(new)).records:
            known[record.storage_id] = record.event_log_entry.tags or {}
    _READ[place] = {event: known[event] for event in newest.values() if event in known}
    return {partition: known[event] for partition, event in newest.items() if event in known}


def shared_versions(instance: dg.DagsterInstance) -> Versions:
    """The versions of the teachers, as observed, and of the protected benchmarks' hashes.

    The writer's is read last, for it is observed first: whoever sees a new solver sees a new writer
    too. Otherwise a look during an observation would have `enriched` made from the old writer's
    rows, and all its votes wasted.
    """
    versions: Versions = {}
    for role in reversed(Role):
        record = instance.get_latest_data_version_record(TEACHERS[role], is_source=True)
        if record and (version := extract_data_version_from_entry(record.event_log_entry)):
            versions[TEACHERS[role]] = version.value
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
    # In this order: a version that is read late can only make more partitions stale.
    made = [(task, made_of(instance, task)) for task in tasks]
    shared = shared_versions(instance)
    stale_partitions = []
    for task, partitions in made:
        for subtask in task.enabled_subtasks():
            for stage, changed in partitions.stale_stages(subtask, shared).items():
                inputs = partitions.inputs(stage, subtask, shared)
                names = tuple(key.to_user_string() for key in changed)
                stale_partitions.append(Stale(task.task, stage, subtask, inputs, names))
                break
    return stale_partitions
