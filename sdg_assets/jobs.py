"""Jobs a person launches from the UI: one task, one domain, everything missing, a release.

A job over several seed tasks cannot be one run: each task has partitions of its own. So the jobs
launch a backfill, as the backfill dialog does: Dagster cuts it into runs by stage, honours run
sizes and the GPU pool, and shows what succeeded and what did not.
"""

import time
from collections.abc import Iterable, Mapping

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.utils import make_new_backfill_id
from pydantic import Field

from sdg_assets.assets.factory import TASK_ASSETS
from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.knobs import CONFIGS, TAG, from_run_tags
from sdg_assets.catalog import Catalog, SeedTask, cached_catalog
from sdg_assets.errors import CatalogError
from sdg_assets.settings import settings

Partitions = Mapping[dg.AssetKey, list[str]]
KNOBS = ("max_seeds", "examples_per_seed", "votes", "target_accepted")
PRIORITY = "dagster/priority"


class Knobs(dg.Config):
    """The knobs of a run; what is left empty comes from the settings."""

    max_seeds: int | None = Field(default=None, description="seeds per subtask at the most")
    examples_per_seed: int | None = Field(default=None, description="new examples per seed")
    votes: int | None = Field(default=None, description="solver answers a question")
    target_accepted: int | None = Field(
        default=None, description="write until so many rows pass; examples_per_seed is unused"
    )


class OneTask(Knobs):
    """Which task `one_task` runs, and how."""

    task: str = Field(description="name of the seed task, e.g. gsm8k")
    subtasks: list[str] = Field(default=[], description="only these; empty: all of them")
    only_missing: bool = Field(default=False, description="leave materialized partitions alone")


class OneDomain(Knobs):
    """Which domain `one_domain` runs, and how."""

    domain: str = Field(description="domain of the tasks, e.g. science")
    only_missing: bool = Field(default=True, description="leave materialized partitions alone")


class EverythingMissing(Knobs):
    """How `everything_missing` fills what is missing."""

    subtasks: list[str] = Field(
        default=[], description="only these, as task/subtask; empty: all that are missing"
    )


def partitions_of(tasks: Iterable[SeedTask], subtasks: Iterable[str] = ()) -> Partitions:
    """All assets of the tasks' enabled subtasks, or of those named."""
    wanted = set(subtasks)
    return {
        dg.AssetKey([task.task, stage]): keys
        for task in tasks
        if (keys := [k for k in task.enabled_subtasks() if not wanted or k in wanted])
        for stage in TASK_ASSETS
    }


def missing_of(instance: dg.DagsterInstance, partitions: Partitions) -> Partitions:
    """Those of the partitions that were never materialized."""
    missing = {}
    for key, keys in partitions.items():
        there = instance.get_materialized_partitions(key)
        if left := [k for k in keys if k not in there]:
            missing[key] = left
    return missing


def launch(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    partitions: Partitions,
    title: str,
    tags: Mapping[str, str],
) -> str:
    """Asks Dagster's daemon for a backfill.

    Returns:
        The backfill's id.
    """
    definitions = {
        task: dg.StaticPartitionsDefinition(catalog.task(task).enabled_subtasks())
        for task in {key.path[0] for key in partitions}
    }
    subset = AssetGraphSubset(  # type: ignore[call-arg]  # both fields have defaults
        {
            key: definitions[key.path[0]].subset_with_partition_keys(keys)
            for key, keys in partitions.items()
        }
    )
    backfill_id = make_new_backfill_id()
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=backfill_id,
        backfill_timestamp=time.time(),
        tags=tags,
        dynamic_partitions_store=instance,
        asset_graph_subset=subset,
        title=title,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill_id


def knob_tags(knobs: Knobs) -> dict[str, str]:
    """The knobs as tags of the backfill's runs; see `assets/knobs.py`.

    Raises:
        PermanentError: A knob has a value that it must not have.
    """
    given = {name: value for name in KNOBS if (value := getattr(knobs, name)) is not None}
    tags = {TAG + name: str(value) for name, value in given.items()}
    for stage_config in CONFIGS:
        from_run_tags(stage_config(), tags)
    return tags


def _launch_and_tell(
    context: dg.OpExecutionContext, partitions: Partitions, title: str, knobs: Knobs
) -> None:
    tags = knob_tags(knobs)
    if not partitions:
        context.log.info(f"{title}: nothing to do")
        return
    if PRIORITY in context.run.tags:
        tags[PRIORITY] = context.run.tags[PRIORITY]
    catalog = cached_catalog(settings().catalog)
    backfill = launch(context.instance, catalog, partitions, title, tags)
    context.log.info(
        f"{title}: backfill {backfill} of {sum(map(len, partitions.values()))} partitions in "
        f"{len(partitions)} assets; watch it at /runs/b/{backfill}"
    )


@dg.op
def launch_one_task(context: dg.OpExecutionContext, config: OneTask) -> None:
    """Launches a backfill of a seed task through all stages."""
    with clear_failures():
        catalog = cached_catalog(settings().catalog)
        task = catalog.task(config.task)
        for subtask in config.subtasks or list(task.subtasks)[: not task.enabled]:
            catalog.subtask(task.task, subtask)
        partitions = partitions_of([task], config.subtasks)
        if config.only_missing:
            partitions = missing_of(context.instance, partitions)
        _launch_and_tell(context, partitions, f"{task.task} - all stages", config)


@dg.op
def launch_one_domain(context: dg.OpExecutionContext, config: OneDomain) -> None:
    """Launches a backfill of every seed task of a domain through all stages."""
    with clear_failures():
        enabled = cached_catalog(settings().catalog).enabled()
        tasks = [task for task in enabled if task.domain == config.domain]
        if not tasks:
            domains = ", ".join(sorted({task.domain for task in enabled}))
            raise CatalogError(f"no enabled task of domain {config.domain!r}; there are: {domains}")
        partitions = partitions_of(tasks)
        if config.only_missing:
            partitions = missing_of(context.instance, partitions)
        _launch_and_tell(context, partitions, f"{config.domain} - all stages", config)


@dg.op
def launch_everything_missing(context: dg.OpExecutionContext, config: EverythingMissing) -> None:
    """Launches a backfill of whatever was never materialized, and of nothing else."""
    with clear_failures():
        catalog = cached_catalog(settings().catalog)
        chosen: Partitions = partitions_of(catalog.enabled())
        if config.subtasks:
            names = [name.partition("/") for name in config.subtasks]
            keys = {catalog.subtask(task, subtask).key for task, _, subtask in names}
            chosen = partitions_of(catalog.enabled(), keys)
        missing = missing_of(context.instance, chosen)
        _launch_and_tell(context, missing, "Everything missing", config)


@dg.job(description="One seed task through all stages; name it in the launchpad.")
def one_task() -> None:
    """One seed task."""
    launch_one_task()


@dg.job(description="Every seed task of a domain through all stages; name it in the launchpad.")
def one_domain() -> None:
    """One domain."""
    launch_one_domain()


@dg.job(description="Whatever was never materialized, of all tasks or of the subtasks named.")
def everything_missing() -> None:
    """Everything missing."""
    launch_everything_missing()


def jobs() -> list[dg.JobDefinition | UnresolvedAssetJobDefinition]:
    """What the UI lists under Jobs."""
    release = dg.define_asset_job(
        "release",
        selection=dg.AssetSelection.assets("curated"),
        description="Cuts a release of every partition that is there.",
    )
    return [one_task, one_domain, everything_missing, release]
