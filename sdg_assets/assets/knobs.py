"""Run config: the few knobs that a person can set when launching a run from the UI.

An empty knob takes its value from the run tag `sdg/<knob>`, then from the settings (`SDG_*`). A
backfill passes knobs as tags because each of its runs contains only some stages, and Dagster
refuses run config for a stage that is not in the run.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import dagster as dg
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from sdg_assets.cluster.pods import INDEXES_TAG, POD_TAG
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.environment import nearest
from sdg_assets.errors import PermanentError
from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets.stages.draws import HARDER
from sdg_assets.stages.generated import WriterKnobs

TAG = "sdg/"
# Other valid tags `sdg/…`: the size and the number of a run's pods.
OTHER_TAGS = frozenset({POD_TAG, INDEXES_TAG})
ConfigT = TypeVar("ConfigT", bound=dg.Config)


def _knob(
    description: str, least: int = 1, most: int | None = None, default: int | None = None
) -> Any:  # noqa: ANN401 – as pydantic's Field
    """A config field for an integer within bounds.

    `checked` applies the bounds. Pydantic's `ge` and `le` would raise before our code runs:
    Dagster then shows a traceback and retries the step.
    """
    bounds = f"at least {least}" if most is None else f"{least} to {most}"
    return Field(
        default=default,
        description=f"{description} ({bounds})",
        json_schema_extra={"least": least, "most": most},
    )


def config_of(kind: type[ConfigT], op: str, run: dg.DagsterRun) -> ConfigT:
    """The config of another op of the run, with its empty knobs taken from the run's tags.

    Args:
        kind: The op's config class.
        op: The op's name. The run need not contain it.
        run: The run.

    Raises:
        PermanentError: As `from_run_tags`.
    """
    ops: Mapping[str, Any] = cast("Mapping[str, Any]", run.run_config.get("ops", {}))
    return from_run_tags(kind(**ops.get(op, {}).get("config", {})), run.tags)


def from_run_tags(config: ConfigT, tags: Mapping[str, str]) -> ConfigT:
    """The config with its empty knobs taken from the run's tags.

    Raises:
        PermanentError: A knob or tag has a wrong type or is out of bounds, or a tag `sdg/...` is
            unknown.
    """
    known = {TAG + name for kind in CONFIGS for name in kind.model_fields} | OTHER_TAGS
    for tag in sorted(tags):
        if tag.startswith(TAG) and tag not in known:
            raise PermanentError(f"tag {tag} is not a knob; {nearest(tag, sorted(known))}")
    values: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value, source = getattr(config, name), f"run config {name}"
        if TAG + name in tags and value is None:
            value, source = tags[TAG + name], f"tag {TAG}{name}"
        values[name] = checked(value, field, f"{source}={value}")
    return type(config)(**values)


def checked(value: Any, field: FieldInfo, place: str) -> Any:  # noqa: ANN401 – a knob's value
    """The value of a knob in its type; None stays None.

    Args:
        value: What somebody set.
        field: The knob's field of a config.
        place: Where it was set, with the value, for messages.

    Raises:
        PermanentError: It has a wrong type or is out of bounds.
    """
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
        description="allow a partition to replace a version with far more rows (otherwise refused)",
    )

    @property
    def void(self) -> frozenset[str]:
        """The knobs that others make void."""
        return frozenset()


class SeedConfig(StageConfig):
    """Knobs of `seeds`."""

    max_seeds: int | None = _knob("maximum number of seeds per subtask")


class TeacherConfig(StageConfig):
    """Knobs of the stages that ask teachers."""

    max_tokens: int | None = _knob(
        "tokens of prompts and answers that the run may spend, or all runs of the backfill "
        "together; then it ends with what it has"
    )


class WriterConfig(TeacherConfig):
    """Knobs of `generated`."""

    examples_per_seed: int | None = _knob("new examples per seed", most=1000)
    target_accepted: int | None = _knob(
        "write until this many rows pass all gates; examples_per_seed is then unused"
    )
    cover: str | None = Field(
        default=None,
        description="id of the plan of the job `cover` that gives each subtask its target",
    )
    harder_from: int | None = _knob(
        "ask for harder items from this example of a seed on, e.g. where the probe passes often; "
        "examples before it stay as they are",
    )
    max_rounds: int = _knob("maximum rounds to reach target_accepted", most=100, default=5)

    @property
    def void(self) -> frozenset[str]:
        """A target says how many examples there are; without one, there are no rounds."""
        has_target = self.target_accepted or self.cover
        return frozenset({"examples_per_seed"} if has_target else {"max_rounds"})

    def knobs(self, defaults: Settings) -> WriterKnobs:
        """The writer's knobs; empty ones come from the settings."""
        return WriterKnobs(
            examples_per_seed=self.examples_per_seed or defaults.examples_per_seed,
            shots=defaults.shots,
            temperature=defaults.writer_temperature,
            max_tokens=defaults.writer_max_tokens,
            thinking=defaults.thinking.get(Role.WRITER, ""),
            variation=HARDER if self.harder_from else "",
            varied_from=(self.harder_from or 1) - 1,
        )


class SolverConfig(TeacherConfig):
    """Knobs of `enriched`."""

    votes: int | None = _knob("solver answers per question", most=99)
    accept_corrections: bool | None = Field(
        default=None,
        description="replace the writer's answer if a strong majority of votes disagrees with it",
    )

    def knobs(self, defaults: Settings) -> SolverKnobs:
        """The solver's knobs; empty ones come from the settings."""
        corrects = self.accept_corrections
        return SolverKnobs(
            votes=self.votes or defaults.votes,
            adaptive=defaults.adaptive_voting,
            majority=defaults.majority,
            temperature=defaults.solver_temperature,
            max_tokens=defaults.solver_max_tokens,
            thinking=defaults.thinking.get(Role.SOLVER, ""),
            reasoning=defaults.reasoning,
            keep_thoughts=defaults.keep_thoughts,
            accept_corrections=defaults.accept_corrections if corrects is None else corrects,
            correction_share=defaults.correction_share,
            with_knowledge=defaults.with_knowledge,
            probe_answers=defaults.probe_answers,
        )


CONFIGS: tuple[type[StageConfig], ...] = (StageConfig, SeedConfig, WriterConfig, SolverConfig)
