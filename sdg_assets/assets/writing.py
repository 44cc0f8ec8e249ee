"""Writes a stage's rows, and publishes them if the checks that block allow it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from sdg_assets.assets.metadata import SAMPLES, partition_metadata
from sdg_assets.assets.pictures import funnel_markdown
from sdg_assets.checks.inspection import Inspection
from sdg_assets.checks.losses import Standing
from sdg_assets.checks.outcome import CheckOutcome, broken_invariants
from sdg_assets.errors import PermanentError, SdgError
from sdg_assets.gates import Gate
from sdg_assets.records import Record, Rejection, Role, Stage
from sdg_assets.signatures.table import ATTACHMENT, Signatures
from sdg_assets.stages.stage import ROW_STAGES
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import KEPT_ASIDE, PartitionKey, Store
from sdg_assets.store.writer import PartitionWriter
from sdg_assets.teacher.conversation import Usage
from sdg_assets.teacher.requests import TeacherIdentity
from sdg_assets.thresholds import Thresholds


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
    min_yield: float = Inspection.min_yield,
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
        min_yield: Share of the rows below which few accepted ones are a warning.
        usage: The teacher's usage, filled while `rows` is consumed.
        thresholds: Of the gates whose invariants are checked.
        heldout: The contamination gate, for stages that check that no row repeats a held-out one.
        info: What else the manifest should say; read when all rows are written.
        signatures: Called once `rows` is consumed; returns the accepted rows' signatures, which are
            published with them.
        asked: Seeds that were asked for: if they are there, fewer than before are no loss.
        accept_smaller: Whether a person has accepted fewer rows, or none, in place of those
            published.

    Raises:
        InvariantBrokenError: A check that gates the partition failed; nothing was published.
        SdgError: What the stage raised.
    """
    stage = Stage(key.stage)
    inspection = Inspection(stage, min_yield, thresholds or Thresholds(), heldout=heldout)
    inspection.requested, inspection.accept_smaller = asked, accept_smaller
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
    picture = dg.MetadataValue.md(funnel_markdown(_stages_so_far(key, store)))
    report.metadata = {"funnel_picture": picture, **report.metadata}  # the first thing one sees
    if inspection.rejected:
        report.metadata["rejected_path"] = dg.MetadataValue.path(str(store.rejected_path(key)))
    return report


def _standing(key: PartitionKey, published: Manifest | None) -> Standing | None:
    if published is None:
        return None
    verified, outcomes = published.info.get("verified", 0), published.info.get("outcomes", {})
    return Standing.of(Stage(key.stage), published.rows, published.rejected, verified, outcomes)


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


def _stages_so_far(key: PartitionKey, store: Store) -> list[tuple[str, int, int]]:
    """Stage, accepted and refused rows, of each published stage up to this one."""
    upto = ROW_STAGES[: ROW_STAGES.index(Stage(key.stage)) + 1]
    published = store.manifests(PartitionKey(key.task, s.value, key.subtask) for s in upto)
    return [
        (made.stage, manifest.rows, sum(manifest.rejected.values()))
        for made, manifest in published.items()
    ]


def _plain(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {**vars(usage), "finish_reasons": dict(usage.finish_reasons)}
