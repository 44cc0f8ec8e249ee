"""The trial overlay's instance and settings on the test cluster, and runs of the pipeline."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any, cast

import dagster as dg
import kubernetes.config.kube_config as kube_config
import pytest
import yaml
from dagster._core.code_pointer import CodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from sdg_assets.catalog import cached_catalog
from sdg_assets.definitions import build_definitions
from sdg_assets.sources.source import EMBEDDED, DirectorySource
from sdg_assets_tests.cluster.api import Api, served
from sdg_assets_tests.cluster.cluster import Cluster
from sdg_assets_tests.cluster.manifests import manifests, named
from sdg_assets_tests.support.builders import MIRROR, write_catalog

TASK = "arithmetic"
SUBTASKS = [f"part_{n:02}" for n in range(20)]
ROWS = 2
IMAGE = "sdg-assets:0.1.0"
PER_STEP = {f"{TASK}__enriched": {"container_config": {"resources": {"limits": {"memory": "3Gi"}}}}}
UNSEEN = {"question": "How many are three and four of them?", "answer": "Seven. #### 7"}


@dataclass
class Deployment:
    """A running cluster with a Dagster instance, from the view of webserver and daemon."""

    cluster: Cluster
    api: Api
    instance: dg.DagsterInstance
    store: Path
    run_id: str = ""

    def launch(
        self,
        *stages: str,
        subtasks: tuple[str, str] = (SUBTASKS[0], SUBTASKS[-1]),
        pod: str = '{"cpus": 0.75}',
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Starts one run of stages.

        Args:
            stages: Of the task.
            subtasks: The first and the last.
            pod: The run's tag `sdg/pod`.
            tags: Further tags of the run.
        """
        keys = {dg.AssetKey([TASK, stage]) for stage in stages}
        job = self._repository.get_implicit_global_asset_job_def().get_subset(asset_selection=keys)
        origin = RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=CodePointer.from_module("sdg_assets.definitions", "defs", None),
            container_image=IMAGE,
        )
        run = self.instance.create_run_for_job(
            job,
            asset_selection=keys,
            run_config={"execution": {"config": {"per_step_k8s_config": PER_STEP}}},
            tags={
                "sdg/pod": pod,
                "dagster/asset_partition_range_start": subtasks[0],
                "dagster/asset_partition_range_end": subtasks[1],
                **(tags or {}),
            },
            job_code_origin=JobPythonOrigin(job.name, origin),
        )
        self.run_id = run.run_id
        self.instance.launch_run(run.run_id, cast("Any", None))

    @cached_property
    def _repository(self) -> dg.RepositoryDefinition:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build_definitions().get_repository_def()

    def terminate(self) -> None:
        """Terminates the run as the UI does."""
        self.instance.run_launcher.terminate(self.run_id)

    def monitor(self) -> None:
        """Runs the daemon's run monitoring once for the run."""
        record = self.instance.get_run_record_by_id(self.run_id)
        assert record
        monitor_started_run(self.instance, cast("Any", None), record, logging.getLogger("daemon"))

    def run_worker_diagnosis(self) -> str:
        """What the daemon reports about the run's worker when the run failed."""
        run = self.instance.get_run_by_id(self.run_id)
        assert run
        return self.instance.run_launcher.get_run_worker_debug_info(run) or ""

    def messages(self) -> list[str]:
        """All messages of the run's event log."""
        read = []
        for entry in self.instance.all_logs(self.run_id):
            event = entry.dagster_event
            if event and event.is_step_up_for_retry and event.step_retry_data.error:
                read.append(event.step_retry_data.error.message)
            elif event and event.is_step_failure and event.step_failure_data.error:
                read.append(event.step_failure_data.error.message)
            read.append(entry.message)
        return read

    @property
    def status(self) -> dg.DagsterRunStatus:
        run = self.instance.get_run_by_id(self.run_id)
        assert run
        return run.status

    def is_finished(self) -> bool:
        run = self.instance.get_run_by_id(self.run_id)
        return bool(run and run.is_finished)

    def wait(self, until: Callable[[], object], seconds: float = 180) -> None:
        """Waits until something is so.

        Raises:
            AssertionError: It is not; tells the end of the run's log.
        """
        patience = time.monotonic() + seconds
        while not until():
            in_time = time.monotonic() < patience and not (self.is_finished() and not until())
            assert in_time, "\n".join(self.messages()[-30:])
            time.sleep(0.5)

    def wait_for_message(self, *parts: str) -> str:
        """The first message that has all parts."""

        def matching() -> list[str]:
            return [text for text in self.messages() if all(part in text for part in parts)]

        self.wait(matching)
        return matching()[0]

    def logged_completions(self) -> int:
        """The lines of all completion logs, and of their segments."""
        logs = [
            *self.store.glob(f"{TASK}/completions/*/*.jsonl"),
            *self.store.glob(f"{TASK}/completions/*/*.segments/*.jsonl"),
        ]
        return sum(log.read_bytes().count(b"\n") for log in logs)


@contextmanager
def deployed(
    place: Path,
    teacher_url: str,
    monkeypatch: pytest.MonkeyPatch,
    rows: int = ROWS,
    **settings_of_test: str,
) -> Iterator[Deployment]:
    """The trial overlay on its own test cluster, with shorter waits and a served teacher.

    Args:
        place: An empty directory.
        teacher_url: The teacher's address.
        monkeypatch: Sets the environment of this process.
        rows: Seeds of each subtask.
        **settings_of_test: Variables that override the settings.
    """
    overlay = manifests("trial")
    store, home = place / "store", place / "home"
    settings = {
        **named(overlay, "ConfigMap", "sdg-settings")["data"],
        **_where(place, store, rows),
        "SDG_TEACHER": teacher_url,
        "SDG_CONCURRENCY": "4",
        "SDG_RETRIES": "8",
        "SDG_VOTES": "1",
        "SDG_WITHOUT_BENCHMARKS": "all",
        "SDG_K8S_PODS": json.dumps({s: {"gpus": 1} for s in ("generated", "enriched")}),
        "SDG_K8S_GPU_NODE_SELECTOR": '{"pool": "gpu"}',
        "SDG_K8S_GPU_RUNTIME_CLASS": "nvidia",
        "SDG_K8S_CACHE_CLAIM": "sdg-models",
        "SDG_K8S_HEALTH_SECONDS": "1",
        "SDG_K8S_START_SECONDS": "2",
        "SDG_K8S_SCHEDULE_SECONDS": "3",
        "SDG_K8S_UNSCHEDULABLE_SECONDS": "1",
        **settings_of_test,
    }
    for name, value in settings.items():
        if name.startswith("SDG_"):
            monkeypatch.setenv(name, value)
    secrets = {"sdg-postgresql": {"postgresql-password": "none"}}
    cluster = Cluster(place / "pods", {"sdg-settings": settings}, secrets)
    cluster.place.mkdir()
    api = Api(cluster, overlay)
    with served(api), cluster.running():
        # The daemon's environment; pods have their own.
        own = cluster.place / "sdg-control.kubeconfig"
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(own))
        home.mkdir()
        given = yaml.safe_load(named(overlay, "ConfigMap", "sdg-dagster")["data"]["dagster.yaml"])
        (home / "dagster.yaml").write_text(yaml.safe_dump(_here(given, place)), "utf-8")
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield Deployment(cluster, api, instance, store)


def _here(given: dict[str, Any], place: Path) -> dict[str, Any]:
    """The overlay's `dagster.yaml`, changed to this machine's disk and network."""
    given["storage"] = {"sqlite": {"base_dir": str(place / "instance")}}
    given["local_artifact_storage"]["config"]["base_dir"] = str(place / "artifacts")
    given["run_launcher"]["config"]["load_incluster_config"] = False
    given["run_monitoring"]["free_slots_after_run_end_seconds"] = 1
    return given


def made_up_seeds() -> Iterator[dict[str, str]]:
    """Questions in the form of GSM8K, each with another name and other numbers."""
    names, things = ("Ada", "Ben", "Cleo", "Dan", "Eva"), ("pears", "coins", "stamps", "shells")
    for number in count(11):
        name, thing, more = names[number % 5], things[number % 4], number * 7 % 89 + 2
        question = f"{name} has {number} {thing} and finds {more} more. How many {thing} is that?"
        yield {"question": question, "answer": f"That is {number + more}. #### {number + more}"}


def _where(place: Path, store: Path, rows: int) -> dict[str, str]:
    """A catalog of one task with 20 subtasks: a few rows of GSM8K each, or many made-up ones."""
    has_mirror = MIRROR.is_dir()
    source = DirectorySource("mirror", MIRROR if has_mirror else EMBEDDED)
    gsm8k = cached_catalog(None).subtask("gsm8k", "gsm8k")
    seeds: Iterator[Any] = made_up_seeds()
    if rows == ROWS:
        seeds = cycle(list(islice(source.rows(gsm8k, "train"), rows * len(SUBTASKS))))
    heldout = list(islice(source.rows(gsm8k, "test"), 1)) if has_mirror else [UNSEEN]
    for subtask in SUBTASKS:
        folder = place / "mirror" / "openai" / "gsm8k" / subtask
        folder.mkdir(parents=True)
        for split, raw in (("train", islice(seeds, rows)), ("test", heldout)):
            lines = "".join(json.dumps(row) + "\n" for row in raw)
            (folder / f"{split}.jsonl").write_text(lines, "utf-8")
    fields = {
        "task": TASK,
        "family": "reasoning",
        "dataset": "openai/gsm8k",
        "answer_kind": "numeric",
        "record": {
            "question": "{{question}}",
            "solution": "{{answer.split('####')[0] | regex_replace('<<.*?>>')}}",
            "answer": "{{answer.split('####')[1]}}",
        },
        "subtasks": {subtask: {"config": subtask} for subtask in SUBTASKS},
    }
    return {
        "SDG_STORE": str(store),
        "SDG_CATALOG": str(write_catalog(place / "catalog", fields)),
        "SDG_SEED_SOURCE": f"mirror:{place / 'mirror'}",
        "SDG_MAX_SEEDS": str(rows),
    }
