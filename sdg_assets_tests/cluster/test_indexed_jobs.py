"""How the Indexed Job of a step is made, and what its state means."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStatus,
    V1Job,
    V1JobCondition,
    V1JobSpec,
    V1JobStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodStatus,
)

from sdg_assets.assets.knobs import WriterConfig, from_run_tags
from sdg_assets.assets.wiring import wiring_of
from sdg_assets.catalog import cached_catalog
from sdg_assets.cli.fill import fill
from sdg_assets.cluster.fill_report import VARIABLE, FillReport, IndexFailure, fill_report
from sdg_assets.cluster.indexed_jobs import (
    INDEX_ANNOTATION,
    KNOBS,
    Progress,
    fill_command,
    indexed_spec,
    pods_named,
    report_of,
    subtasks_of_run,
)
from sdg_assets.cluster.pods import (
    QUEUE_LABEL,
    QUEUE_PRIORITY_LABEL,
    gpus_of_run,
    indexes_of_run,
    publisher_pod,
    stage_pod,
)
from sdg_assets.cluster.pool_slots import pool_slots
from sdg_assets.cluster.settings import ClusterSettings, PodOverride
from sdg_assets.cluster.step_handler import without_resource
from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.records import AnswerKind, Stage
from sdg_assets.settings import Settings
from sdg_assets.stages.stage import STAGES, TEACHER_STAGES

GPU = "nvidia.com/gpu"
FOUR = ClusterSettings(indexes=4)
BIG = "Qwen/Qwen3-32B"


def test_a_run_sets_the_number_of_pods_else_the_setting_does() -> None:
    assert indexes_of_run(Stage.GENERATED, {}, {}, ClusterSettings()) == 1
    assert indexes_of_run(Stage.GENERATED, {}, {}, FOUR) == 4
    assert indexes_of_run(Stage.ENRICHED, {"sdg/indexes": "16"}, {}, FOUR) == 16
    assert indexes_of_run(Stage.FILTERED, {"sdg/indexes": "16"}, {}, FOUR) == 1
    assert indexes_of_run(None, {"sdg/indexes": "16"}, {}, FOUR) == 1
    from_run_tags(WriterConfig(), {"sdg/indexes": "16"})  # is a known tag


@pytest.mark.parametrize("tag", ["0", "-1", "many", "1.5"])
def test_a_tag_that_is_no_number_of_pods_is_refused(tag: str) -> None:
    with pytest.raises(PermanentError, match="run tag sdg/indexes="):
        indexes_of_run(Stage.GENERATED, {"sdg/indexes": tag}, {}, FOUR)


def test_writing_until_enough_are_accepted_cannot_be_divided() -> None:
    assert indexes_of_run(Stage.GENERATED, {}, {"target_accepted": 5}, FOUR) == 1
    assert indexes_of_run(Stage.GENERATED, {"sdg/target_accepted": "5"}, {}, FOUR) == 1
    assert indexes_of_run(Stage.GENERATED, {"sdg/cover": "0a1b"}, {}, FOUR) == 1


def test_all_gpus_of_a_divided_step_count() -> None:
    def gpus(**pipeline: Any) -> int:
        settings = Settings(teacher=BIG, **pipeline)
        tags = {"sdg/pod": '{"gpus": 2}'}
        return gpus_of_run("gsm8k__generated", tags, {}, settings, FOUR)

    assert gpus(executor="k8s") == 8
    assert gpus() == 2  # on one machine one process asks for all


def command_of(stage: Stage, tags: dict[str, str], config: dict[str, Any]) -> list[str]:
    """The options of the pods' command after stage and number of indexes."""
    command = fill_command(stage, "arc", ["arc_easy"], 4, tags, config, "run")
    start = ["sdg", "fill", "arc/arc_easy", "--stage", stage.value, "--of", "4"]
    assert command[: len(start)] == start
    return command[len(start) :]


def test_every_knob_on_which_requests_depend_is_an_option_of_the_command() -> None:
    assert KNOBS.keys() == set(TEACHER_STAGES)
    for stage, knobs in KNOBS.items():
        assert set(knobs) <= inspect.signature(fill).parameters.keys()
        assert set(knobs) <= wiring_of(stage).config.model_fields.keys()
    tags = {"sdg/votes": "3", "sdg/accept_corrections": "true"}
    options = command_of(Stage.ENRICHED, tags, {"votes": 5})
    assert options == ["--votes", "5", "--accept-corrections"]


def test_tags_of_a_backfill_that_belong_to_another_stage_are_left_out() -> None:
    tags = {"sdg/votes": "3", "sdg/examples_per_seed": "2", "sdg/harder_from": "1"}
    options = command_of(Stage.GENERATED, tags, {})
    assert options == ["--examples-per-seed", "2", "--harder-from", "1"]
    assert command_of(Stage.ENRICHED, tags, {}) == ["--votes", "3"]


@pytest.mark.parametrize("value", ["1", "yes", "True", True])
def test_a_switch_is_on_in_every_word_that_a_run_understands(value: Any) -> None:
    tags = {"sdg/accept_corrections": value}
    assert command_of(Stage.ENRICHED, tags, {}) == ["--accept-corrections"]
    options = command_of(Stage.ENRICHED, tags, {"accept_corrections": False})
    assert options == ["--no-accept-corrections"]


def test_a_switch_with_another_value_is_refused() -> None:
    with pytest.raises(PermanentError, match="accept_corrections=perhaps: Input should be"):
        command_of(Stage.ENRICHED, {"sdg/accept_corrections": "perhaps"}, {})


def test_the_pods_of_a_run_share_its_budget() -> None:
    tags = {"sdg/max_tokens": "5000"}
    command = fill_command(Stage.ENRICHED, "arc", ["arc_easy"], 4, tags, {}, "a-backfill")
    assert command[-4:] == ["--max-tokens", "5000", "--budget", "a-backfill"]


def test_a_run_has_one_partition_or_a_range_in_the_catalogs_order() -> None:
    catalog = cached_catalog(None)
    keys = list(catalog.task("arc").enabled_subtasks())
    ends = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    assert subtasks_of_run(catalog, "arc", {"dagster/partition": keys[1]}) == [keys[1]]
    assert subtasks_of_run(catalog, "arc", dict(zip(ends, keys[:2], strict=False))) == keys[:2]
    with pytest.raises(PermanentError, match="reload the code location"):
        subtasks_of_run(catalog, "arc", {"dagster/partition": "gone"})


def _job(done: str = "", failed: str = "", ends: str = "", **spec: Any) -> V1Job:
    conditions = [V1JobCondition(type=ends, status="True")] if ends else None
    status = V1JobStatus(completed_indexes=done, failed_indexes=failed, conditions=conditions)
    job = V1JobSpec(template={}, completions=8, **spec)
    return V1Job(metadata=V1ObjectMeta(name="job"), spec=job, status=status)


def test_a_jobs_progress_is_one_sentence() -> None:
    assert str(Progress.of_job(_job())) == "Job job: 0 of 8 indexes are done"
    progress = Progress.of_job(_job("0,2-4", "1,6", "Failed"))
    assert str(progress) == "Job job: 4 of 8 indexes are done, 2 failed (1, 6)"
    assert progress.is_over
    assert "waits in its queue" in str(Progress.of_job(_job(suspend=True)))


def _pod(index: int, code: int, message: str) -> V1Pod:
    ended = V1ContainerState(terminated=V1ContainerStateTerminated(exit_code=code, message=message))
    container = V1ContainerStatus(
        name="dagster", image="i", image_id="", ready=False, restart_count=0, state=ended
    )
    metadata = V1ObjectMeta(
        name=f"job-{index}-abcde",
        annotations={INDEX_ANNOTATION: str(index)},
        creation_timestamp=datetime.now(UTC),
    )
    status = V1PodStatus(phase="Failed", container_statuses=[container])
    return V1Pod(metadata=metadata, status=status)


def test_a_partition_fails_with_the_words_of_the_index_that_could_not_fill_it() -> None:
    pods = [_pod(1, 1, "t/a: the server is gone"), _pod(6, 2, "t/b: no such\nt/b: model")]
    report = report_of(Progress.of_job(_job("0,2-5,7", "1,6", "Failed")), pods)
    a, b, c = (report.missing(f"t/{key}") for key in "abc")
    assert isinstance(a, TransientError)
    assert str(a).startswith("index 1 of 8 of Job job failed: the server is gone")
    assert isinstance(b, PermanentError)
    assert "index 6 of 8" in str(b)
    assert isinstance(c, TransientError)  # either may be the cause, and one may pass
    assert "index 1, 6 of 8" in str(c)
    assert isinstance(FillReport(job="job", of=8).missing("t/a"), TransientError)


def test_the_report_reaches_the_publishing_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fill_report() is None
    failure = IndexFailure(index=1, is_permanent=True, text="t/a: ‘no’\n")
    report = FillReport(job="job", of=2, failures=(failure,))
    monkeypatch.setenv(VARIABLE, report.model_dump_json())
    assert fill_report() == report


@pytest.mark.parametrize("sign", ["a", "字", "\x1b", '"'])
def test_a_report_fits_into_an_environment_variable_in_every_script(sign: str) -> None:
    pods = [_pod(index, 1, sign * 100_000 + "the end") for index in range(8)]
    report = report_of(Progress.of_job(_job("", "0-7", "Failed")), pods)
    assert 20_000 < len(report.model_dump_json().encode()) < 128 * 1024
    assert all(failure.text.endswith("the end") for failure in report.failures)


def test_pods_of_a_retrys_job_are_told_apart() -> None:
    names = ["job-1-abcde", "job-12-abc12", "job-1-0-abcde", "job-abcde", "other-1-abcde"]
    assert pods_named("job", names) == {"job-1-abcde", "job-12-abc12"}


def test_kueue_may_start_an_indexed_job_with_fewer_pods_than_indexes() -> None:
    queued = indexed_spec(16, 16, ClusterSettings(queue_name="q"))["job_metadata"]
    assert queued["annotations"] == {"kueue.x-k8s.io/job-min-parallelism": "1"}
    assert "annotations" not in indexed_spec(16, 16, ClusterSettings())["job_metadata"]


def test_the_pod_that_publishes_has_no_gpus_but_the_sandbox_that_it_needs() -> None:
    cluster = ClusterSettings(
        gpu_image="gpu:1", queue_name="q", queue_priority="p1", sandbox_seccomp="p",
        gpu_node_selector={"pool": "gpu"},
    )  # fmt: skip
    pipeline = Settings(teacher=BIG)
    asks = stage_pod(Stage.ENRICHED, pipeline, cluster, AnswerKind.CODE)
    assert asks["job_metadata"]["labels"][QUEUE_LABEL] == "q"
    assert asks["job_metadata"]["labels"][QUEUE_PRIORITY_LABEL] == "p1"
    assert asks["job_spec_config"] == {"suspend": True}
    pod = publisher_pod(Stage.ENRICHED, {}, pipeline, cluster, AnswerKind.CODE)
    assert GPU not in json.dumps(pod)
    assert not {"job_metadata", "job_spec_config"} & pod.keys()
    assert pod["pod_spec_config"] == {"host_users": False}
    assert "image" not in pod["container_config"]
    own = {"container_config": {"resources": {"limits": {GPU: "4", "memory": "9Gi"}}}}
    assert without_resource(own, GPU)["container_config"]["resources"]["limits"] == {
        "memory": "9Gi"
    }
    assert GPU in own["container_config"]["resources"]["limits"]


def test_the_pod_that_publishes_has_sizes_of_its_own() -> None:
    def memory(tags: dict[str, str], **of_stage: Any) -> str:
        cluster = ClusterSettings(pods={Stage.GENERATED: PodOverride(**of_stage)})
        pod = publisher_pod(Stage.GENERATED, tags, Settings(teacher=BIG), cluster)
        return str(pod["container_config"]["resources"]["limits"]["memory"])

    default = f"{round(STAGES[Stage.GENERATED].pod.memory_gib * 1024)}Mi"
    assert memory({}, memory_gib=200) == default  # of the pods with GPUs
    assert memory({"sdg/pod": '{"memory_gib": 64}'}) == default
    assert memory({}, publish={"memory_gib": 12}) == f"{12 * 1024}Mi"
    tags = {"sdg/pod": '{"gpus": 2, "publish": {"memory_gib": 24}}'}
    assert memory(tags, publish={"memory_gib": 12}) == f"{24 * 1024}Mi"
    with pytest.raises(PermanentError, match="run tag sdg/pod"):
        memory({"sdg/pod": '{"publish": {"gpus": 1}}'})


def test_the_slots_of_the_pool_limit_how_many_pods_run_at_a_time(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert pool_slots(instance, "gpu") is None
        instance.event_log_storage.set_concurrency_slots("gpu", 8)
        assert pool_slots(instance, "gpu") == 8
