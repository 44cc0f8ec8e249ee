"""What this project uses of Dagster 1.13 that Dagster does not promise to keep, in one place.

Nothing else in the package imports from `dagster._…`. Each block below says why the public API does
not do, and which public API will take its place. `sdg_assets_tests/test_dagster_internals.py` fails
when Dagster moves one of these names, or changes a field or a signature that the package relies on.

A name that is imported is only half of it. The package also uses, without an import:

- attributes of `InstanceConcurrencyContext` (`assets/slots.py` extends it): `_instance`, `_run_id`,
  `_run_priority`, `_pool_config`, `_claims`, `_pending_claims`, `_pending_timeouts`, `_sync_pools`
  and `get_pool_info`;
- the name `InstanceConcurrencyContext` in the modules of Dagster's three executors, which
  `replace_slot_contexts` sets to another class;
- `DagsterInstance.run_will_resume`, which `cluster/executor.py` replaces on one instance, and
  `_step_handler` and `_check_step_health_interval_seconds` of the executor made by dagster-k8s;
- undocumented methods of documented classes: of `DagsterInstance` (`add_backfill`, `get_backfills`,
  `all_logs`, `get_run_group`, `get_latest_data_version_record`, `report_engine_event`,
  `report_run_canceled`, `report_run_failed`), of its `event_log_storage` (the newest event by
  partition, checks by partition, and slots of pools), and of an asset's context
  (`get_step_execution_context`, `job_def.asset_layer`).

The undocumented modules of dagster-k8s are imported in `cluster/executor.py` alone: they are there
only where the extra `k8s` is, and that module is their seam.
"""

from __future__ import annotations

# Checks by partition. `AssetCheckResult`, the public way, has no field for the partition, and a run
# makes several; without a target the UI shows the partition as unchecked. To go once
# `AssetCheckResult` takes a partition.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

# A backfill over several assets, which the jobs launch. Public is only the GraphQL mutation
# `launchPartitionBackfill`, and a job has no webserver to ask. To go once a public
# `DagsterInstance` launches a backfill; `make_new_backfill_id` and `PartitionBackfill` with it.
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset

# The tags by which Dagster tells which versions a partition was made from. `DataVersion` on a
# `MaterializeResult`, the public way, sets one version for all partitions of a run and takes the
# versions of inputs when the run ends, not when the work began. To go once a run reports its
# partitions one by one through `MaterializeResult`.
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

# Marks the one result of a run that has reported its partitions itself, so that Dagster writes no
# second materialization of each. To go with the tags above.
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

# What `define_asset_job` returns; named for its type only. To go once Dagster exports the name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# A run that is ended by force says so itself, for its executor cannot any more; steps on
# Kubernetes say what they wait for. `context.log` is public but writes no event that ends a run
# or belongs to another step. To go once `DagsterInstance.report_run_failed` and engine events are
# documented.
from dagster._core.events import EngineEventData, JobFailureData, RunFailureReason

# Which partitions a backfill has still to make: the sensors leave them alone. Public is only the
# GraphQL query `partitionBackfillsOrError`. To go once `DagsterInstance.get_backfills` is public.
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill

# Slots of pools, weighted by GPUs. Pools are public, but each step takes one slot whatever it uses.
# To go, with `assets/slots.py`, once pools have weights.
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.executor import in_process, multiprocess

# What a step's pod reports to its executor. dagster-k8s' executor is public, its handling of a
# step is not. To go once `k8s_job_executor` takes a step handler.
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepHandlerContext,
    step_delegating_executor,
)
from dagster._core.instance.config import PoolGranularity  # with the slots above

# The result of a check in the event log, per partition. `AssetCheckKey` is public, asking for the
# newest results by partition is not. To go once `DagsterInstance` answers that.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

# `DagsterRunStatus` is public; which of its members are final is said only here, and a member that
# Dagster adds must not be taken for the wrong kind. To go once the sets are exported.
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.utils import make_new_backfill_id  # with `AssetGraphSubset` above

__all__ = [
    "CODE_VERSION_TAG",
    "DATA_VERSION_IS_USER_PROVIDED_TAG",
    "DATA_VERSION_TAG",
    "DEFAULT_DATA_VERSION",
    "FINISHED_STATUSES",
    "NOT_FINISHED_STATUSES",
    "NULL_EVENT_POINTER",
    "SLOT_CONTEXT_OWNERS",
    "SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION",
    "AssetCheckEvaluationTargetMaterializationData",
    "AssetCheckExecutionRecordStatus",
    "AssetGraphSubset",
    "BulkActionStatus",
    "BulkActionsFilter",
    "CheckStepHealthResult",
    "EngineEventData",
    "InstanceConcurrencyContext",
    "JobFailureData",
    "PartitionBackfill",
    "PoolGranularity",
    "RunFailureReason",
    "StepHandlerContext",
    "UnresolvedAssetJobDefinition",
    "extract_data_version_from_entry",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
    "make_new_backfill_id",
    "replace_slot_contexts",
]

SLOT_CONTEXT_OWNERS = (in_process, multiprocess, step_delegating_executor)
"""The modules whose executors claim slots: in one process, a process a step, a pod a step."""


def replace_slot_contexts(
    in_one_process: type[InstanceConcurrencyContext],
    process_a_step: type[InstanceConcurrencyContext],
    pod_a_step: type[InstanceConcurrencyContext],
) -> None:
    """Has Dagster's executors, in this process, claim slots of pools through other classes.

    Args:
        in_one_process: For `in_process_executor`.
        process_a_step: For `multiprocess_executor`.
        pod_a_step: For `k8s_job_executor`, and any other that delegates steps.
    """
    contexts = (in_one_process, process_a_step, pod_a_step)
    for module, context in zip(SLOT_CONTEXT_OWNERS, contexts, strict=True):
        vars(module)["InstanceConcurrencyContext"] = context
