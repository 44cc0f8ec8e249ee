from __future__ import annotations

import importlib.util
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from dagster_postgres.utils import pg_url_from_config
from kubernetes.client import ApiClient, BatchV1Api, Configuration
from kubernetes.config.incluster_config import InClusterConfigLoader
from sqlalchemy import create_engine

from sdg_assets.cluster import ended_runs
from sdg_assets.cluster.pods import GRACE_SECONDS, stage_pod, step_defaults
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.metrics.table import METRICS
from sdg_assets.records import AnswerKind, Stage
from sdg_assets.settings import Settings
from sdg_assets.stages.stage import TEACHER_STAGES
from sdg_assets.teacher.models import teacher_cards
from sdg_assets_tests.cluster import extensions
from sdg_assets_tests.cluster.api import SCHEMAS
from sdg_assets_tests.cluster.cluster import covered_resources
from sdg_assets_tests.cluster.manifests import K8S, OVERLAYS, manifests, named, rendered
from sdg_assets_tests.cluster.rules import broken_rules

DASHBOARD = K8S / "components" / "monitoring" / "dashboard.json"
WORKLOADS = ("Deployment", "StatefulSet")
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())
NEEDED = {"teacher-scaling": ("teacher-server",), "monitoring-operator": ("monitoring",)}
"""Components that work only beside others."""
Json = dict[str, Any]


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Json]:
    return manifests(request.param)


def _settings(objects: list[Json]) -> dict[str, str]:
    return dict(named(objects, "ConfigMap", "sdg-settings")["data"])


def _instance(objects: list[Json]) -> Json:
    text = named(objects, "ConfigMap", "sdg-dagster")["data"]["dagster.yaml"]
    return dict(yaml.safe_load(text))


def _templates(objects: list[Json]) -> list[dict[str, str]]:
    """The labels of all pods: workloads, run workers and steps."""
    launched = _instance(objects)["run_launcher"]["config"]["labels"]
    step = step_defaults(Settings(), ClusterSettings())["pod_template_spec_metadata"]["labels"]
    stages = [
        stage_pod(stage, Settings(), ClusterSettings(), kind)["pod_template_spec_metadata"][
            "labels"
        ]
        for stage, kind in (
            (Stage.GENERATED, AnswerKind.CODE),
            (Stage.ENRICHED, AnswerKind.NUMERIC),
            (Stage.ENRICHED, AnswerKind.CODE),
        )
    ]
    return [
        *(o["spec"]["template"]["metadata"]["labels"] for o in objects if o["kind"] in WORKLOADS),
        {**launched, "app.kubernetes.io/component": "run_worker"},
        *(
            {**launched, **step, **stage, "app.kubernetes.io/component": "step_worker"}
            for stage in stages
        ),
    ]


def _matches(selector: Json, labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


def test_every_object_is_valid_to_the_letter(objects: list[Json]) -> None:
    for item in objects:
        kubernetes_validate.validate(item, SCHEMAS, strict=True)


def test_no_workload_breaks_a_rule(objects: list[Json]) -> None:
    workloads = [item for item in objects if item["kind"] in WORKLOADS]
    assert len(workloads) >= 3
    assert [rule for item in workloads for rule in broken_rules(item)] == []


def test_every_object_has_its_namespace_but_those_that_have_none(objects: list[Json]) -> None:
    for item in objects:
        cluster_wide = item["kind"] in ("Namespace", "PriorityClass")
        assert item["metadata"].get("namespace") == (None if cluster_wide else "sdg")


def test_secrets_are_named_and_never_there(objects: list[Json]) -> None:
    assert not [item for item in objects if item["kind"] == "Secret"]
    for name, value in _settings(objects).items():
        assert not re.search(r"PASSWORD|SECRET|API_KEY|HF_TOKEN|ACCESS_KEY", name), value


def test_names_that_workloads_mention_exist(objects: list[Json]) -> None:
    existing = {(item["kind"], item["metadata"]["name"]) for item in objects}
    for item in objects:
        if item["kind"] not in WORKLOADS:
            continue
        spec = item["spec"]["template"]["spec"]
        assert ("ServiceAccount", spec["serviceAccountName"]) in existing
        assert ("PriorityClass", spec["priorityClassName"]) in existing
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in existing
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in existing
    environment = _settings(objects)
    for name in ("SDG_K8S_STORE_CLAIM", "SDG_K8S_CACHE_CLAIM"):
        assert name not in environment or ("PersistentVolumeClaim", environment[name]) in existing
    assert ("ServiceAccount", environment["SDG_K8S_SERVICE_ACCOUNT"]) in existing
    assert ("ConfigMap", environment["SDG_K8S_NO_TOKEN"]) in existing
    assert ("PriorityClass", environment["SDG_K8S_GPU_PRIORITY_CLASS"]) in existing
    launcher = _instance(objects)["run_launcher"]["config"]
    assert ("ServiceAccount", launcher["service_account_name"]) in existing
    assert ("ConfigMap", launcher["instance_config_map"]) in existing


def test_only_webserver_daemon_and_runs_may_ask_kubernetes_and_only_for_jobs(
    objects: list[Json],
) -> None:
    (binding,) = (item for item in objects if item["kind"] == "RoleBinding")
    assert {s["name"] for s in binding["subjects"]} == {"sdg-control", "sdg-run"}
    (role,) = (item for item in objects if item["kind"] == "Role")
    verbs = {r: set(rule["verbs"]) for rule in role["rules"] for r in rule["resources"]}
    assert verbs.keys() == {"jobs", "jobs/status", "pods", "pods/log", "events"}
    assert set.union(*verbs.values()) <= {"create", "get", "list", "delete"}
    for item in objects:
        if item["kind"] in WORKLOADS:
            spec = item["spec"]["template"]["spec"]
            controls = spec["serviceAccountName"] == "sdg-control"
            assert spec["automountServiceAccountToken"] is controls


def test_every_selector_of_a_policy_budget_or_service_finds_a_pod(objects: list[Json]) -> None:
    templates = _templates(objects)
    checked = 0
    for item in objects:
        spec, selectors = item.get("spec", {}), []
        if item["kind"] == "NetworkPolicy":
            peers = [p for rule in spec.get("ingress", []) for p in rule["from"]]
            peers += [p for rule in spec.get("egress", []) for p in rule["to"]]
            inside = [p for p in peers if "namespaceSelector" not in p and "podSelector" in p]
            selectors = [spec["podSelector"], *(p["podSelector"] for p in inside)]
        elif item["kind"] == "PodDisruptionBudget":
            selectors = [spec["selector"]]
        elif item["kind"] == "Service":
            selectors = [{"matchLabels": spec["selector"]}]
        for selector in selectors:
            assert any(_matches(selector, labels) for labels in templates), (item, selector)
            checked += 1
    assert checked > 12


@pytest.mark.parametrize("component", ["alerts", "teacher-server", "teacher-nodes"])
def test_names_are_found_in_clusters_of_all_kinds(component: str, tmp_path: Path) -> None:
    asked = []
    for item in _with_component(component, tmp_path):
        rules = item["spec"].get("egress", []) if item["kind"] == "NetworkPolicy" else []
        found = [(rule["to"][0], port["port"]) for rule in rules for port in rule.get("ports", [])]
        asked += [found] if any(port == 53 for _, port in found) else []
    assert asked
    local = {"ipBlock": {"cidr": "169.254.20.10/32"}}
    openshift = {"kubernetes.io/metadata.name": "openshift-dns"}
    for rules in asked:
        assert (local, 53) in rules
        assert ({"namespaceSelector": {"matchLabels": openshift}}, 5353) in rules


def test_pods_in_which_programs_run_reach_store_and_database_only(objects: list[Json]) -> None:
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]

    def reached_by(labels: dict[str, str]) -> set[str]:
        selected = (p for p in policies if _matches(p["spec"]["podSelector"], labels))
        return {policy["metadata"]["name"] for policy in selected}

    writing, voting, running = _templates(objects)[-3:]
    assert running["sdg/stage"] == voting["sdg/stage"] == "enriched"  # votes run the programs
    assert running["sdg/answers"] == "code"
    assert reached_by(running) == {"default-deny", "names", "all-ask-database"}
    assert reached_by(voting) == reached_by(writing) == {*reached_by(running), "steps-to-hub"}


def test_settings_are_those_that_the_package_knows(
    objects: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = _settings(objects)
    known = {f"SDG_{name.upper()}" for name in Settings.model_fields}
    known |= {f"SDG_K8S_{name.upper()}" for name in ClusterSettings.model_fields}
    known |= {"SDG_CACHE", "SDG_TEACHER_SOURCE"}
    assert {name for name in environment if name.startswith("SDG_")} <= known
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings().executor == "k8s"
    assert Settings().teacher in teacher_cards()
    ClusterSettings()


def test_the_trial_asks_for_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _settings(manifests("trial")).items():
        monkeypatch.setenv(name, value)
    for stage in TEACHER_STAGES:
        resources = stage_pod(stage, Settings(), ClusterSettings())["container_config"]["resources"]
        assert "nvidia.com/gpu" not in resources["limits"]


def test_images_of_an_overlay_are_found_wherever_an_image_is_named() -> None:
    production = manifests("production")
    code = named(production, "Deployment", "sdg-code")["spec"]["template"]["spec"]
    (container,) = code["containers"]
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert container["image"].startswith("registry.example.com/sdg-assets:")
    assert env["DAGSTER_CURRENT_IMAGE"] == container["image"]
    gpu = _settings(production)["SDG_K8S_GPU_IMAGE"]
    assert gpu.startswith("registry.example.com/sdg-assets-gpu:")


def test_the_instance_finds_its_database_by_a_driver_that_is_installed(
    objects: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**_settings(objects), "DAGSTER_PG_PASSWORD": "p@ss/word"}
    config = _instance(objects)["storage"]["postgres"]["postgres_db"]
    plain = {k: environment[v["env"]] if isinstance(v, dict) else v for k, v in config.items()}
    engine = create_engine(pg_url_from_config({"postgres_db": plain}))
    assert engine.dialect.driver == "psycopg2"
    assert engine.url.password == "p@ss/word"
    assert engine.url.host == environment["DAGSTER_PG_HOST"]


def test_a_lost_run_worker_is_replaced_and_its_slot_freed(objects: list[Json]) -> None:
    monitoring = _instance(objects)["run_monitoring"]
    assert monitoring["enabled"]
    assert monitoring["max_resume_run_attempts"] > 0
    assert monitoring["free_slots_after_run_end_seconds"] > GRACE_SECONDS  # its pods end first


def test_what_stands_in_for_a_token_is_enough_for_an_instance(
    objects: list[Json], tmp_path: Path
) -> None:
    for name, text in named(objects, "ConfigMap", "sdg-no-token")["data"].items():
        (tmp_path / name).write_text(text)
    loaded = Configuration()
    InClusterConfigLoader(
        token_filename=str(tmp_path / "token"),
        cert_filename=str(tmp_path / "ca.crt"),
        environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"},
    ).load_and_set(loaded)
    BatchV1Api(ApiClient(loaded))


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_fits_the_base(component: str, tmp_path: Path) -> None:
    for item in _with_component(component, tmp_path):
        schema = extensions.SCHEMAS.get((item["apiVersion"], item["kind"]))
        if schema is None:
            kubernetes_validate.validate(item, SCHEMAS, strict=True)
        else:
            jsonschema.validate(item, schema)


@pytest.mark.parametrize("component", [c for c in COMPONENTS if c.startswith("teacher")])
def test_servers_of_teachers_break_no_rule_and_only_steps_reach_them(
    component: str, tmp_path: Path
) -> None:
    objects = _with_component(component, tmp_path)
    servers: list[Json] = [
        {"metadata": {"name": f"{item['metadata']['name']} {part}"}, "kind": "Deployment",
         "spec": {"template": template}}
        for item in objects
        if item["metadata"]["name"].startswith("sdg-teacher")
        for part, template in _pod_templates(item)
    ]  # fmt: skip
    assert servers
    assert [rule for server in servers for rule in broken_rules(server)] == [
        f"{server['metadata']['name']}: image sdg-assets-gpu is not pinned" for server in servers
    ]  # the overlay gives images their tags
    policies = {
        item["metadata"]["name"]: item["spec"]
        for item in objects
        if item["kind"] == "NetworkPolicy"
    }
    labels = servers[0]["spec"]["template"]["metadata"]["labels"]
    (asking, _) = policies["teacher-is-asked"]["ingress"][0]["from"]
    steps = [t for t in _templates(objects) if _matches(asking["podSelector"], t)]
    assert {t["app.kubernetes.io/component"] for t in steps} == {"step_worker"}
    assert all(_matches(policies["steps-ask-teacher"]["podSelector"], step) for step in steps)
    assert _matches(policies["teacher-is-asked"]["podSelector"], labels)
    assert _settings(objects)["SDG_TEACHER"] == "http://sdg-teacher:8000"


def test_a_server_has_as_many_gpus_as_it_computes_with(tmp_path: Path) -> None:
    for component in ("teacher-server", "teacher-nodes"):
        objects = _with_component(component, tmp_path)
        (server,) = (o for o in objects if o["kind"] in ("Deployment", "LeaderWorkerSet")
                     and o["metadata"]["name"].startswith("sdg-teacher"))  # fmt: skip
        templates = dict(_pod_templates(server))
        for template in templates.values():
            (container,) = template["spec"]["containers"]
            arguments = dict(a.removeprefix("--").partition("=")[::2] for a in container["args"])
            gpus = container["resources"]["limits"]["nvidia.com/gpu"]
            assert arguments["tensor-parallel-size"] == gpus
            assert int(arguments.get("pipeline-parallel-size", 1)) == len(templates)


def test_workers_find_their_leader_before_it_is_ready(tmp_path: Path) -> None:
    objects = _with_component("teacher-nodes", tmp_path)
    names = {kind: {o["metadata"]["name"] for o in objects if o["kind"] == kind}
             for kind in ("Service", "LeaderWorkerSet")}  # fmt: skip
    # LeaderWorkerSet makes a headless Service of its own name, unless there is one already.
    assert names["LeaderWorkerSet"]
    assert not names["LeaderWorkerSet"] & names["Service"]


@pytest.mark.parametrize("component", ["teacher-server", "teacher-nodes"])
def test_what_the_scaling_asks_for_is_scraped(component: str, tmp_path: Path) -> None:
    (server,) = (o for o in _with_component(component, tmp_path)
                 if o["kind"] in ("Deployment", "LeaderWorkerSet")
                 and o["metadata"]["name"].startswith("sdg-teacher"))  # fmt: skip
    answering = next(t for _, t in _pod_templates(server) if "ports" in t["spec"]["containers"][0])
    (port,) = answering["spec"]["containers"][0]["ports"]
    annotations = answering["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    operator = _with_component("monitoring-operator", tmp_path)
    spec = named(operator, "PodMonitor", "sdg-teacher")["spec"]
    assert _matches(spec["selector"], answering["metadata"]["labels"])
    assert [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]] == [port["name"]]


def test_a_fleet_that_is_busy_keeps_its_replicas_and_one_step_can_have_all(tmp_path: Path) -> None:
    objects = _with_component("teacher-scaling", tmp_path)
    spec = named(objects, "ScaledObject", "sdg-teacher")["spec"]
    (trigger,) = spec["triggers"]
    threshold, most = int(trigger["metadata"]["threshold"]), spec["maxReplicaCount"]
    batch = 256  # vLLM's --max-num-seqs, which the servers do not change
    counted = set(re.findall(r"vllm:num_requests_(\w+)", trigger["metadata"]["query"]))

    def wanted(requests: int, replicas: int) -> int:
        running = min(requests, batch * replicas)
        numbers = {"running": running, "waiting": requests - running}
        asked = math.ceil(sum(numbers[name] for name in counted) / threshold)
        return max(int(spec["minReplicaCount"]), min(int(most), asked))

    for requests in (200, 512, 1024, 2100, 4096):
        replicas = 1
        for _ in range(most):
            replicas = wanted(requests, replicas)
        assert wanted(requests, replicas) == replicas  # it stays
        assert replicas == most or requests <= batch * replicas  # and nothing waits
    assert int(_settings(objects)["SDG_CONCURRENCY"]) == threshold * most


def test_queues_of_kueue_belong_together(tmp_path: Path) -> None:
    objects = _with_component("kueue", tmp_path)
    (flavor,) = (o for o in objects if o["kind"] == "ResourceFlavor")
    (local,) = (o for o in objects if o["kind"] == "LocalQueue")
    queue = named(objects, "ClusterQueue", local["spec"]["clusterQueue"])
    (group,) = queue["spec"]["resourceGroups"]
    for quota in group["flavors"]:
        assert quota["name"] == flavor["metadata"]["name"]
        assert [r["name"] for r in quota["resources"]] == group["coveredResources"]
    namespace = queue["spec"]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert namespace == local["metadata"]["namespace"]
    assert _settings(objects)["SDG_K8S_QUEUE_NAME"] == local["metadata"]["name"]


def test_the_queue_covers_all_that_pods_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in _settings(_with_component("kueue", tmp_path)).items():
        monkeypatch.setenv(name, value)
    for stage in TEACHER_STAGES:
        pod = stage_pod(stage, Settings(teacher="qwen3-32b"), ClusterSettings())
        assert pod["job_spec_config"] == {"suspend": True}
        assert pod["container_config"]["resources"]["requests"].keys() <= covered_resources()


def test_the_webserver_has_the_volume_with_the_logs_of_steps(objects: list[Json]) -> None:
    assert _instance(objects)["compute_logs"]["config"] == {"store": {"env": "SDG_STORE"}}
    pod = named(objects, "Deployment", "sdg-webserver")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert _settings(objects)["SDG_STORE"] in mounts


def test_the_steps_are_scraped_at_the_port_that_they_serve(tmp_path: Path) -> None:
    objects = _with_component("monitoring-operator", tmp_path)
    pipeline = Settings(metrics=_settings(objects)["SDG_METRICS"])
    step = step_defaults(pipeline, ClusterSettings())
    (port,) = step["container_config"]["ports"]
    (rule,) = named(objects, "NetworkPolicy", "steps-are-scraped")["spec"]["ingress"]
    assert [p["port"] for p in rule["ports"]] == [port["container_port"]]
    annotations = step["pod_template_spec_metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["container_port"])
    spec = named(objects, "PodMonitor", "sdg-steps")["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["port"] == port["name"]
    scraped = [labels for labels in _templates(objects) if _matches(spec["selector"], labels)]
    assert {labels["app.kubernetes.io/component"] for labels in scraped} == {"step_worker"}
    board = named(objects, "ConfigMap", "sdg-dashboard")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = board["data"].values()
    assert json.loads(text) == json.loads(DASHBOARD.read_text("utf-8"))


def test_the_dashboard_asks_for_metrics_and_labels_that_steps_have() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    queries = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    queries += [
        v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"
    ]
    known = {metric.name: {*metric.labels, "namespace"} for metric in METRICS}
    asked = set()
    for query in queries:
        # A name is a selector unless it is a function, a keyword or a label in parentheses.
        for name, labels in re.findall(r"(?<![\w$\"])(sdg_\w+)(?:{([^}]*)})?", query):
            asked.add(name)
            assert name in known, query
            assert set(re.findall(r"(\w+)=", labels)) <= known[name], query
        for labels in re.findall(r"\bby \(([^)]*)\)", query):
            assert all(set(labels.split(", ")) <= known[n] for n in known if n in query), query
        rest = re.sub(r"sdg_\w+({[^}]*})?|by \([^)]*\)|\[[^\]]*\]", "", query)
        functions = {"sum", "rate", "max_over_time", "sort_desc", "label_values"}
        assert set(re.findall(r"[a-z_]{2,}", rest)) <= functions | {"namespace", "task", "stage"}
    assert {"sdg_generated_tokens_total", "sdg_rows_total", "sdg_requests_waiting"} <= asked
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in dashboard["panels"])


def _pod_templates(item: Json) -> Iterator[tuple[str, Json]]:
    spec = item.get("spec", {})
    if "template" in spec:
        yield "pod", spec["template"]
    for part in ("leaderTemplate", "workerTemplate"):
        if part in spec.get("leaderWorkerTemplate", {}):
            yield part, spec["leaderWorkerTemplate"][part]


def _with_component(component: str, folder: Path) -> list[Json]:
    """The base with one component, and with those that it needs."""

    def relative(path: Path) -> str:
        return os.path.relpath(path, folder.resolve())

    names = [*NEEDED.get(component, ()), component]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "sdg",
        "resources": [relative(K8S / "base")],
        "components": [relative(K8S / "components" / name) for name in names],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    rendered.cache_clear()  # the folder's content has changed
    return list(yaml.safe_load_all(rendered(folder)))


def test_the_sandbox_component_lets_only_pods_of_code_tasks_make_namespaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sdg_assets.cluster.pods import CONFIG_TAG, pod_tags
    from sdg_assets.cluster.settings import cluster_settings
    from sdg_assets_tests.conftest import forget_settings

    profile = json.loads((K8S / "components" / "sandbox" / "sdg-sandbox.json").read_text())
    denied = set(profile["syscalls"][0]["names"])
    assert not denied & {"clone", "clone3", "unshare", "mount", "mount_setattr", "pivot_root"}
    assert {"bpf", "init_module", "kexec_load", "ptrace", "setns"} <= denied
    monkeypatch.setenv("SDG_EXECUTOR", "k8s")
    monkeypatch.setenv("SDG_K8S_SANDBOX_SECCOMP", "profiles/sdg-sandbox.json")
    forget_settings()
    cluster_settings.cache_clear()
    code = pod_tags(Stage.ENRICHED, AnswerKind.CODE)[CONFIG_TAG]
    others = [
        pod_tags(Stage.ENRICHED, AnswerKind.NUMERIC)[CONFIG_TAG],
        pod_tags(Stage.FILTERED, AnswerKind.CODE)[CONFIG_TAG],
    ]
    cluster_settings.cache_clear()
    security = code["container_config"]["security_context"]
    assert security["seccomp_profile"]["localhost_profile"] == "profiles/sdg-sandbox.json"
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert code["pod_spec_config"]["host_users"] is False
    assert not any("security_context" in other["container_config"] for other in others)


def test_pods_of_ended_runs_are_ended_by_who_may_end_them(objects: list[Json]) -> None:
    spec = named(objects, "Deployment", "sdg-daemon")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "sdg-control"
    (watcher,) = (c for c in spec["containers"] if c["name"] == "ended-runs")
    assert importlib.util.find_spec(watcher["command"][-1])
    assert str(ended_runs.HEARTBEAT) in watcher["livenessProbe"]["exec"]["command"][-1]
    labels = _instance(objects)["run_launcher"]["config"]["labels"]
    assert ended_runs.OURS in {f"{name}={value}" for name, value in labels.items()}
