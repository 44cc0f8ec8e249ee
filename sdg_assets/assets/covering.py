"""The job `cover`: has the rows written that the coverage matrix lacks, in a few rounds.

A round is a backfill like any other job's, of the subtasks that are to write more. The sensor
`cover_again` launches the next one when it has ended, until the wishes are met or the rounds are
used up; a later round knows better how many examples of each subtask are accepted.
"""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from sdg_assets.assets.cover_page import cover_page
from sdg_assets.assets.cover_plans import StoredPlan, read_plan, write_plan
from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.jobs import (
    Knobs,
    Partitions,
    launch_and_log,
    missing_of,
    partitions_of,
)
from sdg_assets.assets.knobs import TAG
from sdg_assets.assets.staleness import first_stale
from sdg_assets.catalog import Catalog, configured_catalog
from sdg_assets.dagster_internals import UNFINISHED_BACKFILLS, BulkActionStatus
from sdg_assets.records import Stage
from sdg_assets.settings import settings
from sdg_assets.stages.stage import REMADE_STAGES, TASK_STAGES, key_of
from sdg_assets.stages.supplies import planned
from sdg_assets.stages.wishes import MOST_PER_SEED, ROUNDS, CoverRequest
from sdg_assets.store.partitions import Store

COVER = "cover"
"""The job's name, and the knob of `generated` that names a plan."""
BACKFILL_TAG = "cover_backfill"
"""Tag of a run of `cover`: the backfill that it launched."""
CANCELED = (BulkActionStatus.CANCELED, BulkActionStatus.CANCELING)


class WishConfig(dg.Config):
    """A wish: rows with these values of the axes should be so many, or this share of all."""

    behaviour: str = Field(default="", description="of the taxonomy; empty: any")
    skill: str = Field(default="", description="of the taxonomy; empty: any")
    domain: str = Field(default="", description="of an enabled task; empty: any")
    language: str = Field(default="", description="code, such as en; empty: any")
    answer_kind: str = Field(default="", description="such as numeric; empty: any")
    difficulty: str = Field(default="", description="as `coverage` names it; empty: any")
    rows: int | None = Field(default=None, description="the fewest accepted rows")
    share: float | None = Field(
        default=None, description="the smallest share of all accepted rows, such as 0.1"
    )


class Cover(dg.Config):
    """Run config of `cover`."""

    wishes: list[WishConfig] = Field(default=[], description="what there should be, in any order")
    minimum: int | None = Field(
        default=None,
        description="the fewest rows of each cell of the matrix; empty: SDG_COVERAGE_MINIMUM if "
        "there is no wish, else no minimum",
    )
    writers: list[str] = Field(
        default=[],
        description="only these write, as task or task/subtask; empty: all enabled subtasks",
    )
    without: list[str] = Field(
        default=[], description="these do not write, as task or task/subtask"
    )
    rounds: int = Field(
        default=ROUNDS, description="backfills at most; the sensor cover_again launches the others"
    )
    most_per_seed: int = Field(
        default=MOST_PER_SEED,
        description="examples after one seed at most, those of earlier runs included",
    )


@dg.op
def launch_cover(context: dg.OpExecutionContext, config: Cover) -> None:
    """Launches a backfill of the subtasks that are to write more."""
    with clear_failures():
        request = CoverRequest.model_validate(config.model_dump())
        plan = planned(request, settings())
        context.add_output_metadata({"plan": dg.MetadataValue.md(cover_page(plan))})
        unmet = [goal for goal in plan.goals if not goal.is_met]
        for goal in unmet:
            if goal.unfillable:
                context.log.warning(goal.why_unfillable)
        if not plan.targets:
            context.log.info(f"{len(plan.goals) - len(unmet)} of {len(plan.goals)} wishes are met")
        stored = StoredPlan(
            made_at=datetime.now(UTC),
            request=request,
            targets=dict(plan.targets),
        )
        if plan.targets:
            write_plan(Store(settings().store), stored)
        title = f"Cover - {len(unmet)} wishes, {len(plan.targets)} subtasks, {config.rounds} rounds"
        catalog = configured_catalog(settings())
        if stale := stale_writers(context.instance, catalog, stored):
            context.log.warning(
                f"{len(stale)} of these subtasks are stale, such as {stale[0]}: the writer writes "
                "their earlier examples again. To avoid that, cancel the backfill and run "
                "everything_stale first"
            )
        partitions = partitions_to_make(context.instance, catalog, stored)
        tags = {TAG + COVER: stored.id}
        if backfill := launch_and_log(context, partitions, title, Knobs(), **tags):
            tags[BACKFILL_TAG] = backfill
            context.instance.add_run_tags(context.run_id, tags)  # for `cover_again`


def stale_writers(instance: dg.DagsterInstance, catalog: Catalog, plan: StoredPlan) -> list[str]:
    """The plan's subtasks, as `task/subtask`, whose examples must be written anew."""
    tasks = [catalog.task(name) for name in {name.partition("/")[0] for name in plan.targets}]
    writing = REMADE_STAGES[: REMADE_STAGES.index(Stage.GENERATED) + 1]
    stale = [s for s in first_stale(instance, tasks) if s.stage in writing]
    return sorted({f"{s.task}/{s.subtask}" for s in stale} & plan.targets.keys())


def partitions_to_make(
    instance: dg.DagsterInstance, catalog: Catalog, plan: StoredPlan
) -> Partitions:
    """From `generated` on all stages of the plan's subtasks; above it those that are missing."""
    written = set(TASK_STAGES[TASK_STAGES.index(Stage.GENERATED) :])
    by_task: dict[str, list[str]] = {}
    for name in plan.targets:
        task, _, subtask = name.partition("/")
        by_task.setdefault(task, []).append(subtask)
    partitions = {
        key: keys
        for task, subtasks in by_task.items()
        for key, keys in partitions_of([catalog.task(task)], subtasks).items()
    }
    made = {key: keys for key, keys in partitions.items() if Stage(key.path[1]) in written}
    return {**missing_of(instance, partitions), **made}


@dg.job(
    name=COVER,
    description="Has the rows written that the coverage matrix lacks: states minimum numbers or "
    "shares of rows by behaviour, skill, domain, language, answer kind and difficulty, and "
    "launches the subtasks that reach them with the fewest requests, in a few rounds.",
)
def cover() -> None:
    """Fills the holes of the coverage matrix."""
    launch_cover()


def cover_again() -> dg.SensorDefinition:
    """The sensor that launches the next round; it does nothing unless a person ran `cover`."""

    @dg.sensor(
        job=cover,
        minimum_interval_seconds=settings().sensor_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Launches the next round of `cover` when the one before has ended, until its "
        "wishes are met or its rounds are used up. Cancel the backfill to end it.",
    )
    def cover_again(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        newest = context.instance.get_runs(dg.RunsFilter(job_name=COVER), limit=1)
        launched = newest[0].tags.get(BACKFILL_TAG) if newest else None
        backfill = launched and context.instance.get_backfill(launched)
        if not newest or not backfill:
            return dg.SkipReason("the newest run of `cover` has launched nothing")
        if backfill.status in CANCELED:
            return dg.SkipReason("the last round was cancelled")
        if backfill.status in UNFINISHED_BACKFILLS:
            return dg.SkipReason("a round is under way")
        with clear_failures():
            plan = read_plan(Store(settings().store), newest[0].tags[TAG + COVER])
            if plan.request.rounds <= 1 or context.cursor == plan.id:
                return dg.SkipReason("the last round has been followed up")
            request = next_request(plan)
        context.update_cursor(plan.id)
        if plan.request.writers and not request.writers:
            return dg.SkipReason("none of its writers is enabled any more")
        config = request.model_dump(mode="json")
        return dg.RunRequest(
            run_key=plan.id, run_config={"ops": {"launch_cover": {"config": config}}}
        )

    return cover_again


def next_request(plan: StoredPlan) -> CoverRequest:
    """What the round after a plan asks for.

    Subtasks whose partitions were not made, for example because their dataset is gone, do not write
    again: their targets go to others. Names that the catalog has no longer, or has switched off,
    are left out.
    """
    store, catalog = Store(settings().store), configured_catalog(settings())
    enabled = [
        f"{task.task}/{key}" for task in catalog.enabled() for key in task.enabled_subtasks()
    ]
    keys = {
        key_of(catalog.subtask(*name.split("/")), Stage.FILTERED): name
        for name in enabled
        if name in plan.targets
    }
    published = store.manifests(keys)
    made = {keys[key] for key, file in published.items() if file.written_at >= plan.made_at}
    known = {*enabled, *(name.partition("/")[0] for name in enabled)}
    without = {*plan.request.without, *(plan.targets.keys() - made)}
    changes = {
        "rounds": plan.request.rounds - 1,
        "writers": [name for name in plan.request.writers if name in known],
        "without": sorted(without & known),
    }
    return plan.request.model_copy(update=changes)
