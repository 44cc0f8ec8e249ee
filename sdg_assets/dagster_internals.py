"""All undocumented parts of Dagster 1.13 that this package uses, in one place.

Only this module imports from `dagster._…`. Each block below says why the public API is not enough,
and which public API will replace it. `sdg_assets_tests/test_dagster_internals.py` fails when
Dagster moves one of these names, or changes a field or signature that the package relies on.

The package also uses some undocumented parts without an import:

- attributes of `InstanceConcurrencyContext` (`assets/slots.py` extends it): `_instance`, `_run_id`,
  `_run_priority`, `_pool_config`, `_claims`, `_pending_claims`, `_pending_timeouts`, `_sync_pools`
  and `get_pool_info`;
- the name `InstanceConcurrencyContext` in the modules of Dagster's three executors, which
  `replace_slot_contexts` sets to another class;
- `DagsterInstance.run_will_resume`, which `cluster/executor.py` replaces on one instance, and
  `_step_handler` and `_check_step_health_interval_seconds` of the executor made by dagster-k8s;
- undocumented methods of documented classes: of `DagsterInstance` (`add_backfill`, `get_backfill`,
  `get_backfills`, `all_instigator_state`, `get_ticks`, `get_records_for_run`, `all_logs`,
  `get_run_group`, `get_run_step_stats`, `get_latest_data_version_record`, `report_engine_event`,
  `report_run_canceled`, `report_run_failed`), of its `event_log_storage` (the newest event by
  partition, checks by partition, and slots of pools), and of an asset's context
  (`get_step_execution_context`, `job_def.asset_layer`).

Only `cluster/step_handler.py` imports the undocumented modules of dagster-k8s, because they are
installed only with the extra `k8s`.
"""

from __future__ import annotations

# Checks by partition. The public `AssetCheckResult` has no field for the partition, but a run makes
# several; without a target the UI shows the partition as unchecked. Remove once `AssetCheckResult`
# takes a partition.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

# A backfill over several assets, which the jobs launch. The only public way is the GraphQL mutation
# `launchPartitionBackfill`, but a job has no webserver to call. Remove this,
# `make_new_backfill_id` and `PartitionBackfill` once a public method of `DagsterInstance` launches
# a backfill.
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset

# The tags in which Dagster records the versions that a partition was made from. The public way,
# `DataVersion` on a `MaterializeResult`, sets one version for all partitions of a run, and takes
# the versions of inputs when the run ends, not when the work began. Remove once a run can report
# each of its partitions with a `MaterializeResult`.
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

# The newest ticks of all sensors and schedules, from which alerts follow. The only public way is a
# GraphQL query. Remove once `DagsterInstance.all_instigator_state` and `get_ticks` are public.
from dagster._core.definitions.run_request import InstigatorType

# Marks the result of a step that has reported its partitions itself, so that Dagster does not
# materialize each a second time. Remove with the tags above.
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

# The return type of `define_asset_job`, for annotations. Remove once Dagster exports the name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# A run that is killed reports its own end, because its executor no longer can; steps on Kubernetes
# report why they wait. The public `context.log` cannot write an event that ends a run or belongs to
# another step. Remove once `DagsterInstance.report_run_failed` and engine events are documented.
from dagster._core.events import EngineEventData, JobFailureData, RunFailureReason

# The partitions that a backfill still has to make, which the sensors must not request again. The
# only public way is the GraphQL query `partitionBackfillsOrError`. Remove once
# `DagsterInstance.get_backfills` is public.
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill

# Pool slots weighted by GPUs. Pools are public, but each step takes exactly one slot. Remove with
# `assets/slots.py` once pools have weights.
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

# A divided step that is refused before it has a pod fails as a step. The public way to fail one is
# an exception in its own process. Remove once a step handler can refuse a step.
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.executor import in_process, multiprocess  # with the slots above

# What a step's pod reports to its executor. The executor of dagster-k8s is public, its handling of
# a step is not. Remove once `k8s_job_executor` takes a step handler.
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepHandlerContext,
    step_delegating_executor,
)
from dagster._core.instance.config import PoolGranularity  # with the slots above
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickStatus

# The result of a check in the event log, per partition. `AssetCheckKey` is public, but querying the
# newest results by partition is not. Remove once `DagsterInstance` has such a query.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

# Logs of steps in the store. A class for logs is configured by its name, which is public, but the
# base to derive it from is not. Remove once `LocalComputeLogManager` can be configured not to keep
# the logs of ticks, and a choice between it and `S3ComputeLogManager` made by a variable.
from dagster._core.storage.compute_log_manager import ComputeLogManager

# `DagsterRunStatus` is public, but only these sets say which of its members are final. Our own
# lists would misclassify a member that Dagster adds. Remove once Dagster exports the sets.
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES

# With `ComputeLogManager` above.
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

# The first and last partition of a run over several, its backfill, which run it repeats, whether
# Dagster launched it as a retry, why it failed and what became of its retry. Public code reads them
# only inside a step. Remove once `DagsterRun` has them as attributes.
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    PARENT_RUN_ID_TAG,
    RETRY_NUMBER_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
)
from dagster._core.utils import make_new_backfill_id  # with `AssetGraphSubset` above
from dagster._serdes import ConfigurableClass, ConfigurableClassData  # with the logs above

# With `StepFailureData` above.
from dagster._utils.error import SerializableErrorInfo  # type: ignore[attr-defined]

__all__ = [
    "AUTO_RETRY_RUN_ID_TAG",
    "BACKFILL_ID_TAG",
    "CODE_VERSION_TAG",
    "DATA_VERSION_IS_USER_PROVIDED_TAG",
    "DATA_VERSION_TAG",
    "DEFAULT_DATA_VERSION",
    "FINISHED_STATUSES",
    "NOT_FINISHED_STATUSES",
    "NULL_EVENT_POINTER",
    "PARENT_RUN_ID_TAG",
    "RANGE_TAGS",
    "RETRY_NUMBER_TAG",
    "RUN_FAILURE_REASON_TAG",
    "SLOT_CONTEXT_OWNERS",
    "SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION",
    "UNFINISHED_BACKFILLS",
    "WILL_RETRY_TAG",
    "AssetCheckEvaluationTargetMaterializationData",
    "AssetCheckExecutionRecordStatus",
    "AssetGraphSubset",
    "BulkActionStatus",
    "BulkActionsFilter",
    "CheckStepHealthResult",
    "ComputeLogManager",
    "ConfigurableClass",
    "ConfigurableClassData",
    "EngineEventData",
    "InstanceConcurrencyContext",
    "InstigatorState",
    "InstigatorStatus",
    "InstigatorType",
    "JobFailureData",
    "LocalComputeLogManager",
    "PartitionBackfill",
    "PoolGranularity",
    "RunFailureReason",
    "SerializableErrorInfo",
    "StepFailureData",
    "StepHandlerContext",
    "TickStatus",
    "UnresolvedAssetJobDefinition",
    "extract_data_version_from_entry",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
    "make_new_backfill_id",
    "replace_slot_contexts",
]

RANGE_TAGS = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
"""The tags of a run with the first and the last of its partitions."""

UNFINISHED_BACKFILLS = (
    BulkActionStatus.REQUESTED,
    BulkActionStatus.CANCELING,
    BulkActionStatus.FAILING,
)
"""The states of a backfill that may still launch runs, or wait for them."""

SLOT_CONTEXT_OWNERS = (in_process, multiprocess, step_delegating_executor)
"""The modules whose executors claim slots: one process, one process per step, one pod per step."""


def replace_slot_contexts(
    in_one_process: type[InstanceConcurrencyContext],
    process_a_step: type[InstanceConcurrencyContext],
    pod_a_step: type[InstanceConcurrencyContext],
) -> None:
    """Makes Dagster's executors in this process claim pool slots through the given classes.

    Args:
        in_one_process: For `in_process_executor`.
        process_a_step: For `multiprocess_executor`.
        pod_a_step: For `k8s_job_executor` and any other executor that delegates steps.
    """
    contexts = (in_one_process, process_a_step, pod_a_step)
    for module, context in zip(SLOT_CONTEXT_OWNERS, contexts, strict=True):
        vars(module)["InstanceConcurrencyContext"] = context
