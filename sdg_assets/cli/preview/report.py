"""What each gate would drop from the rows in the store, before anything is applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.stages.stage import ROW_STAGES
from sdg_assets.stages.stage import STAGES as STAGE_TABLE
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.thresholds import Thresholds, overridden

STAGES: Mapping[str, type[Example]] = {
    stage.value: record
    for stage in reversed(ROW_STAGES)
    if stage is not Stage.FILTERED and issubclass(record := STAGE_TABLE[stage].record, Example)
}
"""The stages whose rows the gates have not refused yet, the last one first → their record."""
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

    Raises:
        StoreError: Nothing of the subtask is materialized, or its files are corrupt.
    """
    keys = (PartitionKey(spec.task, stage, spec.key) for stage in STAGES)
    key = next((key for key in keys if store.exists(key)), None)
    if key is None:
        raise StoreError(f"{spec.task}/{spec.key}: nothing in {store.root}; materialize it first")
    found = Preview(key, thresholds)
    gates = [
        gate
        for gate in row_gates(thresholds, heldout)
        if gate.name in only and (key.stage == Stage.ENRICHED or gate.name not in ENRICHED_ONLY)
    ]
    copies, passed = _duplicates(store, key, thresholds), []
    for rows in batches(store.read(key, STAGES[key.stage])):
        left = _row_gates(found, rows, gates, examples)
        found.rows += len(rows)
        if duplicates.NAME in only:
            copies.add([rows[place] for place in left])
            passed += [rows[place] for place in left]
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


def report(found: Preview) -> Iterator[str]:
    """The lines of a preview: thresholds, a table of reasons, and example rows."""
    yield f"{found.key}: {found.rows} rows"
    default = Thresholds()
    for name, value in found.thresholds:
        mark = (
            ""
            if value == getattr(default, name)
            else "  (default " + _plain(getattr(default, name)) + ")"
        )
        yield f"  {name} = {_plain(value)}{mark}"
    if not found.alone:
        yield "no gate would drop a row"
        return
    yield f"  {'rows':>7} {'share':>7}  gate: reason"
    for gate in ORDER:
        reasons = [(key, count) for key, count in found.alone.most_common() if key[0] == gate]
        for (_, reason), count in reasons:
            yield f"  {count:>7} {count / found.rows:>7.2%}  {gate}: {reason}"
            for sighting in found.sightings[gate, reason]:
                yield f"                     {_line(sighting)}"
        if reasons:
            first = found.in_order[gate]
            reported = gate == personal_data.NAME and found.thresholds.personal_data == "report"
            yield (
                f"  {gate} only reports them"
                if reported
                else f"  {gate} drops {first} that no gate before it does"
            )
    kept = found.rows - found.in_order.total()
    yield f"  {kept} of {found.rows} rows ({kept / found.rows:.1%}) would be left"


def _duplicates(store: Store, key: PartitionKey, thresholds: Thresholds) -> Duplicates:
    seeds = PartitionKey(key.task, Stage.NORMALIZED.value, key.subtask)
    with_seeds = key.stage != Stage.NORMALIZED and store.exists(seeds)
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


def _line(sighting: Sighting) -> str:
    row, refusal = sighting.row, sighting.refusal
    detail = f" [{_short(refusal.detail, 60)}]" if refusal.detail else ""
    return f"{row.id[:8]} {_short(row.question, 70)!r} → {_short(row.answer, 30)!r}{detail}"


def _short(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)


def named(gate: str | None) -> tuple[str, ...]:
    """The gates that a name means; None means all.

    Raises:
        PermanentError: There is no such gate.
    """
    if gate is not None and gate not in ORDER:
        raise PermanentError(f"unknown gate {gate!r}; there are: {', '.join(ORDER)}")
    return ORDER if gate is None else (gate,)


def subtasks(keys: Sequence[str], store: Store, task: str) -> list[str]:
    """Those of a task's subtasks that have rows in the store.

    Raises:
        StoreError: None has.
    """
    there = [key for key in keys if any(store.exists(PartitionKey(task, s, key)) for s in STAGES)]
    if not there:
        raise StoreError(f"{task}: nothing in {store.root}; materialize a subtask of it first")
    return there
