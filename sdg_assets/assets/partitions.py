"""One run, many partitions: each succeeds or fails by itself."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationTargetMaterializationData,
)

from sdg_assets.assets.metadata import SAMPLES, check_metadata, partition_metadata
from sdg_assets.checks import CheckOutcome, Inspection, broken_invariants
from sdg_assets.errors import PermanentError, SdgError
from sdg_assets.examples import Record, Rejection
from sdg_assets.gates import Gate
from sdg_assets.settings import settings
from sdg_assets.signatures.table import ATTACHMENT, Signatures
from sdg_assets.storage import PartitionKey, Store
from sdg_assets.teacher.conversation import Usage
from sdg_assets.thresholds import Thresholds

PROGRESS_SECONDS = 30.0


@dataclass
class PartitionReport:
    """What became of one partition."""

    metadata: dict[str, Any] = field(default_factory=dict)
    checks: list[CheckOutcome] = field(default_factory=list)


class InvariantBrokenError(PermanentError):
    """A partition's rows break an invariant; it was not published."""

    def __init__(self, key: PartitionKey, report: PartitionReport) -> None:
        broken = broken_invariants(report.checks)
        super().__init__(f"{key}: " + "; ".join(f"{c.name}: {c.summary}" for c in broken))
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
) -> PartitionReport:
    """Writes a stage's rows, publishing them only if the stage's invariants hold.

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

    Raises:
        InvariantBrokenError: A check that gates the partition failed; nothing was published.
        SdgError: What the stage raised.
    """
    inspection = Inspection(key.stage, settings().min_yield, thresholds or Thresholds(), heldout)
    samples: list[Record] = []
    with store.write(key) as out:
        for row in rows:
            inspection.see(row)
            out.put(row)
            if len(samples) < SAMPLES and not isinstance(row, Rejection):
                samples.append(row)
        signed = signatures() if signatures else None
        checks = inspection.outcomes(signed)
        report = PartitionReport(
            partition_metadata(inspection, samples, usage, str(out.path)), checks
        )
        if broken_invariants(checks):
            raise InvariantBrokenError(key, report)
        if signed:
            out.attachments[ATTACHMENT] = signed.to_parquet(str(key))
        out.info = {
            **(info or {}),
            "rejected_by_gate": dict(inspection.rejected),
            "outcomes": inspection.outcome_counts(),
            "verified": inspection.verified,
            "usage": _plain(usage),
        }
    return report


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

    Args:
        context: The step's context.
        checks: The asset's checks, evaluated per partition.
        work: Writes one partition.

    Yields:
        The materializations and check evaluations.

    Raises:
        dg.Failure: Some partitions failed; those that did not are materialized all the same. Not
            to be retried when every failure is permanent.
    """
    good: dict[str, PartitionReport] = {}
    bad: dict[str, Exception] = {}
    for key in context.partition_keys:
        try:
            good[key] = work(key)
            context.log.info(f"{key}: {good[key].metadata.get('rows', 0)} rows")
        except SdgError as error:
            context.log.error(f"{key}: {error}")
            bad[key] = error
        except Exception as error:
            # A bug: its siblings' results are as good as without it.
            context.log.exception(f"{key}: {type(error).__name__}")
            bad[key] = error
    asset_key = context.asset_key
    if bad:
        # An asset's own output would mark every partition of the run as materialized.
        for key, report in good.items():
            yield dg.AssetMaterialization(asset_key, partition=key, metadata=report.metadata)
    else:
        for key, report in good.items():
            context.add_asset_metadata(report.metadata, partition_key=key)
        yield dg.MaterializeResult()
    reports = {key: report.checks for key, report in good.items()}
    for key, failure in bad.items():
        if isinstance(failure, InvariantBrokenError):
            reports[key] = failure.report.checks
    yield from _evaluations(context, reports)
    if bad:
        raise dg.Failure(
            description="\n".join(f"{key}: {_said(error)}" for key, error in bad.items()),
            metadata={"failed": list(bad), "succeeded": list(good)},
            allow_retries=not all(isinstance(e, PermanentError) for e in bad.values()),
        )
    for spec in checks:
        yield dg.Output(None, output_name=spec.get_python_identifier())


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, SdgError) else f"{type(error).__name__}: {error}"


def _evaluations(
    context: dg.AssetExecutionContext, reports: dict[str, list[CheckOutcome]]
) -> Iterator[AssetCheckEvaluation]:
    """One evaluation a check and partition, tied to the partition's newest materialization.

    Without the tie the UI shows the partition as unchecked.
    """
    keys = [key for key, checks in reports.items() if checks]
    if not keys:
        return
    found = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=keys),
        limit=4 * len(keys),
    )
    targets: dict[str | None, AssetCheckEvaluationTargetMaterializationData] = {}
    for record in found.records:  # newest first
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        targets.setdefault(record.partition_key, target)
    for key in keys:
        for outcome in reports[key]:
            severity = (
                dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN
            )
            yield AssetCheckEvaluation(
                asset_key=context.asset_key,
                check_name=outcome.name,
                passed=outcome.passed,
                metadata=check_metadata(outcome),
                target_materialization_data=targets.get(key),
                severity=severity,
                description=outcome.summary,
                blocking=False,
                partition=key,
            )


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
