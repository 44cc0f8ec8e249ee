"""Reports a finished partition to Dagster: its materialization and check evaluations."""

from collections.abc import Iterator, Mapping

import dagster as dg

from sdg_assets.assets.metadata import Failing, check_metadata
from sdg_assets.assets.provenance import (
    INCOMPLETE_TAG,
    Input,
    newest_materializations,
    version_tags,
    with_used_teachers,
)
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.dagster_internals import (
    AssetCheckEvaluationTargetMaterializationData,
    AssetCheckExecutionRecordStatus,
)

LONG_SECONDS = 30.0
"""A partition that took longer is observed as soon as it is finished."""
_PASSED = {
    AssetCheckExecutionRecordStatus.SUCCEEDED: True,
    AssetCheckExecutionRecordStatus.FAILED: False,
}
Outcomes = Mapping[str, list[CheckOutcome]]
"""Partition → the outcomes of its checks."""


def report_finished(
    context: dg.AssetExecutionContext, key: str, report: PartitionReport, seconds: float
) -> None:
    """Logs that a partition is published; its materialization follows at the end of the step.

    Args:
        context: The step's context.
        key: The partition.
        report: The partition's report.
        seconds: How long it took.
    """
    rows = report.metadata.get("rows", 0)
    context.log.info(f"{key}: {rows} rows")
    if report.unfinished:
        context.log.warning(
            f"{key}: the budget of tokens was used up: {report.unfinished} rows are not finished"
        )
    if len(context.partition_keys) > 1 and seconds > LONG_SECONDS:
        finished = {"finished_rows": rows, "finished_after_seconds": seconds}
        context.log_event(dg.AssetObservation(context.asset_key, partition=key, metadata=finished))


def materialization(
    context: dg.AssetExecutionContext,
    key: str,
    report: PartitionReport,
    inputs: dict[dg.AssetKey, Input],
) -> dg.AssetMaterialization:
    """A partition's materialization, with the versions of its content and of its inputs.

    Args:
        context: The step's context.
        key: The partition.
        report: The partition's report.
        inputs: The versions of its inputs when the work began.
    """
    code_version = context.assets_def.get_asset_spec(context.asset_key).code_version
    teachers = {role.value: teacher.data_version for role, teacher in report.teachers.items()}
    incomplete = {INCOMPLETE_TAG: str(report.unfinished)} if report.unfinished else {}
    return dg.AssetMaterialization(
        context.asset_key,
        partition=key,
        metadata={**report.metadata, **teachers},
        tags=incomplete
        | version_tags(
            report.content,
            code_version or context.run.run_id,
            with_used_teachers(context, inputs, report.teachers),
        ),
    )


def report_beside(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, key: str, report: PartitionReport
) -> None:
    """Reports a partition of another asset, which the step made in addition to its own.

    Args:
        context: The step's context.
        asset: The other asset. It must have no inputs.
        key: The partition of that asset.
        report: The partition's report.
    """
    tags = version_tags(report.content, context.run.run_id, {})
    context.log_event(
        dg.AssetMaterialization(asset, partition=key, metadata=report.metadata, tags=tags)
    )
    for evaluation in evaluations(context.instance, asset, {key: report.checks}):
        # As an event of this run: without one, Dagster stores a check of a partition only once.
        context.log_event(evaluation)


def evaluations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, outcomes: Outcomes
) -> Iterator[dg.AssetCheckEvaluation]:
    """One evaluation per check and partition, with the partition's newest materialization.

    Without that materialization as its target, the UI shows the partition as unchecked.
    """
    newest = newest_materializations(
        instance, asset, [key for key, checks in outcomes.items() if checks]
    )
    failing = _failing(instance, asset, outcomes)
    for key, checks in outcomes.items():
        record = newest.get(key)
        target = record and AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        for outcome in checks:
            severity = (
                dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN
            )
            yield dg.AssetCheckEvaluation(
                asset_key=asset,
                check_name=outcome.name,
                passed=outcome.passed,
                metadata={**check_metadata(outcome), **failing[outcome.name].metadata()},
                target_materialization_data=target,
                severity=severity,
                description=failing[outcome.name].description(outcome.summary),
                blocking=False,
                partition=key,
            )


def _failing(
    instance: dg.DagsterInstance, asset: dg.AssetKey, outcomes: Outcomes
) -> dict[str, Failing]:
    """Check → the partitions that fail it, including those of earlier runs."""
    names = sorted({outcome.name for checks in outcomes.values() for outcome in checks})
    passed: dict[str, dict[str, bool]] = {name: {} for name in names}
    for recorded in instance.event_log_storage.get_asset_check_partition_info(
        [dg.AssetCheckKey(asset, name) for name in names]
    ):
        status = recorded.latest_execution_status
        if recorded.partition_key and status in _PASSED:
            passed[recorded.check_key.name][recorded.partition_key] = _PASSED[status]
    for key, checks in outcomes.items():
        for outcome in checks:
            passed[outcome.name][key] = outcome.passed
    return {
        name: Failing(asset, sorted(k for k, ok in partitions.items() if not ok), len(partitions))
        for name, partitions in passed.items()
    }
