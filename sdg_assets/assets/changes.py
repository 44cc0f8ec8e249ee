"""How a partition's counts differ from those of the version that it replaces."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdg_assets.checks.inspection import Inspection
from sdg_assets.records import Stage
from sdg_assets.stages.stage import ROW_STAGES
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import PartitionKey, Store

FUNNEL = "funnel"
"""Entry of a manifest: stage → accepted rows, of this stage and of those above it."""


@dataclass(frozen=True)
class Counts:
    """Rows that a partition accepted, and refused by gate."""

    rows: int
    refused: Mapping[str, int]

    @classmethod
    def of(cls, inspection: Inspection) -> "Counts":
        """The counts of a version that is being written."""
        return cls(inspection.rows, inspection.rejected)

    @classmethod
    def published(cls, manifest: Manifest | None) -> "Counts | None":
        """The counts of a published version; None if there is none."""
        if manifest is None:
            return None
        refused: Counter[str] = Counter()
        for reason, count in manifest.rejected.items():
            refused[reason.partition(":")[0]] += count
        return cls(manifest.rows, refused)

    @property
    def rows_in(self) -> int:
        """Rows that it got."""
        return self.rows + sum(self.refused.values())

    @property
    def accepted_share(self) -> float:
        """Accepted rows ÷ rows that it got; 0 without rows."""
        return self.rows / self.rows_in if self.rows_in else 0.0


def funnel_table(now: Counts, before: Counts | None) -> str:
    """Rows in, accepted and refused, and the yield, as a Markdown table.

    Args:
        now: The counts of the new version.
        before: Those of the version that it replaces; None: it is the first, and the table says so.
    """
    gates = Counter(now.refused) | (Counter(before.refused) if before else Counter[str]())
    by_loss = sorted(gates, key=lambda gate: (-now.refused.get(gate, 0), gate))
    counted = [("in", now.rows_in, before and before.rows_in)]
    counted += [("accepted", now.rows, before and before.rows)]
    counted += [
        (gate, now.refused.get(gate, 0), before and before.refused.get(gate, 0)) for gate in by_loss
    ]
    share = f"{now.accepted_share:.1%}"
    if before is None:
        lines = [f"| {name} | {count:,} |" for name, count, _ in counted]
        head = ["| rows | count |", "|---|---|"]
        end = [f"| yield | {share} |", "", "The first materialization: there is no change to show."]
        return "\n".join([*head, *lines, *end])
    points = 100 * (now.accepted_share - before.accepted_share)
    lines = [f"| {name} | {count:,} | {count - (old or 0):+,} |" for name, count, old in counted]
    head = ["| rows | count | change |", "|---|---|---|"]
    return "\n".join([*head, *lines, f"| yield | {share} | {points:+.1f} points |"])


def stages_so_far(key: PartitionKey, store: Store, now: Counts) -> list[tuple[str, int, int]]:
    """(stage, accepted rows, refused rows) of each stage up to a partition's.

    Args:
        key: The partition, which need not be published.
        store: Holds the stages above it.
        now: The partition's counts.
    """
    above = ROW_STAGES[: ROW_STAGES.index(Stage(key.stage))]
    published = store.manifests(PartitionKey(key.task, s.value, key.subtask) for s in above)
    counts = [
        (stage_key.stage, manifest.rows, sum(manifest.rejected.values()))
        for stage_key, manifest in published.items()
    ]
    return [*counts, (key.stage, now.rows, sum(now.refused.values()))]


def funnel_before(key: PartitionKey, replaced: Manifest | None) -> dict[str, int]:
    """Stage → accepted rows when the replaced version was made; empty for the first one."""
    if replaced is None:
        return {}
    above: dict[str, Any] = replaced.info.get(FUNNEL, {})
    return {**above, key.stage: replaced.rows}
