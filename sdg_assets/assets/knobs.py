"""Run config: the few knobs a person may turn when launching a run from the UI.

What is left empty comes from the run's tags `sdg/<knob>`, then from the settings (`SDG_*`). The
tags are how a backfill carries knobs: each of its runs has some of the stages, and Dagster refuses
run config for stages that a run has not.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import dagster as dg
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.environment import nearest
from sdg_assets.errors import PermanentError
from sdg_assets.settings import Settings
from sdg_assets.stages.generated import WriterKnobs

TAG = "sdg/"
# Tags that size a run's pods; read by cluster/pods.py.
OTHER_TAGS = frozenset({"sdg/pod"})
ConfigT = TypeVar("ConfigT", bound=dg.Config)


def _knob(
    description: str, least: int = 1, most: int | None = None, default: int | None = None
) -> Any:  # noqa: ANN401 – as pydantic's Field
    """A whole number that a person may set, with its bounds.

    `_checked` applies the bounds. Pydantic's own (`ge`, `le`) would raise before our code runs:
    Dagster then shows a traceback and retries the step.
    """
    bounds = f"at least {least}" if most is None else f"{least} to {most}"
    return Field(
        default=default,
        description=f"{description} ({bounds})",
        json_schema_extra={"least": least, "most": most},
    )


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
    """The config with what it leaves empty taken from the run's tags.

    Raises:
        PermanentError: A knob or tag has a value that it must not have, or a tag `sdg/...` has a
            name that nothing reads.
    """
    known = {TAG + name for kind in CONFIGS for name in kind.model_fields} | OTHER_TAGS
    for tag in sorted(tags):
        if tag.startswith(TAG) and tag not in known:
            raise PermanentError(f"tag {tag} is no knob; {nearest(tag, sorted(known))}")
    values: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value, source = getattr(config, name), f"run config {name}"
        if TAG + name in tags and value is None:
            value, source = tags[TAG + name], f"tag {TAG}{name}"
        values[name] = _checked(value, field, f"{source}={value}")
    return type(config)(**values)


def _checked(value: Any, field: FieldInfo, place: str) -> Any:  # noqa: ANN401 – a knob's value
    if value is None:
        return None
    try:
        parsed = TypeAdapter[Any](field.annotation or Any).validate_python(value)
    except ValidationError as error:
        raise PermanentError(f"{place}: {error.errors()[0]['msg']}") from error
    extra = field.json_schema_extra
    bounds = extra if isinstance(extra, dict) else {}
    least, most = bounds.get("least"), bounds.get("most")
    too_small = isinstance(least, int) and parsed < least
    if too_small or (isinstance(most, int) and parsed > most):
        limits = f"at least {least}" if most is None else f"between {least} and {most}"
        raise PermanentError(f"{place}: must be {limits}")
    return parsed


class StageConfig(dg.Config):
    """Knobs of every stage."""

    accept_smaller: bool | None = Field(
        default=None,
        description="let a partition replace one with far more rows, which is otherwise refused",
    )


class SeedConfig(StageConfig):
    """Knobs of `seeds`."""

    max_seeds: int | None = _knob("seeds per subtask at the most")


class WriterConfig(StageConfig):
    """Knobs of `generated`."""

    examples_per_seed: int | None = _knob("examples written after each seed", most=1000)
    target_accepted: int | None = _knob(
        "write until so many rows pass; examples_per_seed is unused"
    )
    max_rounds: int = _knob("rounds to reach the target in", most=100, default=5)

    def knobs(self, defaults: Settings) -> WriterKnobs:
        """With the settings' defaults filled in."""
        return WriterKnobs(
            examples_per_seed=self.examples_per_seed or defaults.examples_per_seed,
            shots=defaults.shots,
            temperature=defaults.writer_temperature,
            max_tokens=defaults.writer_max_tokens,
        )


class SolverConfig(StageConfig):
    """Knobs of `enriched`."""

    votes: int | None = _knob("solver answers a question", most=99)
    accept_corrections: bool | None = Field(
        default=None, description="let a strong majority against the writer correct the answer"
    )

    def knobs(self, defaults: Settings) -> SolverKnobs:
        """With the settings' defaults filled in."""
        corrects = self.accept_corrections
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


CONFIGS: tuple[type[StageConfig], ...] = (StageConfig, SeedConfig, WriterConfig, SolverConfig)
