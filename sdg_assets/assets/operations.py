"""The `operations` asset: what is broken now, on one page, and what to do about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.data_version import (
    DATA_VERSION_TAG,
    extract_data_version_from_entry,
    get_input_data_version_tag,
)
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from sdg_assets.assets.factory import TASK_ASSETS
from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.provenance import newest_materializations
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import Catalog, SeedTask, cached_catalog
from sdg_assets.settings import settings

SHOWN = 20
WHAT_TO_DO = {
    "failed": "Open the partition's last run: its error says what to do. Re-execute from failure "
    "computes only what failed.",
    "stale": "A teacher, its prompts or the rows it was made from have changed. Switch on the "
    "sensor remake_stale, or materialize them again.",
    "missing": "Begun, but not through all stages. Launch the job one_task with only_missing, or "
    "switch on the sensor fill_missing.",
    "left": "Not in the catalog any more, or switched off. Their data stays in the store and no "
    "release holds it; delete it there when nobody needs it.",
}


@dataclass
class State:
    """Partitions as `task/stage/subtask`, by what is wrong with them."""

    failed: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    materialized: int = 0
    not_begun: int = 0
    """Enabled subtasks that nobody has materialized anything of."""

    @property
    def broken(self) -> dict[str, list[str]]:
        """What somebody should look at."""
        lists = {"failed": self.failed, "stale": self.stale, "missing": self.missing}
        return {name: keys for name, keys in lists.items() if keys}


def state_of(instance: dg.DagsterInstance, catalog: Catalog) -> State:
    """What Dagster knows of every partition, the catalog's and those that left it.

    A stale partition is one whose inputs have other versions than it was made from; what lies
    below it is not listed. Of a subtask that is not through, the first failed or missing stage is.
    """
    state = State()
    observed = {key: _observed_version(instance, key) for key in TEACHERS.values()}
    for task in catalog.enabled():
        _add_task(state, instance, task, observed)
    for key in instance.get_asset_keys():
        if len(key.path) != 2 or key.path[1] not in TASK_ASSETS:
            continue
        known = catalog.tasks.get(key.path[0])
        enabled = set(known.enabled_subtasks() if known else ())
        gone = sorted(instance.get_materialized_partitions(key) - enabled)
        state.left += [f"{key.to_user_string()}/{subtask}" for subtask in gone]
    return state


def _add_task(
    state: State,
    instance: dg.DagsterInstance,
    task: SeedTask,
    observed: Mapping[dg.AssetKey, str | None],
) -> None:
    subtasks = task.enabled_subtasks()
    partitions = dg.StaticPartitionsDefinition(subtasks)
    stages = [dg.AssetKey([task.task, stage]) for stage in TASK_ASSETS]
    told = {key: _told(instance, key, subtasks) for key in stages}
    unfinished: dict[str, dg.AssetKey] = {}
    failed: dict[str, str] = {}
    for key in stages:
        statuses = instance.get_status_by_partition(key, subtasks, partitions) or {}
        for subtask in subtasks:
            tags, name = told[key].get(subtask), f"{key.to_user_string()}/{subtask}"
            if statuses.get(subtask) is AssetPartitionStatus.FAILED:
                failed.setdefault(subtask, name)
            elif tags is None:
                unfinished.setdefault(subtask, key)
            else:
                state.materialized += 1
                now = {s: told[s].get(subtask, {}).get(DATA_VERSION_TAG) for s in stages}
                if _is_stale(tags, {**now, **observed}):
                    state.stale.append(name)
    state.failed += failed.values()
    for subtask, key in unfinished.items():
        name = f"{key.to_user_string()}/{subtask}"
        if subtask in failed:
            continue
        if any(subtask in partitions_told for partitions_told in told.values()):
            state.missing.append(name)
        else:
            state.not_begun += 1


def _told(
    instance: dg.DagsterInstance, key: dg.AssetKey, subtasks: list[str]
) -> dict[str, Mapping[str, str]]:
    """Partition → the versions that its newest materialization tells, its own and its inputs'."""
    newest = newest_materializations(instance, key, subtasks)
    return {subtask: record.event_log_entry.tags or {} for subtask, record in newest.items()}


def _is_stale(tags: Mapping[str, str], now: Mapping[dg.AssetKey, str | None]) -> bool:
    for key, version in now.items():
        made_from = tags.get(get_input_data_version_tag(key))
        if made_from and version and made_from != version:
            return True
    return False


def _observed_version(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    record = instance.get_latest_data_version_record(key, is_source=True)
    version = extract_data_version_from_entry(record.event_log_entry) if record else None
    return version.value if version else None


def operations_asset() -> dg.AssetsDefinition:
    """The `operations` asset and its check, which blocks nothing."""

    @dg.asset(
        key="operations",
        group_name="operations",
        owners=settings().owners,
        kinds={"dagster"},
        check_specs=[
            dg.AssetCheckSpec(
                "nothing_is_broken",
                asset="operations",
                description="No partition is failed, stale or half-way. Blocks nothing.",
            )
        ],
        description="What is broken now, over all seed tasks, and what to do about it. Made daily.",
    )
    def operations(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        with clear_failures():
            state = state_of(context.instance, cached_catalog(settings().catalog))
        broken = {name: len(keys) for name, keys in state.broken.items()}
        said = ", ".join(f"{count} {name}" for name, count in broken.items())
        yield dg.MaterializeResult(
            metadata={
                "failed": len(state.failed),
                "stale": len(state.stale),
                "missing": len(state.missing),
                "materialized": state.materialized,
                "not_begun": state.not_begun,
                "left": len(state.left),
                "page": dg.MetadataValue.md(page(state)),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not broken,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=f"{said}: the page says what to do" if said else "nothing",
                    metadata={"page": dg.MetadataValue.md(page(state))},
                )
            ],
        )

    return operations


def page(state: State) -> str:
    """The state as Markdown: exact counts, the first `SHOWN` of each list, what to do next."""
    parts = []
    for name, keys in {**state.broken, **({"left": state.left} if state.left else {})}.items():
        shown = "\n".join(f"- {key}" for key in keys[:SHOWN])
        more = f"\n- and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
        parts.append(f"### {len(keys)} {name}\n{WHAT_TO_DO[name]}\n\n{shown}{more}")
    return "\n\n".join(parts) or "Nothing is broken."
