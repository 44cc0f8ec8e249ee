"""An invalid knob gives one message, once, before any teacher is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.effective_knobs import SHOWN
from sdg_assets.assets.factory import task_assets
from sdg_assets.catalog import cached_catalog
from sdg_assets.settings import settings
from sdg_assets_tests.assets.quiz import quiz
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.runs import QUIET, attempts, failures


def materialize(
    stage: str, instance: dg.DagsterInstance, config: dict[str, Any], tags: dict[str, str]
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        task_assets(cached_catalog(settings().catalog).task("quiz")),
        selection=[dg.AssetKey(["quiz", stage])],
        partition_key="quiz_a",
        tags=tags,
        instance=instance,
        run_config={"loggers": QUIET, "ops": {f"quiz__{stage}": {"config": config}}},
        raise_on_error=False,
    )


@pytest.mark.parametrize(
    ("stage", "config", "tags", "message"),
    [
        ("seeds", {"max_seeds": -1}, {}, "run config max_seeds=-1: must be at least 1"),
        ("seeds", {}, {"sdg/max_seeds": "0"}, "tag sdg/max_seeds=0: must be at least 1"),
        ("seeds", {}, {"sdg/max_seeds": "abc"}, "tag sdg/max_seeds=abc: Input should be a valid"),
        (
            "seeds",
            {},
            {"sdg/maxseed": "5"},
            "tag sdg/maxseed is not a knob; did you mean sdg/max_s",
        ),
        ("normalized", {}, {"sdg/vote": "5"}, "tag sdg/vote is not a knob; did you mean sdg/votes"),
        ("generated", {"max_rounds": 0}, {}, "run config max_rounds=0: must be between 1 and 100"),
        (
            "filtered",
            {},
            {"sdg/accept_smaller": "perhaps"},
            "tag sdg/accept_smaller=perhaps: Input should be a valid boolean",
        ),
        ("enriched", {"votes": 0}, {}, "run config votes=0: must be between 1 and 99"),
        ("generated", {}, {"sdg/max_tokens": "0"}, "tag sdg/max_tokens=0: must be at least 1"),
    ],
)
def test_a_wrong_knob_is_one_sentence_and_is_not_retried(
    tmp_path: Path,
    configure: Configure,
    instance: dg.DagsterInstance,
    stage: str,
    config: dict[str, Any],
    tags: dict[str, str],
    message: str,
) -> None:
    quiz(tmp_path, configure, "quiz_a")

    result = materialize(stage, instance, config, tags)

    (failure,) = failures(result)
    assert failure.startswith(message)
    assert "\n" not in failure
    assert attempts(result) == 1


def test_a_tag_that_sizes_pods_is_no_wrong_knob(
    tmp_path: Path, configure: Configure, instance: dg.DagsterInstance
) -> None:
    quiz(tmp_path, configure, "quiz_a")

    assert materialize("seeds", instance, {}, {"sdg/pod": "{}", "other/tag": "x"}).success


def test_a_run_shows_the_knobs_that_hold_for_it_whoever_launched_it(
    tmp_path: Path, configure: Configure, instance: dg.DagsterInstance
) -> None:
    quiz(tmp_path, configure, "quiz_a")
    configure(max_seeds=3)

    by_setting = materialize("seeds", instance, {}, {})
    by_tag = materialize("seeds", instance, {}, {"sdg/max_seeds": "2", "knobs/thresholds": "a=1"})

    assert shown(instance, by_setting) == ({"knobs/max_seeds": "3"}, "max_seeds=3")
    # The tag of the backfill is of settings that have changed since.
    assert shown(instance, by_tag) == (
        {"knobs/max_seeds": "2", "knobs/thresholds": "unset"},
        "max_seeds=2",
    )


def test_a_partition_shows_the_thresholds_that_differ_from_the_default(
    tmp_path: Path, configure: Configure, instance: dg.DagsterInstance
) -> None:
    quiz(tmp_path, configure, "quiz_a")
    configure(gates='{"question_chars": [9, 500]}')

    result = materialize("seeds", instance, {}, {})

    changed = "question_chars=[9, 500]"
    assert shown(instance, result) == ({"knobs/thresholds": changed}, changed)


def shown(
    instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult
) -> tuple[dict[str, str], object]:
    """The informing tags of a run, and the knobs in the metadata of its partition."""
    assert result.success, failures(result)
    run = instance.get_run_by_id(result.run_id)
    assert run
    (event,) = result.get_asset_materialization_events()
    tags = {tag: value for tag, value in run.tags.items() if tag.startswith(SHOWN)}
    return tags, event.materialization.metadata["knobs"].value
