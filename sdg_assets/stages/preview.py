"""What each gate would drop from the rows in the store, before anything is applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.gates import Batch, Gate, all_gates, order, row_gates, set_gates
from sdg_assets.gates.base import Reporting, batches
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
"""The stages whose rows the gates have not refused yet, the last one first → their record."""


@dataclass(frozen=True)
class Sighting:
    """A row that a gate would drop."""

    row: Example
    refusal: Refusal


@dataclass
class Preview:
    """What the gates would do to one partition.

    Attributes:
        alone: Rows by (gate, reason), whatever the other gates say of them.
        in_order: Rows by the gate that would be the first to refuse them.
        sightings: A few rows for each (gate, reason).
    """

    key: PartitionKey
    thresholds: Thresholds
    rows: int = 0
    alone: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_order: Counter[str] = field(default_factory=Counter)
    sightings: dict[tuple[str, str], list[Sighting]] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Rows that every gate would let through."""
        return self.rows - self.in_order.total()

    def only_reports(self, gate: str) -> bool:
        """Whether a gate drops nothing under these thresholds, and its rows are only counted."""
        spec = next(spec for spec in all_gates() if spec.name == gate)
        own = self.thresholds.of(spec.thresholds)
        return spec.reporting is not None and spec.reporting.is_report(own)

    def see(
        self, rows: Sequence[Example], gate: str, refusals: Mapping[int, Refusal], examples: int
    ) -> None:
        """Takes note of what one gate refuses among some rows."""
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
    """Puts the rows of a partition through every gate, and writes nothing.

    The rows are those of `enriched`; where that is not materialized of `generated`, else of
    `normalized`.

    Args:
        store: Where the rows lie.
        spec: The subtask.
        thresholds: Those to try.
        only: The gates to look at; None for all.
        examples: Rows to keep for each reason.
        heldout: The contamination gate; None where nothing held out is hashed.
        progress: Called with how many more rows went through the gates.

    Raises:
        StoreError: Nothing of the subtask is materialized, or its files are corrupt.
    """
    key = partition_of(store, spec)
    result = Preview(key, thresholds)
    wanted = order() if only is None else only
    record = STAGES[key.stage]
    gates = [gate for gate in row_gates(thresholds, heldout, record) if gate.name in wanted]
    names = [spec.name for spec in all_gates() if spec.build_set]
    every_set = zip(names, set_gates(thresholds, lambda: _seeds(store, key)), strict=True)
    sets = [(name, over_set) for name, over_set in every_set if name in wanted]
    passed: list[Example] = []
    for rows in batches(store.read(key, record)):
        left = [rows[place] for place in _row_gates(result, rows, gates, examples)]
        result.rows += len(rows)
        for _, over_set in sets:
            over_set.add(left)
        passed += left if sets else []
        progress(len(rows))
    refused: set[int] = set()
    for name, over_set in sets:
        refusals = over_set.refusals()
        result.see(passed, name, refusals, examples)
        result.in_order[name] += len(refusals.keys() - refused)
        refused |= refusals.keys()
    return result


def tried(layers: Iterable[Mapping[str, object]]) -> Thresholds:
    """Thresholds from layers of overrides, the last one strongest.

    Raises:
        PermanentError: A name that no gate and no check owns (lists all names), or a wrong value.
    """
    try:
        return overridden(*map(dict, layers))
    except ValueError as error:
        raise PermanentError(f"thresholds: {error}. There are: {', '.join(owners())}") from error


def partition_of(store: Store, spec: SubtaskSpec) -> PartitionKey:
    """The furthest stage of a subtask that is materialized, of those whose rows are gated.

    Args:
        store: Where the stages lie.
        spec: The subtask.

    Raises:
        StoreError: None is.
    """
    keys = (PartitionKey(spec.task, stage, spec.key) for stage in STAGES)
    key = next((key for key in keys if store.exists(key)), None)
    if key is None:
        raise StoreError(f"{spec.task}/{spec.key}: nothing in {store.root}; materialize it first")
    return key


def _seeds(store: Store, key: PartitionKey) -> Iterable[Example]:
    """The partition's seeds; none for the seeds themselves."""
    seeds = PartitionKey(key.task, Stage.NORMALIZED.value, key.subtask)
    has_seeds = key.stage != Stage.NORMALIZED and store.exists(seeds)
    return store.read(seeds, Example) if has_seeds else ()


def _row_gates(
    preview: Preview, rows: Sequence[Example], gates: Iterable[Gate], examples: int
) -> list[int]:
    """Positions of the rows that every gate lets through."""
    reporting: dict[str, Reporting[Any]] = {s.name: s.reporting for s in all_gates() if s.reporting}
    batch, left = Batch(rows), set(range(len(rows)))
    for gate in gates:
        refusals = gate.refusals(batch)
        preview.in_order[gate.name] += len(left & refusals.keys())
        left -= refusals.keys()
        if gate.name in reporting:  # listed where they are only reported, too
            refusals = reporting[gate.name].finds.refusals(batch)
        preview.see(rows, gate.name, refusals, examples)
    return sorted(left)


def named(gate: str | None) -> tuple[str, ...]:
    """The gates that a name means; None means all.

    Raises:
        PermanentError: There is no such gate.
    """
    if gate is not None and gate not in order():
        raise PermanentError(f"unknown gate {gate!r}; there are: {', '.join(order())}")
    return order() if gate is None else (gate,)


def with_rows(specs: Sequence[SubtaskSpec], store: Store) -> list[SubtaskSpec]:
    """Those of some subtasks that have rows in the store.

    Args:
        specs: The subtasks of one task.
        store: Where the stages lie.

    Raises:
        StoreError: None has.
    """
    keys = {
        PartitionKey(spec.task, stage, spec.key): spec.key for spec in specs for stage in STAGES
    }
    stored = {keys[key] for key in store.manifests(keys)}
    if not stored:
        tasks = ", ".join(sorted({spec.task for spec in specs}))
        raise StoreError(f"{tasks}: nothing in {store.root}; materialize a subtask of it first")
    return [spec for spec in specs if spec.key in stored]
