"""The gates: each module exports one `GATE`; gate order, checks and preview derive from these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, cast

from sdg_assets.errors import PermanentError
from sdg_assets.gates.base import Batch, Gate, GateSpec, Point, SetGate, SigningGate, first_refusals
from sdg_assets.records import Example, Refusal
from sdg_assets.registry import members
from sdg_assets.thresholds import Thresholds

if TYPE_CHECKING:
    from sdg_assets.signatures.table import Signatures

__all__ = [
    "Batch",
    "Gate",
    "GateSpec",
    "Point",
    "Refusal",
    "SetGate",
    "all_gates",
    "draft_gates",
    "first_refusals",
    "gate_checks",
    "order",
    "row_gates",
    "seed_gates",
    "set_gates",
    "signatures_of",
    "text_gates",
    "text_refusals",
]


def all_gates() -> tuple[GateSpec[Any], ...]:
    """Every gate in order: the built-in ones and those of other packages.

    Raises:
        PermanentError: A `GATE` is not a `GateSpec`, two gates share a name or a check name, or two
            gates need the held-out index.
    """
    exported = members("sdg_assets.gates", "GATE")
    for member in exported:
        if not isinstance(member, GateSpec):
            raise PermanentError(f"GATE must be a GateSpec of sdg_assets.gates, not {member!r}")
    return _in_order(cast("tuple[GateSpec[Any], ...]", exported))


@cache  # called for every partition and draft
def _in_order(gates: tuple[GateSpec[Any], ...]) -> tuple[GateSpec[Any], ...]:
    for gate, other in combinations(gates, 2):
        if other.name == gate.name or other.check_name == gate.check_name:
            raise PermanentError(
                f"two gates are named {other.name!r} or have a check {other.check_name!r}; "
                "rename one"
            )
        if other.needs_heldout and gate.needs_heldout:
            raise PermanentError(
                f"gate {other.name}: it has no `build`; only {gate.name} is built from "
                "the held-out index"
            )
    return tuple(sorted(gates, key=lambda gate: gate.place))


def order() -> tuple[str, ...]:
    """The names of all gates, in the order in which they test a row."""
    return tuple(spec.name for spec in all_gates())


def gate_checks(stage: str) -> tuple[str, ...]:
    """The names of a stage's checks that state that its rows pass a gate, in order.

    Args:
        stage: Name of the stage.
    """
    return tuple(spec.check_name for spec in all_gates() if stage in spec.checked_in)


def draft_gates(thresholds: Thresholds) -> list[Gate]:
    """The gates that test a writer's draft as soon as it is read.

    Args:
        thresholds: The thresholds of all gates.
    """
    return list(_built(Point.DRAFT, thresholds))


def seed_gates(thresholds: Thresholds, heldout: Gate | None = None) -> list[Gate]:
    """The gates that a dataset's own row must pass to become a seed.

    Args:
        thresholds: The thresholds of all gates.
        heldout: The contamination gate; None only if passing rows are counted, not kept.
    """
    return list(_built(Point.SEED, thresholds, heldout))


def text_gates(thresholds: Thresholds) -> list[Gate]:
    """The gates that test how a row reads.

    Args:
        thresholds: The thresholds of all gates.
    """
    return list(_built(Point.TEXT, thresholds))


def text_refusals(
    texts: Sequence[tuple[Example, str]], gates: Iterable[Gate]
) -> dict[int, Refusal]:
    """Tests texts that were written for rows: each text takes the place of its row's context.

    Args:
        texts: (row, text written for it); the rows pass the gates themselves.
        gates: The gates of `text_gates`.

    Returns:
        Position of a refused text → its refusal.
    """
    rows = [row.changed({"context": text}) for row, text in texts]
    return first_refusals(rows, gates, untested=("context",))


def row_gates(
    thresholds: Thresholds,
    heldout: Gate | None = None,
    only: type[Example] | None = None,
    passed_in: Sequence[Gate] = (),
) -> list[Gate]:
    """All gates that test one row at a time, in order.

    Args:
        thresholds: The thresholds of all gates.
        heldout: The contamination gate; None only if passing rows are counted, not kept.
        only: Gates that need fields which this record lacks are left out; None keeps all gates.
        passed_in: Gates that their specs do not build (`GateSpec.is_passed_in`).
    """
    return list(_built(Point.ROW, thresholds, heldout, only, passed_in))


def set_gates(thresholds: Thresholds, seeds: Callable[[], Iterable[Example]]) -> list[SetGate]:
    """The gates that test all rows of a partition together, in order; the last one signs the rows.

    Args:
        thresholds: The thresholds of all gates.
        seeds: Reads the partition's seeds; called as often as a gate reads them.
    """
    return [
        spec.build_set(_Reread(seeds), thresholds.of(spec.thresholds))
        for spec in all_gates()
        if spec.build_set
    ]


@dataclass(frozen=True)
class _Reread(Iterable[Example]):
    """Rows that can be read more than once, so that nobody has to keep them."""

    read: Callable[[], Iterable[Example]]

    def __iter__(self) -> Iterator[Example]:
        return iter(self.read())


def signatures_of(sets: Sequence[SetGate]) -> Signatures:
    """The signatures of the rows that passed all set gates.

    Args:
        sets: The gates of `set_gates`, after all rows were added to them.

    Raises:
        PermanentError: The last gate does not sign rows.
    """
    if not sets or not isinstance(sets[-1], SigningGate):
        raise PermanentError(
            "the last set gate must sign rows, or a release cannot find duplicates"
        )
    return sets[-1].signatures()


def _built(
    point: Point,
    thresholds: Thresholds,
    heldout: Gate | None = None,
    only: type[Example] | None = None,
    passed_in: Sequence[Gate] = (),
) -> Iterator[Gate]:
    for spec in all_gates():
        if point not in spec.points or not issubclass(only or spec.reads, spec.reads):
            continue
        if spec.build:
            yield spec.build(thresholds.of(spec.thresholds))
        elif spec.is_passed_in:
            yield from (gate for gate in passed_in if gate.name == spec.name)
        elif heldout:
            yield heldout
