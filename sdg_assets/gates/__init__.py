"""One module a gate, which exports one `GATE`; order, checks and preview derive from these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

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
    "misread",
    "order",
    "row_gates",
    "seed_gates",
    "set_gates",
    "signatures_of",
    "text_gates",
]


@cache
def all_gates() -> tuple[GateSpec[Any], ...]:
    """Every gate, built-in or of another package, in order.

    Raises:
        PermanentError: A `GATE` is no `GateSpec`, two gates have one name or one name of a check,
            or two gates need what is held out.
    """
    specs: list[GateSpec[Any]] = []
    for exported in members("sdg_assets.gates", "GATE"):
        if not isinstance(exported, GateSpec):
            raise PermanentError(f"GATE must be a GateSpec of sdg_assets.gates, not {exported!r}")
        for spec in specs:
            if exported.name == spec.name or exported.check_name == spec.check_name:
                raise PermanentError(
                    f"two gates are named {exported.name!r} or have a check "
                    f"{exported.check_name!r}; rename one"
                )
            if exported.needs_heldout and spec.needs_heldout:
                raise PermanentError(
                    f"gate {exported.name}: it has no `build`, and only {spec.name} is built from "
                    "what is held out"
                )
        specs.append(exported)
    return tuple(sorted(specs, key=lambda spec: spec.place))


def order() -> tuple[str, ...]:
    """The names of all gates, in the order in which rows go through them."""
    return tuple(spec.name for spec in all_gates())


def gate_checks(stage: str) -> tuple[str, ...]:
    """The checks of a stage that state that its rows pass a gate, in order.

    Args:
        stage: Name of the stage.
    """
    return tuple(spec.check_name for spec in all_gates() if stage in spec.checked_in)


def draft_gates(thresholds: Thresholds) -> list[Gate]:
    """The gates that a writer's draft goes through as soon as it is read.

    Args:
        thresholds: Where they draw their lines.
    """
    return list(_built(Point.DRAFT, thresholds))


def seed_gates(thresholds: Thresholds, heldout: Gate | None = None) -> list[Gate]:
    """The gates that a dataset's own row must pass to be written after.

    Args:
        thresholds: Where they draw their lines.
        heldout: The contamination gate; None only where what passes is counted, not kept.
    """
    return list(_built(Point.SEED, thresholds, heldout))


def text_gates(thresholds: Thresholds) -> list[Gate]:
    """The gates that look at how a row reads.

    Args:
        thresholds: Where they draw their lines.
    """
    return list(_built(Point.TEXT, thresholds))


def misread(texts: Sequence[str], row: Example, gates: Iterable[Gate]) -> dict[int, Refusal]:
    """What is wrong with texts that were written for a row: each stands in as its context.

    Args:
        texts: Traces, backgrounds.
        row: The row, which passes the gates itself.
        gates: `text_gates`.

    Returns:
        Position of a text → the verdict on it.
    """
    return first_refusals([row.model_copy(update={"context": text}) for text in texts], gates)


def row_gates(
    thresholds: Thresholds, heldout: Gate | None = None, only: type[Example] | None = None
) -> list[Gate]:
    """All gates that look at one row, in order.

    Args:
        thresholds: Where they draw their lines.
        heldout: The contamination gate; None only where what passes is counted, not kept.
        only: Leaves out gates that need more of a row than this record has; None leaves out none.
    """
    return list(_built(Point.ROW, thresholds, heldout, only))


def set_gates(thresholds: Thresholds, seeds: Callable[[], Iterable[Example]]) -> list[SetGate]:
    """The gates that look at all rows of a partition together, in order; the last one signs them.

    Args:
        thresholds: Where they draw their lines.
        seeds: Reads the partition's seeds; called once for each gate.
    """
    return [
        spec.build_set(seeds(), thresholds.of(spec.thresholds))
        for spec in all_gates()
        if spec.build_set
    ]


def signatures_of(sets: Sequence[SetGate]) -> Signatures:
    """The signatures of the rows that passed all gates over the set.

    Args:
        sets: `set_gates`, after the rows went through them.

    Raises:
        PermanentError: The last of them signs no rows.
    """
    if not sets or not isinstance(sets[-1], SigningGate):
        raise PermanentError("no gate over a set signs rows: a release could not find copies")
    return sets[-1].signatures()


def _built(
    point: Point,
    thresholds: Thresholds,
    heldout: Gate | None = None,
    only: type[Example] | None = None,
) -> Iterator[Gate]:
    for spec in all_gates():
        if point not in spec.points or not issubclass(only or spec.reads, spec.reads):
            continue
        if spec.build:
            yield spec.build(thresholds.of(spec.thresholds))
        elif heldout:
            yield heldout
