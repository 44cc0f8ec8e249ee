"""Shows the knobs that a run works with, whoever launched it, as tags `knobs/…` and as metadata.

A tag `sdg/votes` is what somebody asked for; most runs have none, and their votes come from the
settings of the process that runs the step. So each step notes what holds for it, on its run.
"""

import json
from collections.abc import Mapping

import dagster as dg

from sdg_assets.assets.knobs import CONFIGS, StageConfig, from_run_tags
from sdg_assets.settings import Settings
from sdg_assets.thresholds import Thresholds, overridden

SHOWN = "knobs/"
"""Beginning of the tags that only inform: nothing reads them."""
THRESHOLDS = "thresholds"
UNSET = "unset"
LONGEST = 500
"""Characters of a tag's value. Postgres refuses one of more than 2.7 kB."""


def effective_knobs(
    config: StageConfig, settings: Settings, thresholds: Thresholds
) -> dict[str, str]:
    """The knobs of a stage as they hold for a run, and the thresholds that differ from the default.

    Args:
        config: The stage's run config, its empty knobs taken from the run's tags.
        settings: Give the knobs that are still empty.
        thresholds: The thresholds of the run.

    Returns:
        Knob → value. Knobs without any value, and those that another knob makes void, are left out.
    """
    knobs = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        value = getattr(settings, name, None) if value is None else value
        if value is not None and name not in config.void:
            knobs[name] = str(value)
    changed = [
        f"{name}={json.dumps(value, default=sorted)}"
        for name, value, default in thresholds
        if value != default
    ]
    return {**knobs, **({THRESHOLDS: ", ".join(changed)} if changed else {})}


def shown_tags(knobs: Mapping[str, str]) -> dict[str, str]:
    """Knobs as tags."""
    return {
        SHOWN + name: value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
        for name, value in knobs.items()
    }


def backfill_tags(tags: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The knobs of all stages of a backfill, as tags; without thresholds of single tasks.

    Args:
        tags: The tags of its runs.
        settings: As for `effective_knobs`.

    Raises:
        PermanentError: A knob's value is out of bounds.
    """
    thresholds = overridden(settings.gates)
    knobs: dict[str, str] = {}
    for kind in CONFIGS:
        knobs |= effective_knobs(from_run_tags(kind(), tags), settings, thresholds)
    return shown_tags(knobs)


def show_on_run(
    instance: dg.DagsterInstance,
    run_id: str,
    tags: Mapping[str, str],
    kind: type[StageConfig] | None = None,
) -> None:
    """Adds tags to a run, unless it has them.

    Args:
        instance: Where the run is recorded.
        run_id: The run.
        tags: From `shown_tags`.
        kind: The stage that the tags are of. The settings may have changed since a backfill was
            launched, or since the run that this one retries: a knob of the stage that has lost its
            value is then shown as unset.
    """
    run = instance.get_run_by_id(run_id)
    if run is None:
        return
    of_stage = {SHOWN + name for name in (*kind.model_fields, THRESHOLDS)} if kind else set()
    unset = dict.fromkeys(of_stage & run.tags.keys() - tags.keys(), UNSET)
    if any(run.tags.get(name) != value for name, value in {**unset, **tags}.items()):
        instance.add_run_tags(run_id, {**unset, **tags})


def knobs_text(knobs: Mapping[str, str]) -> str:
    """Knobs as text, for a partition's metadata."""
    named = {name: value for name, value in knobs.items() if name != THRESHOLDS}
    parts = [*(f"{name}={value}" for name, value in named.items())]
    parts += [knobs[THRESHOLDS]] if THRESHOLDS in knobs else []
    return ", ".join(parts) or "all unset"
