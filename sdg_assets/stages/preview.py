"""Shows which stored rows each gate would drop, before a run applies the gates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from more_itertools import chunked

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.gates import Batch, Gate, all_gates, order, row_gates, set_gates
from sdg_assets.gates.base import ROWS_PER_BATCH, Reporting
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.stages.stage import ROW_STAGES
from sdg_assets.stages.stage import STAGES as STAGE_TABLE
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.thresholds import Thresholds, overridden, owners

STAGES: Mapping[str, type[Example]] = {
    stage.value: record
    for stage in reversed(ROW_STAGES)
    if stage is not Stage.FILTERED and issubclass(record := STAGE_TABLE[stage].record, Example)
}
"""Stages whose rows the gates of `filtered` have not tested yet, the last first → their record."""


@dataclass(frozen=True)
class Sighting:
    """A row that a gate would drop."""

    row: Example
    refusal: Refusal


@dataclass
class Preview:
    """The rows of one partition that the gates would drop.

    Attributes:
        key: The partition.
        thresholds: The thresholds that were tried.
        rows: Number of the partition's rows.
        alone: Refused rows by (gate, reason), each gate on its own.
        in_order: Refused rows by the first gate that refuses them.
        sightings: A few refused rows for each (gate, reason).
    """

    key: PartitionKey
    thresholds: Thresholds
    rows: int = 0
    alone: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_order: Counter[str] = field(default_factory=Counter)
    sightings: dict[tuple[str, str], list[Sighting]] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Number of rows that no gate would drop."""
        return self.rows - self.in_order.total()

    def only_reports(self, gate: str) -> bool:
        """Whether a gate, with these thresholds, only reports rows and drops none."""
        spec = next(spec for spec in all_gates() if spec.name == gate)
        own = self.thresholds.of(spec.thresholds)
        return spec.reporting is not None and spec.reporting.is_report(own)

    def see(
        self, rows: Sequence[Example], gate: str, refusals: Mapping[int, Refusal], examples: int
    ) -> None:
        """Counts the refusals of one gate in a batch, and keeps the first few as sightings.

        Args:
            rows: The batch.
            gate: The gate's name.
            refusals: Position in the batch → refusal.
            examples: How many sightings to keep for each reason.
        """
        for place, refusal in refusals.items():
            reason = (gate, refusal.reason)
            self.alone[reason] += 1
            sightings = self.sightings.setdefault(reason, [])
            if len(sightings) < examples:
                sightings.append(Sighting(rows[place], refusal))


def preview(
    store: Store,
    spec: SubtaskSpec,
    thresholds: Thresholds,
    only: Collection[str] | None = None,
    examples: int = 2,
    heldout: Gate | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> Preview:
    """Tests the rows of a partition with every gate and writes nothing.

    The rows are those of the last of `enriched`, `generated` and `normalized` that is materialized.

    Args:
        store: The store with the rows.
        spec: The subtask.
        thresholds: The thresholds to try.
        only: The names of the gates to run; None for all.
        examples: Rows to keep for each reason.
        heldout: The contamination gate; None if no held-out data is hashed.
        progress: Called with the number of rows that were tested since the last call.

    Raises:
        StoreError: Nothing of the subtask is materialized, or its files are corrupt.
    """
    key = partition_of(store, spec)
    result = Preview(key, thresholds)
    selected = order() if only is None else only
    record = STAGES[key.stage]
    gates = [gate for gate in row_gates(thresholds, heldout, record) if gate.name in selected]
    names = [spec.name for spec in all_gates() if spec.build_set]
    every_set = zip(names, set_gates(thresholds, lambda: _seeds(store, key)), strict=True)
    sets = [(name, over_set) for name, over_set in every_set if name in selected]
    passed: list[Example] = []
    for rows in chunked(store.read(key, record), ROWS_PER_BATCH):
        remaining = [rows[place] for place in _row_gates(result, rows, gates, examples)]
        result.rows += len(rows)
        for _, over_set in sets:
            over_set.add(remaining)
        passed += remaining if sets else []
        progress(len(rows))
    refused: set[int] = set()
    for name, over_set in sets:
        refusals = over_set.refusals()
        result.see(passed, name, refusals, examples)
        result.in_order[name] += len(refusals.keys() - refused)
        refused |= refusals.keys()
    return result


def tried(layers: Iterable[Mapping[str, object]]) -> Thresholds:
    """Builds thresholds from layers of overrides; later layers win.

    Raises:
        PermanentError: No gate or check owns a name (the message lists all names), or a value is
            invalid.
    """
    try:
        return overridden(*map(dict, layers))
    except ValueError as error:
        raise PermanentError(f"thresholds: {error}. There are: {', '.join(owners())}") from error


def partition_of(store: Store, spec: SubtaskSpec) -> PartitionKey:
    """The last materialized partition of a subtask before the gates.

    Args:
        store: The store.
        spec: The subtask.

    Raises:
        StoreError: No stage of the subtask before the gates is materialized.
    """
    keys = (PartitionKey(spec.task, stage, spec.key) for stage in STAGES)
    key = next((key for key in keys if store.exists(key)), None)
    if key is None:
        raise StoreError(f"{spec.task}/{spec.key}: nothing in {store.root}; materialize it first")
    return key


def _seeds(store: Store, key: PartitionKey) -> Iterable[Example]:
    """The subtask's normalized seeds; empty if the previewed rows are these seeds themselves."""
    seeds = PartitionKey(key.task, Stage.NORMALIZED.value, key.subtask)
    has_seeds = key.stage != Stage.NORMALIZED and store.exists(seeds)
    return store.read(seeds, Example) if has_seeds else ()


def _row_gates(
    preview: Preview, rows: Sequence[Example], gates: Iterable[Gate], examples: int
) -> list[int]:
    """The positions of the rows that every gate accepts, in order."""
    reporting: dict[str, Reporting[Any]] = {s.name: s.reporting for s in all_gates() if s.reporting}
    batch, remaining = Batch(rows), set(range(len(rows)))
    for gate in gates:
        refusals = gate.refusals(batch)
        preview.in_order[gate.name] += len(remaining & refusals.keys())
        remaining -= refusals.keys()
        if gate.name in reporting:  # also lists rows that the gate only reports
            refusals = reporting[gate.name].finds.refusals(batch)
        preview.see(rows, gate.name, refusals, examples)
    return sorted(remaining)


def named(gate: str | None) -> tuple[str, ...]:
    """The names of the gates to run: the given one, or all for None.

    Raises:
        PermanentError: No gate has this name.
    """
    if gate is not None and gate not in order():
        raise PermanentError(f"unknown gate {gate!r}; there are: {', '.join(order())}")
    return order() if gate is None else (gate,)


def with_rows(specs: Sequence[SubtaskSpec], store: Store) -> list[SubtaskSpec]:
    """Selects the subtasks that have rows in the store.

    Args:
        specs: The subtasks of one task.
        store: The store.

    Raises:
        StoreError: No subtask has rows.
    """
    keys = {
        PartitionKey(spec.task, stage, spec.key): spec.key for spec in specs for stage in STAGES
    }
    stored = {keys[key] for key in store.manifests(keys)}
    if not stored:
        tasks = ", ".join(sorted({spec.task for spec in specs}))
        raise StoreError(f"{tasks}: nothing in {store.root}; materialize a subtask of it first")
    return [spec for spec in specs if spec.key in stored]
