"""The seam to Dagster: an upgrade that moves or changes what the package relies on fails here."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_k8s import k8s_job_executor
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import UserDefinedDagsterK8sConfig

from sdg_assets import dagster_internals as internals
from sdg_assets.assets.slots import LocalSlots, ProcessSlots, StepSlots
from sdg_assets.definitions import build_definitions

PACKAGE = Path(internals.__file__).parent
SEAM = "dagster_internals.py"
# The undocumented modules of dagster-k8s, which only a cluster has.
CLUSTER_SEAM = "cluster/step_handler.py"
UNDOCUMENTED = {
    "dagster_k8s.client",
    "dagster_k8s.container_context",
    "dagster_k8s.executor",
    "dagster_k8s.job",
}

# A callable → how the package calls it: positional arguments, then names.
CALLS: list[tuple[Callable[..., Any], int, list[str]]] = [
    (
        internals.AssetCheckEvaluationTargetMaterializationData,
        0,
        ["storage_id", "run_id", "timestamp"],
    ),
    (
        dg.AssetCheckEvaluation,
        0,
        [
            *("asset_key", "check_name", "passed", "metadata", "target_materialization_data"),
            *("severity", "description", "blocking", "partition"),
        ],
    ),
    (internals.AssetGraphSubset, 1, []),
    (internals.BulkActionsFilter, 0, ["statuses"]),
    (internals.CheckStepHealthResult.healthy, 0, []),
    (internals.CheckStepHealthResult.unhealthy, 0, ["reason"]),
    (internals.EngineEventData, 0, []),
    (internals.InstanceConcurrencyContext, 2, []),
    (internals.InstanceConcurrencyContext.claim, 4, []),
    (internals.InstanceConcurrencyContext.free_step, 2, []),
    (internals.InstanceConcurrencyContext.get_pool_info, 2, []),
    (internals.JobFailureData, 2, []),
    (
        internals.PartitionBackfill.from_asset_graph_subset,
        0,
        [
            *("backfill_id", "backfill_timestamp", "tags", "dynamic_partitions_store"),
            *("asset_graph_subset", "title", "description", "run_config"),
        ],
    ),
    (internals.extract_data_version_from_entry, 1, []),
    (internals.get_input_data_version_tag, 1, []),
    (internals.get_input_event_pointer_tag, 1, []),
    (internals.make_new_backfill_id, 0, []),
    (internals.SerializableErrorInfo, 3, []),
    (internals.StepFailureData, 2, []),
    (dg.DagsterEvent.engine_event, 3, []),
    (dg.DagsterEvent.step_failure_event, 2, []),
    (dg.DagsterInstance.add_backfill, 2, []),
    (dg.DagsterInstance.all_logs, 2, ["of_type"]),
    (dg.DagsterInstance.all_instigator_state, 1, ["instigator_statuses"]),
    (dg.DagsterInstance.get_backfill, 2, []),
    (dg.DagsterInstance.get_backfills, 1, ["filters"]),
    (dg.DagsterInstance.get_records_for_run, 2, ["limit", "ascending"]),
    (dg.DagsterInstance.get_run_records, 2, ["limit", "order_by", "ascending"]),
    (dg.DagsterInstance.get_ticks, 3, ["limit", "statuses"]),
    (dg.DagsterInstance.get_latest_data_version_record, 2, ["is_source"]),
    (dg.DagsterInstance.get_latest_data_version_record, 2, ["partition_key"]),
    (dg.DagsterInstance.get_run_group, 2, []),
    (dg.DagsterInstance.get_run_step_stats, 3, []),
    (dg.DagsterInstance.report_engine_event, 3, ["step_key"]),
    (dg.DagsterInstance.report_run_canceled, 3, []),
    (dg.DagsterInstance.report_run_failed, 4, []),
    (dg.DagsterInstance.report_runless_asset_event, 2, []),
    (dg.DagsterInstance.run_will_resume, 2, []),
    (dg.AssetExecutionContext.get_step_execution_context, 1, []),
    (K8sStepHandler.launch_step, 2, []),
    (K8sStepHandler.check_step_health, 2, []),
    (K8sStepHandler._get_container_context, 2, []),
    (K8sStepHandler._get_k8s_step_job_name, 2, []),
    (K8sStepHandler._get_step_key, 2, []),
    (K8sContainerContext, 0, ["run_k8s_config"]),
    (K8sContainerContext.merge, 2, []),
    (UserDefinedDagsterK8sConfig.from_dict, 1, []),
]
# Methods of an instance's event log → how the package calls them.
LOG_CALLS: list[tuple[str, int, list[str]]] = [
    ("check_concurrency_claim", 3, []),
    ("claim_concurrency_slot", 4, []),
    ("free_concurrency_slot_for_step", 2, []),
    ("free_concurrency_slots_for_run", 1, []),
    ("get_asset_check_partition_info", 1, []),
    ("get_concurrency_info", 1, []),
    ("get_concurrency_run_ids", 0, []),
    ("get_latest_asset_partition_materialization_attempts_without_materializations", 1, []),
    ("get_latest_storage_id_by_partition", 3, []),
    ("get_latest_tags_by_partition", 4, []),
    ("initialize_concurrency_limit_to_default", 1, []),
    ("set_concurrency_slots", 2, []),
]


def test_nothing_but_the_seam_imports_from_inside_dagster() -> None:
    private = {
        file: {name for name in _imports(PACKAGE / file) if name.startswith("dagster._")}
        for file in _files()
    }

    assert {file for file, names in private.items() if names} == {SEAM}


def test_nothing_but_the_executor_imports_undocumented_modules_of_dagster_k8s() -> None:
    users = {file for file in _files() if UNDOCUMENTED & set(_imports(PACKAGE / file))}

    assert users == {CLUSTER_SEAM}


@pytest.mark.parametrize(
    ("called", "positions", "names"), CALLS, ids=lambda value: getattr(value, "__qualname__", None)
)
def test_dagster_takes_the_arguments_that_the_package_gives(
    called: Callable[..., Any], positions: int, names: list[str]
) -> None:
    inspect.signature(called).bind(*range(positions), **dict.fromkeys(names))


@pytest.mark.parametrize(("method", "positions", "names"), LOG_CALLS)
def test_the_event_log_takes_the_arguments_that_the_package_gives(
    method: str, positions: int, names: list[str]
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        called = getattr(instance.event_log_storage, method)

    inspect.signature(called).bind(*range(positions), **dict.fromkeys(names))


def test_a_slot_context_has_the_fields_that_weighted_slots_use() -> None:
    fields_used = {
        *("_instance", "_run_id", "_run_priority", "_pool_config", "_sync_pools"),
        *("_claims", "_pending_claims", "_pending_timeouts"),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        context = internals.InstanceConcurrencyContext(instance, dg.DagsterRun(job_name="a"))

        missing = {name for name in fields_used if not hasattr(context, name)}
        config = context._pool_config

    assert not missing
    assert isinstance(context._claims, set)
    assert isinstance(context._pending_claims, set)
    assert context._pending_timeouts["a step never seen"] == 0
    assert {"pool_granularity", "default_pool_limit"} <= set(dir(config))
    assert internals.PoolGranularity.RUN in internals.PoolGranularity


def test_the_executors_claim_slots_by_the_name_that_is_replaced() -> None:
    originals = [
        (module, vars(module)["InstanceConcurrencyContext"])
        for module in internals.SLOT_CONTEXT_OWNERS
    ]

    internals.replace_slot_contexts(ProcessSlots, LocalSlots, StepSlots)
    try:
        replaced = [module.InstanceConcurrencyContext for module, _ in originals]
        calls = [
            "InstanceConcurrencyContext(" in inspect.getsource(module) for module, _ in originals
        ]
    finally:
        for module, original in originals:
            vars(module)["InstanceConcurrencyContext"] = original

    assert replaced == [ProcessSlots, LocalSlots, StepSlots]
    assert calls == [True, True, True]


def test_run_statuses_are_finished_or_not() -> None:
    finished = set(internals.FINISHED_STATUSES)
    statuses = dg.DagsterRunStatus

    assert finished == {statuses.SUCCESS, statuses.FAILURE, statuses.CANCELED}
    # MANAGED runs are somebody else's, and are never executed here.
    assert finished | set(internals.NOT_FINISHED_STATUSES) | {statuses.MANAGED} == set(statuses)


def test_the_tags_are_those_that_stored_materializations_have() -> None:
    assert internals.DATA_VERSION_TAG == "dagster/data_version"
    assert internals.CODE_VERSION_TAG == "dagster/code_version"
    assert internals.DATA_VERSION_IS_USER_PROVIDED_TAG == "dagster/data_version_is_user_provided"
    assert dg.DataVersion("INITIAL") == internals.DEFAULT_DATA_VERSION
    assert internals.NULL_EVENT_POINTER == "NULL"
    asset = dg.AssetKey(["gsm8k", "seeds"])
    version = internals.get_input_data_version_tag(asset)
    pointer = internals.get_input_event_pointer_tag(asset)
    assert version == "dagster/input_data_version/gsm8k/seeds"
    assert pointer == "dagster/input_event_pointer/gsm8k/seeds"
    assert internals.SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION == "__source_asset_observation__"


def test_backfills_checks_and_runs_have_the_members_that_the_package_reads() -> None:
    statuses = internals.BulkActionStatus
    assert {statuses.REQUESTED, statuses.CANCELING, statuses.FAILING} <= set(statuses)
    outcomes = internals.AssetCheckExecutionRecordStatus
    assert {outcomes.SUCCEEDED, outcomes.FAILED} <= set(outcomes)
    assert internals.RunFailureReason.UNEXPECTED_TERMINATION in internals.RunFailureReason
    assert {"asset_backfill_data", "asset_selection"} <= set(dir(internals.PartitionBackfill))
    assert {"is_resume_retry", "is_complete_and_waiting_to_retry"} <= set(dir(dg.DagsterRun))
    assert "partitions_subsets_by_asset_key" in dir(internals.AssetGraphSubset)


def test_a_job_over_assets_has_the_type_that_the_seam_names() -> None:
    jobs = build_definitions().jobs or ()

    unresolved = internals.UnresolvedAssetJobDefinition
    assert any(isinstance(job, unresolved) for job in jobs)
    assert all(isinstance(job, (dg.JobDefinition, unresolved)) for job in jobs)


def test_dagster_k8s_builds_its_executor_from_a_step_handler() -> None:
    creation = inspect.unwrap(k8s_job_executor.executor_creation_fn)  # type: ignore[arg-type]
    source = inspect.getsource(creation)
    built = inspect.getsource(internals.SLOT_CONTEXT_OWNERS[2])

    assert "K8sStepHandler(" in source
    assert "self._step_handler" in built
    assert "self._check_step_health_interval_seconds" in built
    assert "run_will_resume(" in built
    handler = inspect.getsource(K8sStepHandler.__init__)
    for field in ("_executor_container_context", "_per_step_k8s_config", "_api_client"):
        assert f"self.{field}" in handler
    assert {"get_step_context", "dagster_run", "execute_step_args"} <= set(
        dir(internals.StepHandlerContext)
    )


def _files() -> list[str]:
    return [str(file.relative_to(PACKAGE)) for file in sorted(PACKAGE.rglob("*.py"))]


def _imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
