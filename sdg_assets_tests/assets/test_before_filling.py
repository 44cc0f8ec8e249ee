"""What a divided step looks at before pods with GPUs fill its partitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.before_filling import subtasks_to_fill
from sdg_assets.assets.staleness import REMADE_TAG
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.dagster_internals import RANGE_TAGS
from sdg_assets.errors import PermanentError
from sdg_assets.passages.reading import name_of
from sdg_assets.records import Role
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.runs import run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher

QUIZ = dict(zip(RANGE_TAGS, ("quiz_a", "quiz_b"), strict=True))


def to_fill(
    instance: dg.DagsterInstance, stage: str, tags: dict[str, str], **config: Any
) -> list[str]:
    """The subtasks of a run of `quiz` that are to be filled."""
    step = f"quiz__{stage}"
    launched = dg.DagsterRun(
        "job", tags=QUIZ | tags, run_config={"ops": {step: {"config": config}}}
    )
    return subtasks_to_fill(instance, launched, step)


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


def test_a_re_run_does_not_fill_rows_that_are_stale_by_now(
    mirror: Path, instance: dg.DagsterInstance, employ: Employ
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    run("quiz", ["seeds", "normalized", "generated"], subtasks="quiz_a", instance=instance)
    other = {"dagster/data_version": "another"}
    instance.report_runless_asset_event(dg.AssetObservation(TEACHERS[Role.WRITER], tags=other))

    remade = {REMADE_TAG: "true"}
    assert to_fill(instance, "enriched", remade) == ["quiz_b"]
    with pytest.raises(PermanentError, match="superseded: quiz/generated/quiz_a has become stale"):
        to_fill(instance, "enriched", remade | dict.fromkeys(RANGE_TAGS, "quiz_a"))
    assert to_fill(instance, "enriched", {}) == ["quiz_a", "quiz_b"]  # a person's run


def test_missing_passages_are_demanded_before_a_pod_starts(
    mirror: Path, configure: Configure, instance: dg.DagsterInstance
) -> None:
    configure(passages="embedded")
    assert to_fill(instance, "generated", {}) == ["quiz_a", "quiz_b"]  # it asks about none
    with pytest.raises(PermanentError, match="Materialize the asset passages"):
        to_fill(instance, "enriched", {})
    made = dg.AssetMaterialization("passages", metadata={"source": name_of("embedded")})
    instance.report_runless_asset_event(made)
    assert to_fill(instance, "enriched", {}) == ["quiz_a", "quiz_b"]
    configure(passages="org/others")
    with pytest.raises(PermanentError, match="SDG_PASSAGES=org/others"):
        to_fill(instance, "enriched", {})
