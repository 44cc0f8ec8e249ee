"""Writes the rows of a stage, and publishes them if the blocking checks pass."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg

from sdg_assets.assets.changes import FUNNEL, Counts, funnel_before, stages_so_far
from sdg_assets.assets.metadata import SAMPLES, partition_metadata
from sdg_assets.assets.pictures import funnel_markdown
from sdg_assets.checks.inspection import Inspection
from sdg_assets.checks.losses import Standing
from sdg_assets.checks.outcome import CheckOutcome, broken_invariants
from sdg_assets.checks.tally import Tally
from sdg_assets.errors import BudgetUsedUpError, PermanentError, SdgError
from sdg_assets.gates import Gate
from sdg_assets.records import Record, Rejection, Role, Stage
from sdg_assets.signatures.table import ATTACHMENT, Signatures
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import KEPT_ASIDE, PartitionKey, Store
from sdg_assets.store.writer import PartitionWriter
from sdg_assets.teacher.conversation import Usage
from sdg_assets.teacher.requests import TeacherIdentity
from sdg_assets.thresholds import Thresholds


@dataclass
class PartitionReport:
    """The result of making one partition."""

    metadata: dict[str, Any] = field(default_factory=dict)
    checks: list[CheckOutcome] = field(default_factory=list)
    content: str = ""
    """Hash of the partition's rows."""
    teachers: dict[Role, TeacherIdentity] = field(default_factory=dict)
    """Role → the teacher that answered."""
    unfinished: int = 0
    """Rows that are left out because the budget was used up."""


class InvariantBrokenError(PermanentError):
    """A partition's rows break an invariant, so it was not published."""

    def __init__(self, key: PartitionKey, report: PartitionReport, where_kept: str) -> None:
        """The message names the failed checks and where the rows are.

        Args:
            key: The partition.
            report: The partition's report, with its checks.
            where_kept: A sentence that says where the rows of this attempt are.
        """
        broken = broken_invariants(report.checks)
        problems = "; ".join(f"{check.name}: {check.summary}" for check in broken)
        super().__init__(f"{key}: {problems}. {where_kept}")
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
    seeds_requested: int | None = None,
    accept_smaller: bool = False,
    observe: Callable[[Tally], None] | None = None,
) -> PartitionReport:
    """Writes the rows of a stage, and publishes them only if its blocking checks pass.

    If a check fails, the rows are kept in another place for a person to inspect.

    Args:
        key: The partition.
        store: The store to write to.
        rows: Accepted rows and `Rejection`s, as the stage yields them.
        min_yield: Share of accepted rows, 0 to 1, below which a check warns.
        usage: The teachers' usage, filled while `rows` is consumed.
        thresholds: Thresholds of the gates whose invariants are checked.
        heldout: The contamination gate, for stages that check that no row repeats a held-out one.
        info: More entries for the manifest; read after the last row is written.
        signatures: Called after the last row; returns the accepted rows' signatures, which are
            published with the rows.
        seeds_requested: Number of seeds requested. If the partition has that many rows, having
            fewer than the version before is no loss.
        accept_smaller: Whether a person accepts that fewer rows, or none, replace the published
            ones.
        observe: Called before the first row with the tally that will count the rows.

    Raises:
        InvariantBrokenError: A blocking check failed; nothing was published.
        BudgetUsedUpError: The budget was used up before any row was finished.
        SdgError: The stage raised it.
    """
    stage = Stage(key.stage)
    inspection = Inspection(stage, min_yield, thresholds or Thresholds(), heldout=heldout)
    inspection.requested, inspection.accept_smaller = seeds_requested, accept_smaller
    if observe:
        observe(inspection)
    samples: list[Record] = []
    with store.write(key) as out:
        inspection.before = _standing(key, out.replaces)
        for row in rows:
            inspection.see(row)
            out.put(row)
            if len(samples) < SAMPLES and not isinstance(row, Rejection):
                samples.append(row)
        inspection.unfinished = usage.unfinished if usage else 0
        if inspection.unfinished and not inspection.seen:
            raise BudgetUsedUpError(
                f"{key}: the budget of tokens was used up before any of its "
                f"{inspection.unfinished} rows was finished. Raise sdg/max_tokens, or leave it "
                "out, and run it again: the answers so far are kept"
            )
        signed = signatures() if signatures else None
        checks = inspection.outcomes(signed)
        report = PartitionReport(
            partition_metadata(inspection, samples, usage, str(out.path), out.replaces),
            checks,
            content=out.sha256,
            unfinished=inspection.unfinished,
        )
        if broken_invariants(checks):
            raise InvariantBrokenError(key, report, _keep_aside(report, out))
        if signed is not None:
            out.attachments[ATTACHMENT] = partial(signed.write_parquet, str(key))
        stages = stages_so_far(key, store, Counts.of(inspection))
        out.info = {
            **(info or {}),
            FUNNEL: {name: accepted for name, accepted, _ in stages},
            "rejected_by_gate": dict(inspection.rejected),
            "outcomes": inspection.outcome_counts(),
            "verified": inspection.verified,
            **({} if inspection.pass_rate is None else {"pass_rate": inspection.pass_rate}),
            "usage": usage.plain() if usage else {},
        }
    picture = dg.MetadataValue.md(funnel_markdown(stages, funnel_before(key, out.replaces)))
    report.metadata = {"funnel_picture": picture, **report.metadata}  # first: the UI keeps order
    if inspection.rejected:
        report.metadata["rejected_path"] = dg.MetadataValue.path(str(store.rejected_path(key)))
    return report


def _standing(key: PartitionKey, published: Manifest | None) -> Standing | None:
    if published is None:
        return None
    verified, outcomes = published.info.get("verified", 0), published.info.get("outcomes", {})
    return Standing.of(Stage(key.stage), published.rows, published.rejected, verified, outcomes)


def _keep_aside(report: PartitionReport, out: PartitionWriter) -> str:
    """Keeps the rows of an unpublished attempt and adds their path to the failed checks.

    Returns:
        A sentence that says where the rows are.
    """
    try:
        path = str(out.keep_aside())
    except SdgError as error:
        return f"Its rows could not be kept for inspection: {error}"
    report.checks = [
        check.model_copy(update={"kept_at": path}) if check.blocking else check
        for check in report.checks
    ]
    return (
        f"Its refused rows are kept in {path} for {KEPT_ASIDE.days} days, its accepted rows beside "
        "them"
    )
