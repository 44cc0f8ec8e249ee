"""What each gate would drop from the rows in the store, before anything is applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.gates import (
    ORDER,
    Batch,
    Gate,
    duplicates,
    judge,
    personal_data,
    row_gates,
    verification,
)
from sdg_assets.gates.base import batches
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Refusal
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.thresholds import Thresholds, overridden

STAGES: Mapping[str, type[Example]] = {
    "enriched": EnrichedExample,
    "generated": GeneratedExample,
    "normalized": Example,
}
# They look at what `enriched` adds.
ENRICHED_ONLY = (verification.NAME, judge.NAME)


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
        return gate == personal_data.NAME and self.thresholds.personal_data == "report"

    def see(
        self, rows: Sequence[Example], gate: str, refusals: Mapping[int, Refusal], examples: int
    ) -> None:
        """Takes note of what one gate refuses among some rows."""
        for place, refusal in refusals.items():
            reason = (gate, refusal.reason)
            self.alone[reason] += 1
            shown = self.sightings.setdefault(reason, [])
            if len(shown) < examples:
                shown.append(Sighting(rows[place], refusal))


def preview(
    store: Store,
    spec: SubtaskSpec,
    thresholds: Thresholds,
    only: Collection[str] = ORDER,
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
        only: The gates to look at.
        examples: Rows to keep for each reason.
        heldout: The contamination gate; None where nothing held out is hashed.
        progress: Called with how many more rows went through the gates.

    Raises:
        StoreError: Nothing of the subtask is materialized, or its files are corrupt.
    """
    key = partition_of(store, spec)
    found = Preview(key, thresholds)
    gates = [
        gate
        for gate in row_gates(thresholds, heldout)
        if gate.name in only and (key.stage == "enriched" or gate.name not in ENRICHED_ONLY)
    ]
    copies, passed = _duplicates(store, key, thresholds), []
    for rows in batches(store.read(key, STAGES[key.stage])):
        left = _row_gates(found, rows, gates, examples)
        found.rows += len(rows)
        if duplicates.NAME in only:
            copies.add([rows[place] for place in left])
            passed += [rows[place] for place in left]
        progress(len(rows))
    refused = copies.refusals()
    found.see(passed, duplicates.NAME, refused, examples)
    found.in_order[duplicates.NAME] += len(refused)
    return found


def tried(layers: Iterable[Mapping[str, object]]) -> Thresholds:
    """Thresholds from layers of overrides, the last one strongest.

    Raises:
        PermanentError: A name that no gate knows (lists those there are), or a wrong value.
    """
    try:
        return overridden(*map(dict, layers))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(Thresholds.model_fields)
        raise PermanentError(f"thresholds: {wrong}. There are: {known}") from error


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


def _duplicates(store: Store, key: PartitionKey, thresholds: Thresholds) -> Duplicates:
    seeds = PartitionKey(key.task, "normalized", key.subtask)
    with_seeds = key.stage != "normalized" and store.exists(seeds)
    return Duplicates(store.read(seeds, Example) if with_seeds else (), thresholds)


def _row_gates(
    found: Preview, rows: Sequence[Example], gates: Iterable[Gate], examples: int
) -> list[int]:
    """Positions of the rows that every gate lets through."""
    batch, left = Batch(rows), set(range(len(rows)))
    for gate in gates:
        refusals = gate.refusals(batch)
        found.in_order[gate.name] += len(left & refusals.keys())
        left -= refusals.keys()
        if gate.name == personal_data.NAME:
            refusals = personal_data.found(batch)  # shown where they are only reported, too
        found.see(rows, gate.name, refusals, examples)
    return sorted(left)


def named(gate: str | None) -> tuple[str, ...]:
    """The gates that a name means; None means all.

    Raises:
        PermanentError: There is no such gate.
    """
    if gate is not None and gate not in ORDER:
        raise PermanentError(f"unknown gate {gate!r}; there are: {', '.join(ORDER)}")
    return ORDER if gate is None else (gate,)


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
    there = {keys[key] for key in store.manifests(keys)}
    if not there:
        tasks = ", ".join(sorted({spec.task for spec in specs}))
        raise StoreError(f"{tasks}: nothing in {store.root}; materialize a subtask of it first")
    return [spec for spec in specs if spec.key in there]
