"""Jobs that a person launches from the UI: one task, one domain, all missing, all stale, a release.

A job over several seed tasks cannot be one run, because each task has its own partitions. So the
jobs launch a backfill, as the backfill dialog does: Dagster splits it into runs by stage, respects
run sizes and the GPU pool, and shows which partitions succeeded. The backfill also contains the
protected benchmarks that are not hashed yet, because `normalized` fails without them.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import dagster as dg
from pydantic import Field

from sdg_assets.assets.effective_knobs import backfill_tags, show_on_run
from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.keys import BENCHMARKS, COVERAGE, CURATED, asset_key
from sdg_assets.assets.knobs import CONFIGS, TAG, from_run_tags
from sdg_assets.assets.newest import materialized_partitions
from sdg_assets.assets.staleness import REMADE_TAG, Stale, first_stale, made_of
from sdg_assets.catalog import Catalog, SeedTask, configured_catalog, load_protected
from sdg_assets.dagster_internals import (
    AssetGraphSubset,
    PartitionBackfill,
    UnresolvedAssetJobDefinition,
    make_new_backfill_id,
)
from sdg_assets.errors import CatalogError
from sdg_assets.heldout.protection import benchmarks_to_hash
from sdg_assets.records import Stage
from sdg_assets.settings import settings
from sdg_assets.stages.stage import REMADE_STAGES, STAGES, TASK_STAGES
from sdg_assets.store.partitions import Store

Partitions = Mapping[dg.AssetKey, list[str]]
KNOBS = (
    "max_seeds", "examples_per_seed", "votes", "target_accepted", "harder_from", "accept_smaller",
    "max_tokens",
)  # fmt: skip
PRIORITY = "dagster/priority"


class Knobs(dg.Config):
    """The knobs of a run; an empty knob takes its value from the settings."""

    max_seeds: int | None = Field(default=None, description="maximum number of seeds per subtask")
    examples_per_seed: int | None = Field(default=None, description="new examples per seed")
    votes: int | None = Field(default=None, description="solver answers per question")
    target_accepted: int | None = Field(
        default=None,
        description="write until this many rows pass all gates; examples_per_seed is then unused",
    )
    harder_from: int | None = Field(
        default=None, description="ask for harder items from this example of a seed on"
    )
    accept_smaller: bool | None = Field(
        default=None, description="allow a partition to replace a version with far more rows"
    )
    max_tokens: int | None = Field(
        default=None,
        description="tokens of prompts and answers that all runs of the backfill may spend",
    )


class OneTask(Knobs):
    """Run config of `one_task`."""

    task: str = Field(description="name of the seed task, e.g. gsm8k")
    subtasks: list[str] = Field(default=[], description="only these subtasks; empty: all")
    only_missing: bool = Field(default=False, description="skip materialized partitions")


class OneDomain(Knobs):
    """Run config of `one_domain`."""

    domain: str = Field(description="domain of the tasks, e.g. science")
    only_missing: bool = Field(default=True, description="skip materialized partitions")


class EverythingMissing(Knobs):
    """Run config of `everything_missing`."""

    subtasks: list[str] = Field(
        default=[], description="only these subtasks, as task/subtask; empty: all"
    )
    benchmarks_only: bool = Field(
        default=False, description="only hash the protected benchmarks that are not hashed yet"
    )


class EverythingStale(dg.Config):
    """Run config of `everything_stale`."""

    partitions: dict[str, list[str]] = Field(
        default={},
        description="only these partitions, as task/stage: [subtask], without their downstream "
        "stages; empty: all stale partitions, and those that a budget ended, with their downstream "
        "stages",
    )
    max_tokens: int | None = Field(
        default=None, description="tokens that the backfill may spend, if no partition is named"
    )


def partitions_of(tasks: Iterable[SeedTask], subtasks: Iterable[str] = ()) -> Partitions:
    """Asset key → subtasks, for all stages of the tasks' enabled subtasks.

    Args:
        tasks: The seed tasks.
        subtasks: Keys of the subtasks to include; empty for all enabled ones.
    """
    wanted = set(subtasks)
    return {
        asset_key(task.task, stage): keys
        for task in tasks
        if (keys := [k for k in task.enabled_subtasks() if not wanted or k in wanted])
        for stage in TASK_STAGES
    }


def unhashed_benchmarks() -> Partitions:
    """The protected benchmarks that must be hashed before any task is normalized."""
    current_settings = settings()
    names = benchmarks_to_hash(
        Store(current_settings.store),
        current_settings.without_benchmarks,
        current_settings.seed_source,
    )
    return {BENCHMARKS: names} if names else {}


def missing_of(instance: dg.DagsterInstance, partitions: Partitions) -> Partitions:
    """The given partitions that were never materialized."""
    materialized, missing = materialized_partitions(instance, partitions), {}
    for key, keys in partitions.items():
        if missing_keys := [k for k in keys if k not in materialized[key]]:
            missing[key] = missing_keys
    return missing


def stale_of(stale: Iterable[Stale]) -> Partitions:
    """Asset key → stale subtasks."""
    partitions: dict[dg.AssetKey, list[str]] = defaultdict(list)
    for partition in stale:
        partitions[asset_key(partition.task, partition.stage)].append(partition.subtask)
    return partitions


def to_remake(instance: dg.DagsterInstance, tasks: Iterable[SeedTask]) -> Partitions:
    """Asset key → subtasks, the first stage of each that is stale or that a budget ended."""
    tasks = list(tasks)
    first = {(each.task, each.subtask): each.stage for each in first_stale(instance, tasks)}
    for task, made in zip(tasks, made_of(instance, tasks), strict=True):
        for subtask in task.enabled_subtasks():
            for stage in made.incomplete_stages(subtask)[:1]:
                other = first.get((task.task, subtask), stage)
                first[task.task, subtask] = min(stage, other, key=REMADE_STAGES.index)
    partitions: dict[dg.AssetKey, list[str]] = defaultdict(list)
    for (name, subtask), stage in first.items():
        partitions[asset_key(name, stage)].append(subtask)
    return partitions


def with_all_below(instance: dg.DagsterInstance, stale: Partitions) -> Partitions:
    """The stale partitions and all materialized partitions downstream of them."""
    partitions: dict[dg.AssetKey, list[str]] = defaultdict(list)
    downstream = {
        key: [
            asset_key(key.path[0], s) for s in TASK_STAGES[TASK_STAGES.index(Stage(key.path[1])) :]
        ]
        for key in stale
    }
    materialized = materialized_partitions(instance, set().union(*downstream.values()))
    for key, subtasks in stale.items():
        for below in downstream[key]:
            if made := [subtask for subtask in subtasks if subtask in materialized[below]]:
                partitions[below] += made
    return partitions


def launch(
    instance: dg.DagsterInstance,
    catalog: Catalog,
    partitions: Partitions,
    title: str,
    tags: Mapping[str, str],
) -> str:
    """Requests a backfill, which Dagster's daemon then runs.

    Args:
        instance: The Dagster instance.
        catalog: Gives the partitions of each asset.
        partitions: The partitions to make.
        title: The backfill's name in the UI.
        tags: Tags of the backfill and of each of its runs.

    Returns:
        The backfill's id.
    """
    definitions = {
        key: dg.StaticPartitionsDefinition(
            [benchmark.name for benchmark in load_protected()]
            if key == BENCHMARKS
            else catalog.task(key.path[0]).enabled_subtasks()
        )
        for key in partitions
    }
    subset = AssetGraphSubset(  # type: ignore[call-arg]  # both fields have defaults
        {key: definitions[key].subset_with_partition_keys(k) for key, k in partitions.items()}
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
        PermanentError: A knob's value is out of bounds.
    """
    given = {name: value for name in KNOBS if (value := getattr(knobs, name)) is not None}
    tags = {TAG + name: str(value) for name, value in given.items()}
    for stage_config in CONFIGS:
        from_run_tags(stage_config(), tags)
    return tags


def launch_and_log(
    context: dg.OpExecutionContext,
    partitions: Partitions,
    title: str,
    knobs: Knobs,
    **more_tags: str,
) -> str | None:
    """Launches a backfill unless there is nothing to do, and logs which.

    Args:
        context: The context of the job's op.
        partitions: The partitions to make. Benchmarks that are not hashed yet come along.
        title: The backfill's name in the UI.
        knobs: The knobs of its runs.
        more_tags: More tags of its runs.

    Returns:
        The backfill's id; None if nothing is launched.

    Raises:
        PermanentError: A knob's value is out of bounds.
    """
    tags = knob_tags(knobs) | more_tags
    effective = backfill_tags(tags, settings())
    if not partitions:
        context.log.info(f"{title}: nothing to do")
        return None
    if any(STAGES[Stage(key.path[1])].is_gated_against_benchmarks for key in partitions):
        partitions = {**unhashed_benchmarks(), **partitions}
    if PRIORITY in context.run.tags:
        tags[PRIORITY] = context.run.tags[PRIORITY]
    catalog = configured_catalog(settings())
    backfill = launch(context.instance, catalog, partitions, title, {**tags, **effective})
    show_on_run(context.instance, context.run_id, effective)
    context.log.info(
        f"{title}: backfill {backfill} of {sum(map(len, partitions.values()))} partitions in "
        f"{len(partitions)} assets; watch it at /runs/b/{backfill}"
    )
    return backfill


@dg.op
def launch_one_task(context: dg.OpExecutionContext, config: OneTask) -> None:
    """Launches a backfill of a seed task through all stages."""
    with clear_failures():
        catalog = configured_catalog(settings())
        task = catalog.task(config.task)
        for subtask in config.subtasks or list(task.subtasks)[: not task.enabled]:
            catalog.subtask(task.task, subtask)
        partitions = partitions_of([task], config.subtasks)
        if config.only_missing:
            partitions = missing_of(context.instance, partitions)
        launch_and_log(context, partitions, f"{task.task} - all stages", config)


@dg.op
def launch_one_domain(context: dg.OpExecutionContext, config: OneDomain) -> None:
    """Launches a backfill of every seed task of a domain through all stages."""
    with clear_failures():
        enabled = configured_catalog(settings()).enabled()
        tasks = [task for task in enabled if task.domain == config.domain]
        if not tasks:
            domains = ", ".join(sorted({task.domain for task in enabled}))
            raise CatalogError(
                f"no enabled task has the domain {config.domain!r}; known domains: {domains}"
            )
        partitions = partitions_of(tasks)
        if config.only_missing:
            partitions = missing_of(context.instance, partitions)
        launch_and_log(context, partitions, f"{config.domain} - all stages", config)


@dg.op
def launch_everything_missing(context: dg.OpExecutionContext, config: EverythingMissing) -> None:
    """Launches a backfill of the partitions that were never materialized."""
    with clear_failures():
        catalog = configured_catalog(settings())
        partitions: Partitions = partitions_of(catalog.enabled())
        if config.subtasks:
            names = [name.partition("/") for name in config.subtasks]
            keys = {catalog.subtask(task, subtask).key for task, _, subtask in names}
            partitions = partitions_of(catalog.enabled(), keys)
        missing = missing_of(context.instance, partitions)
        if config.benchmarks_only:
            missing = unhashed_benchmarks()
        launch_and_log(context, missing, "Everything missing", config)


@dg.op
def launch_everything_stale(context: dg.OpExecutionContext, config: EverythingStale) -> None:
    """Launches a backfill of the partitions that are stale now, or that a budget ended."""
    with clear_failures():
        catalog = configured_catalog(settings())
        named = _named(catalog, config.partitions)
        names = {name.partition("/")[0] for name in named}
        tasks = [task for task in catalog.enabled() if not named or task.task in names]
        if named:
            stale = first_stale(context.instance, tasks)
            # A partition made since the request is no longer stale, and is left out.
            stale = [partition for partition in stale if partition.name in named]
            title = f"Stale - changed: {_changed(stale)}"
            tag = {REMADE_TAG: "true"}
            launch_and_log(context, stale_of(stale), title, Knobs(), **tag)
        else:
            partitions = with_all_below(context.instance, to_remake(context.instance, tasks))
            knobs = Knobs(max_tokens=config.max_tokens)
            launch_and_log(context, partitions, "Everything stale", knobs)


def _changed(stale: Iterable[Stale]) -> str:
    """The changed input that made most partitions stale, and how many other inputs changed.

    One name, because Dagster refuses a title of more than 100 characters.
    """
    inputs = Counter(name for partition in stale for name in partition.changed)
    names = [name for name, _ in inputs.most_common(1)]
    return "".join(names) + (f" and {len(inputs) - 1} more" if len(inputs) > 1 else "")


def _named(catalog: Catalog, partitions: Mapping[str, list[str]]) -> set[str]:
    """The partitions as `task/stage/subtask`.

    Raises:
        CatalogError: A task, stage or subtask does not exist.
    """
    names = set()
    for asset, subtasks in partitions.items():
        task, _, stage = asset.partition("/")
        if stage not in REMADE_STAGES:
            stages = ", ".join(REMADE_STAGES)
            raise CatalogError(f"{asset!r}: must be task/stage, with a stage of: {stages}")
        names |= {f"{asset}/{catalog.subtask(task, subtask).key}" for subtask in subtasks}
    return names


@dg.job(description="Runs all stages of one seed task. Name the task in the launchpad.")
def one_task() -> None:
    """One seed task."""
    launch_one_task()


@dg.job(
    description="Runs all stages of every seed task of one domain. Name the domain in the "
    "launchpad."
)
def one_domain() -> None:
    """One domain."""
    launch_one_domain()


@dg.job(
    description="Makes all partitions that were never materialized, of all tasks or of the "
    "subtasks that you name."
)
def everything_missing() -> None:
    """Everything missing."""
    launch_everything_missing()


@dg.job(
    description="Makes partitions whose inputs have changed again, with their downstream stages."
)
def everything_stale() -> None:
    """Everything stale."""
    launch_everything_stale()


make_operations = dg.define_asset_job(
    "make_operations",
    selection=dg.AssetSelection.assets("operations"),
    description="Lists failed, stale and missing partitions.",
)

release = dg.define_asset_job(
    "release",
    selection=dg.AssetSelection.assets(CURATED),
    description="Makes a release of all published partitions.",
)
make_coverage = dg.define_asset_job(
    "make_coverage",
    selection=dg.AssetSelection.assets(COVERAGE),
    description="Counts accepted rows by what they train, and lists holes and surpluses.",
)


def jobs() -> list[dg.JobDefinition | UnresolvedAssetJobDefinition]:
    """All jobs that the UI lists."""
    launchers = [one_task, one_domain, everything_missing, everything_stale]
    return [*launchers, release, make_coverage, make_operations]
