"""One run, many partitions: each succeeds or fails by itself."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from sdg_assets.assets.endings import INTERRUPTS, StepEnd
from sdg_assets.assets.metadata import (
    SAMPLES,
    Failing,
    check_metadata,
    partition_metadata,
)
from sdg_assets.assets.pictures import funnel_markdown
from sdg_assets.assets.provenance import (
    Input,
    inputs_of,
    newest_materializations,
    observed,
    version_tags,
)
from sdg_assets.checks.inspection import (
    STAGE_CHECKS,
    CheckOutcome,
    Inspection,
    broken_invariants,
)
from sdg_assets.checks.losses import Standing
from sdg_assets.dagster_internals import (
    SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION,
    AssetCheckEvaluationTargetMaterializationData,
    AssetCheckExecutionRecordStatus,
)
from sdg_assets.errors import FullDiskError, PermanentError, SdgError, TeacherGoneError
from sdg_assets.gates import Gate
from sdg_assets.records import Record, Rejection, Role
from sdg_assets.settings import settings
from sdg_assets.signatures.table import ATTACHMENT, Signatures
from sdg_assets.store.disk import clear_refusals
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import ABANDONED, KEPT_ASIDE, PartitionKey, Store
from sdg_assets.store.places import clear_scratch
from sdg_assets.store.writer import PartitionWriter
from sdg_assets.teacher.conversation import Usage
from sdg_assets.teacher.requests import TeacherIdentity
from sdg_assets.thresholds import Thresholds

PROGRESS_SECONDS = 30.0
_PASSED = {
    AssetCheckExecutionRecordStatus.SUCCEEDED: True,
    AssetCheckExecutionRecordStatus.FAILED: False,
}


@dataclass
class PartitionReport:
    """What became of one partition."""

    metadata: dict[str, Any] = field(default_factory=dict)
    checks: list[CheckOutcome] = field(default_factory=list)
    content: str = ""
    """Hash of its rows."""
    teachers: dict[Role, TeacherIdentity] = field(default_factory=dict)
    """Who was asked for it."""


class InvariantBrokenError(PermanentError):
    """A partition's rows break an invariant; it was not published."""

    def __init__(self, key: PartitionKey, report: PartitionReport, kept: str) -> None:
        """Names the broken checks, and where a person finds the rows.

        Args:
            key: The partition.
            report: With its checks.
            kept: A sentence on where the rows of this attempt lie.
        """
        broken = broken_invariants(report.checks)
        problems = "; ".join(f"{check.name}: {check.summary}" for check in broken)
        super().__init__(f"{key}: {problems}. {kept}")
        self.report = report


def write_partition(
    key: PartitionKey,
    store: Store,
    rows: Iterable[Record],
    *,
    usage: Usage | None = None,
    thresholds: Thresholds | None = None,
    heldout: Gate | None = None,
    info: dict[str, Any] | None = None,
    signatures: Callable[[], Signatures] | None = None,
    asked: int | None = None,
    accept_smaller: bool = False,
) -> PartitionReport:
    """Writes a stage's rows, publishing them only if the stage's invariants hold.

    The rows of an attempt that is not published are kept aside for a person to look at.

    Args:
        key: Which partition.
        store: Where to.
        rows: Accepted rows and `Rejection`s, as the stage yields them.
        usage: The teacher's usage, filled while `rows` is consumed.
        thresholds: Of the gates whose invariants are checked.
        heldout: The contamination gate, for stages that check that no row repeats a held-out one.
        info: What else the manifest should say; read when all rows are written.
        signatures: Tells, once `rows` is consumed, those of the accepted rows; they are published
            with them.
        asked: Seeds that were asked for: if they are there, fewer than before are no loss.
        accept_smaller: Whether a person has accepted fewer rows, or none, in place of those
            published.

    Raises:
        InvariantBrokenError: A check that gates the partition failed; nothing was published.
        SdgError: What the stage raised.
    """
    inspection = Inspection(key.stage, settings().min_yield, thresholds or Thresholds(), heldout)
    inspection.asked, inspection.accept_smaller = asked, accept_smaller
    samples: list[Record] = []
    with store.write(key) as out:
        inspection.before = _standing(key, out.replaces)
        for row in rows:
            inspection.see(row)
            out.put(row)
            if len(samples) < SAMPLES and not isinstance(row, Rejection):
                samples.append(row)
        signed = signatures() if signatures else None
        checks = inspection.outcomes(signed)
        report = PartitionReport(
            partition_metadata(inspection, samples, usage, str(out.path)),
            checks,
            content=out.sha256,
        )
        if broken_invariants(checks):
            kept = _keep_aside(report, out)
            raise InvariantBrokenError(key, report, kept)
        if signed is not None:
            out.attachments[ATTACHMENT] = signed.to_parquet(str(key))
        out.info = {
            **(info or {}),
            "rejected_by_gate": dict(inspection.rejected),
            "outcomes": inspection.outcome_counts(),
            "verified": inspection.verified,
            "usage": _plain(usage),
        }
    picture = dg.MetadataValue.md(funnel_markdown(_way(key, store)))
    report.metadata = {"funnel_picture": picture, **report.metadata}  # the first thing one sees
    if inspection.rejected:
        report.metadata["rejected_path"] = dg.MetadataValue.path(str(store.rejected_path(key)))
    return report


def _standing(key: PartitionKey, published: Manifest | None) -> Standing | None:
    if published is None:
        return None
    verified, outcomes = published.info.get("verified", 0), published.info.get("outcomes", {})
    return Standing.of(key.stage, published.rows, published.rejected, verified, outcomes)


def _keep_aside(report: PartitionReport, out: PartitionWriter) -> str:
    """Keeps the rows of an attempt that is not published, and says where in its failed checks."""
    try:
        place = str(out.keep_aside())
    except SdgError as error:
        return f"Its rows could not be kept for you to look at: {error}"
    report.checks = [
        check.model_copy(update={"kept_at": place}) if check.blocking else check
        for check in report.checks
    ]
    return f"Its refused rows lie in {place} for {KEPT_ASIDE.days} days, the others beside them"


def _way(key: PartitionKey, store: Store) -> list[tuple[str, int, int]]:
    """Rows accepted and refused by each stage, up to this one."""
    stages = list(STAGE_CHECKS)
    way = []
    for stage in stages[: stages.index(key.stage) + 1]:
        at = PartitionKey(key.task, stage, key.subtask)
        if store.exists(at):
            manifest = store.manifest(at)
            way.append((stage, manifest.rows, sum(manifest.rejected.values())))
    return way


def _plain(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {**vars(usage), "finish_reasons": dict(usage.finish_reasons)}


def each_partition(
    context: dg.AssetExecutionContext,
    checks: Iterable[dg.AssetCheckSpec],
    work: Callable[[str], PartitionReport],
) -> Iterator[Any]:
    """Runs `work` for every partition of the run and tells Dagster how each one went.

    A partition that took long is observed as soon as it is done. It is materialized when all are:
    a backfill starts the next stage for whatever it finds materialized, and fed one by one it would
    start a run, and load a teacher, for each. A retry leaves out what was materialized before.

    Args:
        context: The step's context.
        checks: The asset's checks, evaluated per partition.
        work: Writes one partition.

    Yields:
        The materializations and check evaluations.

    Raises:
        dg.Failure: Some partitions failed; those that did not are materialized all the same. Not
            to be retried when every failure is permanent.
        EndedError: The run was interrupted; what was finished is materialized.
    """
    with suppress(SdgError, OSError):  # housekeeping: what needs the directory says what is wrong
        clear_scratch(datetime.now(UTC) - ABANDONED)
    end = StepEnd(context)
    done = _done_before(context)
    good: dict[str, tuple[PartitionReport, dict[dg.AssetKey, Input]]] = {}
    bad: dict[str, Exception] = {}
    hopeless: SdgError | None = None
    ending: Exception | None = None
    for key in context.partition_keys:
        if key in done:
            context.log.info(f"{key}: materialized by an earlier attempt")
            continue
        if hopeless:
            bad[key] = type(hopeless)(f"not begun: {hopeless}")
            continue
        began = time.monotonic()
        try:
            inputs = inputs_of(context, key)
            with clear_refusals(settings().store):
                good[key] = work(key), inputs
        except INTERRUPTS:
            ending = end.told(key)
            break
        except SdgError as error:
            context.log.error(f"{key}: {error}")
            bad[key] = error
            # The next partition would meet the same, and with a full disk pay for answers that
            # nobody could keep.
            hopeless = error if isinstance(error, TeacherGoneError | FullDiskError) else None
        except Exception as error:
            # A bug: its siblings' results are as good as without it.
            context.log.exception(f"{key}: {type(error).__name__}")
            bad[key] = error
        else:
            _tell(context, key, good[key][0], time.monotonic() - began)
    for key, (report, inputs) in good.items():  # in one go: see above
        yield _materialization(context, key, report, inputs)
    outcomes = {key: report.checks for key, (report, _) in good.items()}
    for key, failure in bad.items():
        if isinstance(failure, InvariantBrokenError):
            outcomes[key] = failure.report.checks
    yield from _evaluations(context, outcomes)
    if ending:
        raise ending
    if bad:
        raise dg.Failure(
            description="\n".join(f"{key}: {_said(error)}" for key, error in bad.items()),
            metadata={"failed": list(bad), "succeeded": sorted(done | good.keys())},
            allow_retries=not all(isinstance(e, PermanentError) for e in bad.values()),
        )
    # What is downstream in the same run waits for it. Without the mark Dagster would write a second
    # materialization of every partition.
    yield dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
    for spec in checks:
        yield dg.Output(None, output_name=spec.get_python_identifier())


def _tell(
    context: dg.AssetExecutionContext, key: str, report: PartitionReport, seconds: float
) -> None:
    rows = report.metadata.get("rows", 0)
    context.log.info(f"{key}: {rows} rows")
    if len(context.partition_keys) > 1 and seconds > PROGRESS_SECONDS:
        finished = {"finished_rows": rows, "finished_after_seconds": seconds}
        context.log_event(dg.AssetObservation(context.asset_key, partition=key, metadata=finished))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, SdgError) else f"{type(error).__name__}: {error}"


def _done_before(context: dg.AssetExecutionContext) -> set[str]:
    """Partitions whose newest materialization is by this run, or by one that it is a retry of."""
    runs = {context.run.run_id}
    if context.run.is_resume_retry and (
        group := context.instance.get_run_group(context.run.run_id)
    ):
        runs |= {run.run_id for run in group[1]}
    keys = list(context.partition_keys)
    newest = newest_materializations(context.instance, context.asset_key, keys)
    return {key for key, record in newest.items() if record.run_id in runs}


def _materialization(
    context: dg.AssetExecutionContext,
    key: str,
    report: PartitionReport,
    inputs: dict[dg.AssetKey, Input],
) -> dg.AssetMaterialization:
    code_version = context.assets_def.get_asset_spec(context.asset_key).code_version
    teachers = {role.value: who.data_version for role, who in report.teachers.items()}
    return dg.AssetMaterialization(
        context.asset_key,
        partition=key,
        metadata={**report.metadata, **teachers},
        tags=version_tags(
            report.content,
            code_version or context.run.run_id,
            observed(context, inputs, report.teachers),
        ),
    )


def _evaluations(
    context: dg.AssetExecutionContext, outcomes: dict[str, list[CheckOutcome]]
) -> Iterator[dg.AssetCheckEvaluation]:
    """One evaluation a check and partition, tied to the partition's newest materialization.

    Without the tie the UI shows the partition as unchecked.
    """
    yield from _evaluations_of(context.instance, context.asset_key, outcomes)


def report_beside(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, key: str, report: PartitionReport
) -> None:
    """Reports a partition of another asset, which a step has made besides its own.

    Args:
        context: The step's.
        asset: The other asset, which has no inputs.
        key: Its partition.
        report: What became of it.
    """
    tags = version_tags(report.content, context.run.run_id, {})
    context.log_event(
        dg.AssetMaterialization(asset, partition=key, metadata=report.metadata, tags=tags)
    )
    for evaluation in _evaluations_of(context.instance, asset, {key: report.checks}):
        context.instance.report_runless_asset_event(evaluation)


def _evaluations_of(
    instance: dg.DagsterInstance, asset: dg.AssetKey, outcomes: dict[str, list[CheckOutcome]]
) -> Iterator[dg.AssetCheckEvaluation]:
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
    instance: dg.DagsterInstance, asset: dg.AssetKey, outcomes: dict[str, list[CheckOutcome]]
) -> dict[str, Failing]:
    """Check → the partitions that fail it, those of earlier runs included."""
    names = sorted({outcome.name for checks in outcomes.values() for outcome in checks})
    passed: dict[str, dict[str, bool]] = {name: {} for name in names}
    for told in instance.event_log_storage.get_asset_check_partition_info(
        [dg.AssetCheckKey(asset, name) for name in names]
    ):
        status = told.latest_execution_status
        if told.partition_key and status in _PASSED:
            passed[told.check_key.name][told.partition_key] = _PASSED[status]
    for key, checks in outcomes.items():
        for outcome in checks:
            passed[outcome.name][key] = outcome.passed
    return {
        name: Failing(asset, sorted(k for k, ok in found.items() if not ok), len(found))
        for name, found in passed.items()
    }


class Progress:
    """Tells how far a partition is: a bar in a terminal, a log line and observation now and then.

    Logged at most every `PROGRESS_SECONDS`.
    """

    def __init__(self, context: dg.AssetExecutionContext, partition: str, total: int) -> None:
        """Starts at nothing done of `total`."""
        from tqdm import tqdm

        self._context = context
        self._partition = partition
        self._total = total
        self._next = time.monotonic() + PROGRESS_SECONDS
        label = f"{context.asset_key.to_user_string()} {partition}"
        self._bar = tqdm(total=total, desc=label, disable=None)  # None: only in a terminal

    def __call__(self, done: int, usage: Usage) -> None:
        """Takes note of `done` results."""
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if now < self._next or not done:
            return
        self._next = now + PROGRESS_SECONDS
        left = usage.seconds / done * (self._total - done)
        self._context.log.info(
            f"{self._partition}: {done}/{self._total} done, "
            f"{usage.tokens_per_second:.0f} output tokens/s, {left / 60:.1f} min left"
        )
        # Other labels than in materializations: the UI plots equal labels in one line.
        self._context.log_event(
            dg.AssetObservation(
                self._context.asset_key,
                partition=self._partition,
                metadata={
                    "progress_done": done,
                    "progress_total": self._total,
                    "progress_tokens_per_second": usage.tokens_per_second,
                    "progress_minutes_left": left / 60,
                },
            )
        )
