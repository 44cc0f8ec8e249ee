"""How many rows each stage took in and let through: one line a subtask, read from the store.

`python -m sdg_assets.stages.funnel` prints it for everything that is materialized.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from sdg_assets.catalog import Catalog, SubtaskSpec, configured_catalog
from sdg_assets.cli.command import command
from sdg_assets.records import Stage
from sdg_assets.settings import settings
from sdg_assets.stages.generated import CONTROLLING_SEED, GATE
from sdg_assets.stages.stage import ROW_STAGES, STAGES, key_of
from sdg_assets.store.partitions import Store

# A completion refused for one of these could not be read; refused for another reason, it could.
UNREADABLE = ("truncated", "empty", "refusal", "unparsable", "too long")


@dataclass
class FunnelRow:
    """One subtask's way through the stages, in rows; tokens are the teacher's output tokens."""

    task: str
    subtask: str
    kind: str
    seeds: int = 0
    normalized: int = 0
    generated: int = 0
    parsed: int = 0
    verified: int = 0
    accepted: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        """Output tokens a second of teacher time; 0 when everything came from the log."""
        return self.tokens / self.seconds if self.seconds else 0.0


def funnel_row(store: Store, spec: SubtaskSpec) -> FunnelRow:
    """Reads the manifests of a subtask; stages that are not materialized count 0."""
    row = FunnelRow(spec.task, spec.key, spec.answer_kind.value)
    published = store.manifests(key_of(spec, stage) for stage in ROW_STAGES)
    manifests = {Stage(key.stage): manifest for key, manifest in published.items()}
    for stage, manifest in manifests.items():
        usage = manifest.info.get("usage", {})
        row.tokens += usage.get("output_tokens", 0)
        row.seconds += usage.get("seconds", 0.0)
        for reason, count in manifest.rejected.items():
            # What a seed lost on its way is no rejection of a new example.
            if not STAGES[stage].maps_seeds:
                row.rejections[reason] += count
    counts = {stage: manifest.rows for stage, manifest in manifests.items()}
    row.seeds, row.normalized = counts.get(Stage.SEEDS, 0), counts.get(Stage.NORMALIZED, 0)
    row.accepted = counts.get(Stage.FILTERED, 0)
    if generated := manifests.get(Stage.GENERATED):
        unasked = generated.rejected.get(f"{GATE}: {CONTROLLING_SEED}", 0)
        row.generated = generated.rows + sum(generated.rejected.values()) - unasked
        unreadable = [f"{GATE}: {reason}" for reason in UNREADABLE]
        row.parsed = row.generated - sum(generated.rejected.get(r, 0) for r in unreadable)
    if enriched := manifests.get(Stage.ENRICHED):
        row.verified = enriched.info.get("verified", 0)
    return row


def render(rows: Iterable[FunnelRow]) -> str:
    """The funnel as a table of fixed width, rejections below each line that has any."""
    header = (
        "task", "subtask", "kind", Stage.SEEDS.value, Stage.GENERATED.value, "parsed", "verified",
        "accepted",
        "tokens", "tokens/s",
    )  # fmt: skip
    table: list[tuple[str, ...]] = [header]
    notes: dict[int, str] = {}
    for row in rows:
        numbers = (row.seeds, row.generated, row.parsed, row.verified, row.accepted, row.tokens)
        table.append(
            (row.task, row.subtask, row.kind, *map(str, numbers), f"{row.tokens_per_second:.1f}")
        )
        if row.rejections:
            reasons = (f"{reason} {count}" for reason, count in row.rejections.most_common())
            notes[len(table) - 1] = f"    rejected – {'; '.join(reasons)}"
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    lines = []
    for number, line in enumerate(table):
        cells = (
            text.ljust(width) if column < 3 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
        lines += [notes[number]] if number in notes else []
    return "\n".join(lines)


def materialized(store: Store, catalog: Catalog) -> list[FunnelRow]:
    """The funnel of every enabled subtask that has seeds in the store."""
    specs = [task.resolve(key) for task in catalog.enabled() for key in task.enabled_subtasks()]
    seeds = {key_of(spec, Stage.SEEDS): spec for spec in specs}
    published = store.manifests(seeds)
    return [funnel_row(store, spec) for key, spec in seeds.items() if key in published]


@command
def main() -> int:
    """Prints the funnel of everything that is materialized."""
    rows = materialized(Store(settings().store), configured_catalog(settings()))
    sys.stdout.write(render(rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
