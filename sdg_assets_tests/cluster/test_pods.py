from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import (
    DagsterK8sJobConfig,
    UserDefinedDagsterK8sConfig,
    construct_dagster_k8s_job,
)
from kubernetes.client import ApiClient

from sdg_assets.cluster.pods import (
    CONFIG_TAG,
    GRACE_SECONDS,
    POD_TAG,
    REACH_LABEL,
    pod_tags,
    stage_of_step,
    stage_pod,
    step_defaults,
)
from sdg_assets.cluster.pods import run_overrides as configured_run
from sdg_assets.cluster.settings import ClusterSettings, PodOverride, cluster_settings
from sdg_assets.cluster.sizing import engine_size, stage_size
from sdg_assets.definitions import build_definitions, executor_of
from sdg_assets.errors import PermanentError
from sdg_assets.records import AnswerKind, Stage
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.stage import ROW_STAGES
from sdg_assets.teacher.models import teacher_cards
from sdg_assets_tests.cluster.api import SCHEMAS
from sdg_assets_tests.conftest import Configure

GPU = "nvidia.com/gpu"
BIG, SMALL = "llama-3.3-70b", "qwen2.5-coder-1.5b"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cluster_settings.cache_clear()
    yield
    cluster_settings.cache_clear()


def _resources(pod: dict[str, Any]) -> dict[str, dict[str, str]]:
    return dict(pod["container_config"]["resources"])


def _gpus(stage: Stage, **options: Any) -> str | None:
    return _resources(stage_pod(stage, Settings(**options), ClusterSettings()))["limits"].get(GPU)


def run_overrides(
    stage: Stage, tags: dict[str, str], config: dict[str, Any], kind: str | None = None
) -> dict[str, Any]:
    """The pod changes of a run, called as the executor does."""
    return configured_run(stage, tags, config, settings(), cluster_settings(), kind)


def test_a_teacher_asks_for_its_parallel_gpus_and_the_embedded_one_for_none() -> None:
    cards = teacher_cards()
    card = cards[BIG]
    wanted = card.gpus.tensor_parallel * card.gpus.data_parallel
    assert wanted > 1
    assert _gpus(Stage.GENERATED, teacher=BIG) == str(wanted)
    assert _gpus(Stage.GENERATED, teacher=SMALL) is None
    both = card.model_copy(
        update={"gpus": card.gpus.model_copy(update={"tensor_parallel": 2, "data_parallel": 3})}
    )
    assert engine_size(both, cached=True).gpus == 6


@pytest.mark.parametrize("name", teacher_cards())
def test_every_known_teacher_has_room_for_itself(name: str) -> None:
    card = teacher_cards()[name]
    cached, own = (engine_size(card, cached=is_cached) for is_cached in (True, False))
    weights = card.memory_gib or 0
    assert own.disk_gib - cached.disk_gib >= weights
    assert own.memory_gib > own.shm_gib
    if card.packaged:
        assert own.memory_gib > weights
    else:
        assert own.shm_gib >= 2 * card.gpus.tensor_parallel


def test_the_sizes_in_the_readme_are_those_of_the_pods() -> None:
    page = (Path(__file__).parents[2] / "k8s" / "README.md").read_text("utf-8")
    table = page.split("on the GPUs |\n")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]

    assert len(rows) > 5
    for name, gpus, *numbers in rows[1:]:
        card = teacher_cards()[name]
        size = stage_size(Stage.GENERATED, Settings(teacher=name), cached=True)
        parallel = f"{card.gpus.tensor_parallel} × {card.gpus.data_parallel}"
        assert gpus == (parallel if size.gpus else "–")
        parts = (size.cpus, size.memory_gib, size.shm_gib, size.disk_gib, card.memory_gib)
        assert [float(number) for number in numbers] == [float(part or 0) for part in parts]


def test_a_teacher_that_is_served_needs_a_small_pod() -> None:
    assert _gpus(Stage.GENERATED, teacher="http://vllm:8000") is None
    small = stage_size(Stage.SEEDS, Settings(), cached=True)
    served = stage_size(Stage.GENERATED, Settings(teacher="http://vllm:8000"), cached=True)
    assert served == small


def test_a_teacher_in_a_directory_or_of_the_hub_counts_as_one_big_gpu() -> None:
    assert _gpus(Stage.GENERATED, teacher="/models/of-our-own") == "1"
    assert _gpus(Stage.GENERATED, teacher="org/unheard-of") == "1"


def test_each_stage_is_sized_by_the_teachers_that_it_loads() -> None:
    options: dict[str, Any] = {
        "teacher": SMALL,
        "solver": BIG,
        "judge": SMALL,
        "with_judge": True,
        "judge_may_be_writer": True,
    }
    assert _gpus(Stage.GENERATED, **options) is None
    assert _gpus(Stage.ENRICHED, **options) == "4"
    solver = stage_size(Stage.ENRICHED, Settings(teacher=SMALL, solver=BIG), cached=True)
    both = stage_size(Stage.ENRICHED, Settings(**options), cached=True)
    assert both.memory_gib > solver.memory_gib
    assert both.gpus == solver.gpus  # engines of a process share its GPUs


def test_writing_until_enough_are_accepted_needs_the_solvers_gpus_too(
    configure: Configure,
) -> None:
    configure(executor="k8s", teacher=SMALL, solver=BIG)
    assert run_overrides(Stage.GENERATED, {}, {}) == {}
    pod = run_overrides(Stage.GENERATED, {}, {"target_accepted": 5})
    assert _resources(pod)["limits"][GPU] == "4"
    assert pod["pod_spec_config"]["tolerations"]
    assert run_overrides(Stage.GENERATED, {"sdg/target_accepted": "5"}, {}) == pod
    assert run_overrides(Stage.GENERATED, {"sdg/cover": "0a1b"}, {}) == pod
    assert run_overrides(Stage.SEEDS, {"sdg/target_accepted": "5"}, {}) == {}


def test_a_run_sizes_its_own_pods(configure: Configure) -> None:
    configure(executor="k8s", teacher=BIG)
    tag = json.dumps({"gpus": 8, "memory_gib": 300})
    limits = _resources(run_overrides(Stage.GENERATED, {POD_TAG: tag}, {}))["limits"]
    assert limits[GPU] == "8"
    assert limits["memory"] == f"{300 * 1024}Mi"
    none = _resources(run_overrides(Stage.GENERATED, {POD_TAG: '{"gpus": 0}'}, {}))
    assert none["limits"][GPU] == none["requests"][GPU] == "0"
    assert run_overrides(Stage.FILTERED, {POD_TAG: tag}, {}) == {}


@pytest.mark.parametrize("tag", ["8 GPUs", '{"gpu": 8}', '{"memory_gib": -1}'])
def test_a_tag_that_is_no_size_is_refused_with_an_example(configure: Configure, tag: str) -> None:
    configure(executor="k8s")
    with pytest.raises(PermanentError, match="memory_gib") as refused:
        run_overrides(Stage.GENERATED, {POD_TAG: tag}, {})
    assert "sdg/pod" in str(refused.value)


@pytest.mark.parametrize("teacher", [BIG, SMALL])
@pytest.mark.parametrize("stage", ROW_STAGES)
def test_every_pod_is_valid_to_the_letter(configure: Configure, stage: Stage, teacher: str) -> None:
    configure(
        executor="k8s",
        teacher=teacher,
        k8s_sandbox_seccomp="p.json",
        k8s_store_claim="s",
        metrics="0.0.0.0:9464",
    )
    base = step_defaults(settings(), cluster_settings())
    tagged = pod_tags(stage, AnswerKind.CODE)[CONFIG_TAG]
    run = run_overrides(stage, {POD_TAG: '{"gpus": 0}'}, {})
    context = K8sContainerContext()
    for config in (base, tagged, run):
        parsed = UserDefinedDagsterK8sConfig.from_dict(config)  # type: ignore[no-untyped-call]
        context = context.merge(K8sContainerContext(run_k8s_config=parsed))
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(job_image="i:1", dagster_home="/home"),
        ["dagster"],
        "job",
        context.run_k8s_config,
    )
    body = ApiClient().sanitize_for_serialization(job)
    kubernetes_validate.validate(body, SCHEMAS, strict=True)
    pod = body["spec"]["template"]
    assert pod["spec"]["containers"][0]["ports"] == [{"name": "metrics", "containerPort": 9464}]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "9464"


@pytest.mark.parametrize("at", [None, "9464", "localhost:9464"])
def test_a_pod_that_serves_nothing_to_others_has_no_port(at: str | None) -> None:
    pod = step_defaults(Settings(metrics=at), ClusterSettings())
    assert "ports" not in pod["container_config"]
    assert "annotations" not in pod["pod_template_spec_metadata"]


def test_a_deployment_overrides_what_the_card_says() -> None:
    cluster = ClusterSettings(pods={Stage.GENERATED: PodOverride(memory_gib=123)})
    limits = _resources(stage_pod(Stage.GENERATED, Settings(teacher=BIG), cluster))["limits"]
    assert limits["memory"] == f"{123 * 1024}Mi"
    assert limits[GPU] == "4"


def test_a_size_for_a_stage_that_does_not_exist_is_refused_with_those_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SDG_K8S_PODS", '{"generate": {"cpus": 1}}')

    with pytest.raises(PermanentError, match=r"SDG_K8S_PODS\.generate.*'generated'"):
        cluster_settings()


@pytest.mark.parametrize(
    ("step", "stage"),
    [
        ("gsm8k__generated", Stage.GENERATED),
        ("a__b__seeds", Stage.SEEDS),
        ("protected__heldout", Stage.HELDOUT),
        ("curated", Stage.CURATED),
        ("operations", None),
        ("observe_teachers", None),
    ],
)
def test_a_steps_key_tells_its_stage(step: str, stage: Stage | None) -> None:
    assert stage_of_step(step) is stage


def test_a_gpu_pod_says_where_it_runs_and_what_it_mounts() -> None:
    cluster = ClusterSettings(
        gpu_image="sdg-assets-gpu:0.1.0",
        gpu_node_selector={"pool": "gpu"},
        gpu_priority_class="sdg-gpu-steps",
        gpu_runtime_class="nvidia",
        gpu_resource="nvidia.com/mig-3g.40gb",
    )
    pod = stage_pod(Stage.ENRICHED, Settings(teacher=BIG), cluster)
    container, spec = pod["container_config"], pod["pod_spec_config"]
    assert container["image"] == "sdg-assets-gpu:0.1.0"
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert container["resources"]["limits"]["nvidia.com/mig-3g.40gb"] == "4"
    assert {m["mount_path"] for m in container["volume_mounts"]} == {"/dev/shm"}
    assert spec["volumes"][0]["empty_dir"]["medium"] == "Memory"
    assert spec["node_selector"] == {"pool": "gpu"}
    assert spec["tolerations"][0]["key"] == GPU
    assert spec["priority_class_name"] == "sdg-gpu-steps"
    assert spec["runtime_class_name"] == "nvidia"
    small = stage_pod(Stage.FILTERED, Settings(teacher=BIG), cluster)
    assert "image" not in small["container_config"]
    assert "tolerations" not in small["pod_spec_config"]


def test_every_step_mounts_store_and_models_and_no_token() -> None:
    cluster = ClusterSettings(store_claim="s", cache_claim="c", no_token="sdg-no-token")
    pod = step_defaults(Settings(store="/store"), cluster)
    mounts = {m["name"]: m["mount_path"] for m in pod["container_config"]["volume_mounts"]}
    assert mounts["store"] == "/store"
    assert mounts["cache"] == "/cache"
    assert mounts["no-token"].endswith("/serviceaccount")
    assert pod["pod_spec_config"]["automount_service_account_token"] is False
    assert pod["pod_spec_config"]["termination_grace_period_seconds"] == GRACE_SECONDS < 10
    bare = step_defaults(Settings(), ClusterSettings())
    assert bare["container_config"]["volume_mounts"] == []


@pytest.mark.parametrize(
    ("teacher", "cluster", "reach"),
    [
        (BIG, ClusterSettings(cache_claim="sdg-models"), "store"),
        (BIG, ClusterSettings(), "hub"),  # each pod downloads the weights from the Hub
        (SMALL, ClusterSettings(), "store"),  # the image contains the weights
        ("http://vllm:8000", ClusterSettings(), "store"),
    ],
)
def test_where_programs_run_is_no_way_to_the_hub_unless_the_teacher_comes_from_there(
    teacher: str, cluster: ClusterSettings, reach: str
) -> None:
    pipeline = Settings(teacher=teacher)
    for stage, kind, expected in (
        (Stage.ENRICHED, AnswerKind.CODE, reach),
        (Stage.ENRICHED, AnswerKind.NUMERIC, "hub"),
        (Stage.GENERATED, AnswerKind.CODE, "hub"),
        (Stage.FILTERED, AnswerKind.CODE, "store"),
    ):
        pod = stage_pod(stage, pipeline, cluster, kind)
        assert pod["pod_template_spec_metadata"]["labels"][REACH_LABEL] == expected
        offline = {"name": "HF_HUB_OFFLINE", "value": "1"}
        isolated = kind is AnswerKind.CODE and stage is Stage.ENRICHED and reach == "store"
        assert (offline in pod["container_config"].get("env", [])) is isolated


def test_a_run_that_writes_programs_until_enough_pass_has_no_way_to_the_hub(
    configure: Configure,
) -> None:
    configure(executor="k8s", teacher=SMALL)
    until = {"target_accepted": 5}
    pod = run_overrides(Stage.GENERATED, {}, until, "code")
    assert pod["pod_template_spec_metadata"]["labels"] == {REACH_LABEL: "store"}
    assert "pod_template_spec_metadata" not in run_overrides(Stage.GENERATED, {}, until, "numeric")


def test_a_release_has_the_pod_and_the_retries_that_are_promised(configure: Configure) -> None:
    configure(executor="k8s", retries=4)
    repository = build_definitions().get_repository_def()
    curated = repository.assets_defs_by_key[dg.AssetKey("curated")].op
    container = json.loads(curated.tags[CONFIG_TAG])["container_config"]
    assert container["resources"]["limits"]["memory"] == f"{8 * 1024}Mi"
    assert curated.retry_policy
    assert curated.retry_policy.max_retries == 4


def test_the_same_definitions_run_on_a_laptop_and_have_pods_on_a_cluster(
    configure: Configure,
) -> None:
    assert pod_tags(Stage.GENERATED, AnswerKind.NUMERIC) == {}
    assert executor_of(settings()) is dg.in_process_executor
    configure(executor="k8s", teacher=BIG)
    assert executor_of(settings()).name == "k8s"
    repository = build_definitions().get_repository_def()
    key = dg.AssetKey(["gsm8k", "generated"])
    (asset,) = {a for a in repository.assets_defs_by_key.values() if key in a.keys}
    tagged = json.loads(asset.op.tags[CONFIG_TAG])
    assert tagged["container_config"]["resources"]["limits"][GPU] == "4"
    policy = asset.op.retry_policy
    assert policy
    assert policy.delay is None  # with one, a run whose worker was lost cannot be resumed


def test_a_wrong_variable_of_the_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDG_K8S_HEALTH_SECONDS", "soon")
    with pytest.raises(PermanentError, match="SDG_K8S_HEALTH_SECONDS='soon'"):
        cluster_settings()
