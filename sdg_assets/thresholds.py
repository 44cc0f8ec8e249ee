"""Thresholds of gates and checks; each gate and check declares its own.

The owner of a threshold is a gate (`GATE.thresholds`) or a check (`checks/table.py`). `gates:` in a
task's YAML and `SDG_GATES` (JSON) override thresholds by name alone, without the owner's name.
Owners are looked up when a name is first needed: so gates of other packages can declare thresholds,
and this module imports nothing from the layers above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from sdg_assets.environment import nearest
from sdg_assets.errors import PermanentError
from sdg_assets.registry import exported, members


def _ordered(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound comes first")
    return bounds


Bounds = Annotated[tuple[int, int], AfterValidator(_ordered)]
"""The smallest and the largest permitted value."""


class OwnThresholds(BaseModel):
    """Base of the models in which a gate or check declares its thresholds and their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: ClassVar[frozenset[str]] = frozenset()
    """Names of the thresholds that limit which share of a dataset may be unusable. A task that
    changes one must give a reason."""


class NoThresholds(OwnThresholds):
    """The thresholds of a gate that has none."""


OwnT = TypeVar("OwnT", bound=OwnThresholds)


class Thresholds:
    """The thresholds of all owners for one task: the overrides, and the owners' defaults."""

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 – each owner's model validates its own
        """Validates overrides against their owners.

        Args:
            **values: Threshold → value. Without overrides no owner is looked up, because importing
                all gates is slow.

        Raises:
            ValueError: A name that no owner declares, or a value out of range. One line lists all.
            PermanentError: Two owners declare the same name.
        """
        problems = list(_problems(values)) if values else []
        if problems:
            raise ValueError("; ".join(problems))
        self._values = values

    def of(self, owner: type[OwnT]) -> OwnT:
        """The thresholds of one owner.

        Args:
            owner: The model in which the owner declares them.
        """
        return owner(**{n: self._values[n] for n in owner.model_fields if n in self._values})

    def __iter__(self) -> Iterator[tuple[str, Any, Any]]:
        """Yields (name, value, default) of every threshold, grouped by owner."""
        for owner in dict.fromkeys(owners().values()):
            default = owner()
            for name, value in self.of(owner):
                yield name, value, getattr(default, name)


DEFAULTS = Thresholds()


def owners() -> dict[str, type[OwnThresholds]]:
    """All thresholds with their owners.

    Returns:
        Threshold → the model that declares it: first gates, sorted by module name, then checks.

    Raises:
        PermanentError: Two owners declare the same name, or an owner's `thresholds` are not a
            subclass of `OwnThresholds`.
    """
    declared: dict[str, type[OwnThresholds]] = {}
    for owner in _models():
        for name in owner.model_fields:
            if declared.setdefault(name, owner) is not owner:
                raise PermanentError(
                    f"the threshold {name!r} is declared by {_place(declared[name])} and by "
                    f"{_place(owner)}; rename one"
                )
    return declared


def limits() -> frozenset[str]:
    """Names of the thresholds that a task may change only with a reason (`gates_because:`)."""
    return frozenset[str]().union(*(owner.limits for owner in _models()))


def overridden(*layers: dict[str, Any]) -> Thresholds:
    """Merges overrides with the defaults.

    Args:
        *layers: Threshold → value; a later layer wins over an earlier one.

    Raises:
        ValueError: A name that no owner declares, or a value out of range.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    return Thresholds(**merged)


def _models() -> Iterable[type[OwnThresholds]]:
    of_gates = (getattr(gate, "thresholds", None) for gate in members("sdg_assets.gates", "GATE"))
    for model in (*of_gates, *exported("sdg_assets.checks.table", "THRESHOLDS")):
        if not (isinstance(model, type) and issubclass(model, OwnThresholds)):
            raise PermanentError(f"thresholds must be a subclass of OwnThresholds, not {model!r}")
        yield model


def _problems(values: dict[str, Any]) -> Iterator[str]:
    declared = owners()
    for name in (name for name in values if name not in declared):
        yield f"{name}: Extra inputs are not permitted; {nearest(name, declared)}"
    for owner in dict.fromkeys(declared[name] for name in values if name in declared):
        try:
            owner(**{name: values[name] for name in owner.model_fields if name in values})
        except ValidationError as error:
            for fault in error.errors():
                yield ": ".join(filter(None, [".".join(map(str, fault["loc"])), fault["msg"]]))


def _place(owner: type[OwnThresholds]) -> str:
    return f"{owner.__module__}.{owner.__name__}"
