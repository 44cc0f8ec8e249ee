"""Run config: the few knobs a person may turn when launching a run from the UI.

What is left empty comes from the run's tags `sdg/<knob>`, then from the settings (`SDG_*`). The
tags are how a backfill carries knobs: each of its runs has some of the stages, and Dagster refuses
run config for stages that a run has not.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import dagster as dg
from pydantic import Field

from sdg_assets.enrichment.voting import SolverKnobs
from sdg_assets.settings import settings
from sdg_assets.stages.generated import WriterKnobs

TAG = "sdg/"
ConfigT = TypeVar("ConfigT", bound=dg.Config)


def config_of(kind: type[ConfigT], op: str, run: dg.DagsterRun) -> ConfigT:
    """The config of another op of the run, with what it leaves empty taken from the run's tags.

    Args:
        kind: The op's config class.
        op: The op's name. It need not be one of the run's.
        run: The run.
    """
    ops: Mapping[str, Any] = cast("Mapping[str, Any]", run.run_config.get("ops", {}))
    return from_run_tags(kind(**ops.get(op, {}).get("config", {})), run.tags)


def from_run_tags(config: ConfigT, tags: Mapping[str, str]) -> ConfigT:
    """The config with what it leaves empty taken from the run's tags."""
    given = {
        name: tags[TAG + name]
        for name in type(config).model_fields
        if TAG + name in tags and getattr(config, name) is None
    }
    return type(config)(**{**config.model_dump(exclude_none=True), **given})


class SeedConfig(dg.Config):
    """Knobs of `seeds`."""

    max_seeds: int | None = Field(default=None, ge=1, description="seeds per subtask at the most")


class WriterConfig(dg.Config):
    """Knobs of `generated`."""

    examples_per_seed: int | None = Field(default=None, ge=1, le=1000)
    target_accepted: int | None = Field(
        default=None, ge=1, description="write until so many rows pass; examples_per_seed is unused"
    )
    max_rounds: int = Field(default=5, ge=1, le=100, description="rounds to reach the target in")

    def knobs(self) -> WriterKnobs:
        """With the settings' defaults filled in."""
        defaults = settings()
        return WriterKnobs(
            examples_per_seed=self.examples_per_seed or defaults.examples_per_seed,
            shots=defaults.shots,
            temperature=defaults.writer_temperature,
            max_tokens=defaults.writer_max_tokens,
        )


class SolverConfig(dg.Config):
    """Knobs of `enriched`."""

    votes: int | None = Field(default=None, ge=1, le=99, description="solver answers a question")
    accept_corrections: bool | None = Field(
        default=None, description="let a strong majority against the writer correct the answer"
    )

    def knobs(self) -> SolverKnobs:
        """With the settings' defaults filled in."""
        defaults, corrects = settings(), self.accept_corrections
        return SolverKnobs(
            votes=self.votes or defaults.votes,
            adaptive=defaults.adaptive_voting,
            majority=defaults.majority,
            temperature=defaults.solver_temperature,
            max_tokens=defaults.solver_max_tokens,
            accept_corrections=defaults.accept_corrections if corrects is None else corrects,
            correction_share=defaults.correction_share,
            with_knowledge=defaults.with_knowledge,
        )
