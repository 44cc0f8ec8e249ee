"""How a stage's asset makes one partition: one module per stage, named after the stage.

Each module connects the pure functions of `sdg_assets.stages` to a `PartitionContext` and exports
`WIRING`. It computes nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from sdg_assets.assets.filling import TeacherWiring
from sdg_assets.assets.knobs import StageConfig
from sdg_assets.assets.partition_context import PartitionContext
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.records import Stage

ConfigT = TypeVar("ConfigT", bound=StageConfig)


@dataclass(frozen=True)
class Wiring(Generic[ConfigT]):
    """How a partition of a stage that asks no teacher is made."""

    config: type[ConfigT]
    """The knobs that a person can set in the launchpad."""
    make: Callable[[PartitionContext, ConfigT], PartitionReport]
    """Makes and publishes the partition."""


def wiring_of(stage: Stage) -> Wiring[Any] | TeacherWiring[Any]:
    """The wiring of a stage.

    Args:
        stage: One of `ROW_STAGES`.
    """
    return cast(
        "Wiring[Any] | TeacherWiring[Any]", import_module(f"{__name__}.{stage.value}").WIRING
    )
