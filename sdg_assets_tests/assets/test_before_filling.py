"""What a divided step looks at before pods with GPUs fill its partitions."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.before_filling import subtasks_to_fill
from sdg_assets.dagster_internals import RANGE_TAGS
from sdg_assets.errors import PermanentError

QUIZ = dict(zip(RANGE_TAGS, ("quiz_a", "quiz_b"), strict=True))


def to_fill(
    instance: dg.DagsterInstance, stage: str, tags: dict[str, str], **config: Any
) -> list[str]:
    """The subtasks of a run of `quiz` that are to be filled."""
    step = f"quiz__{stage}"
    run = dg.DagsterRun("job", tags=QUIZ | tags, run_config={"ops": {step: {"config": config}}})
    return subtasks_to_fill(instance, run, step)


@pytest.mark.usefixtures("mirror")
def test_a_run_fills_its_partitions(instance: dg.DagsterInstance) -> None:
    assert to_fill(instance, "generated", {"sdg/votes": "5"}) == ["quiz_a", "quiz_b"]


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize(
    ("stage", "tags", "config", "message"),
    [
        ("generated", {"sdg/examples_per_seed": "20000"}, {}, "must be between 1 and 1000"),
        ("enriched", {"sdg/votes": "500"}, {}, "tag sdg/votes=500: must be between 1 and 99"),
        ("enriched", {}, {"votes": 500}, "run config votes=500: must be between 1 and 99"),
        ("enriched", {"sdg/vote": "5"}, {}, "tag sdg/vote is not a knob"),
    ],
)
def test_a_knob_that_the_publishing_pod_would_refuse_is_refused_first(
    instance: dg.DagsterInstance,
    stage: str,
    tags: dict[str, str],
    config: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(PermanentError, match=message):
        to_fill(instance, stage, tags, **config)
