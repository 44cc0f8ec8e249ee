"""Run config: the few knobs a person may turn when launching a run from the UI.

What is left empty comes from the settings (`SDG_*`).
"""

import dagster as dg
from pydantic import Field

from sdg_assets.settings import Settings, settings
from sdg_assets.stages.enriched import SolverKnobs
from sdg_assets.stages.generated import WriterKnobs


class SeedConfig(dg.Config):
    """Knobs of `seeds`."""

    max_seeds: int | None = Field(default=None, ge=1, description="seeds per subtask at the most")


class WriterConfig(dg.Config):
    """Knobs of `generated`."""

    examples_per_seed: int | None = Field(default=None, ge=1, le=1000)

    def knobs(self) -> WriterKnobs:
        """With the settings' defaults filled in."""
        defaults = settings()
        return WriterKnobs(
            examples_per_seed=self.examples_per_seed or defaults.examples_per_seed,
            shots=defaults.shots,
        )


class SolverConfig(dg.Config):
    """Knobs of `enriched`."""

    votes: int | None = Field(default=None, ge=1, le=99, description="solver answers a question")

    def knobs(self) -> SolverKnobs:
        """With the settings' defaults filled in."""
        defaults: Settings = settings()
        return SolverKnobs(
            votes=self.votes or defaults.votes,
            majority=defaults.majority,
            with_knowledge=defaults.with_knowledge,
        )
