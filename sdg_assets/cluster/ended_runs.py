"""Deletes step pods whose run has ended: `python -m sdg_assets.cluster.ended_runs`.

It runs beside the daemon. When a run is terminated, its run worker ends its steps (`executor`).
But if the worker is dead, if run monitoring fails the run, or if somebody deletes the run, its step
pods ran on, each with its GPU and the lock of its completion log. With this process, a run has no
step pods 10 s after its end, whatever ended it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from dagster_k8s import K8sRunLauncher
from kubernetes import client
from kubernetes.client.rest import ApiException

from sdg_assets.cluster.pods import WAITS_LABEL

LabelledT = TypeVar("LabelledT", bound=Any)

POLL_SECONDS = 2.0
REQUEST_SECONDS = 20.0
# After reporting success, a step stops its engine, which may take some seconds.
CLEANUP_SECONDS = 30.0
RUN_LABEL = "dagster/run-id"
COMPONENT, STEP = "app.kubernetes.io/component", "step_worker"
OURS = "sdg/uses=database"  # pods of another Dagster in the namespace do not have this label
ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
HEARTBEAT = Path("/tmp/ended-runs")  # noqa: S108 - private to the pod; the liveness probe reads it

logger = logging.getLogger("ended_runs")


def end_pods_of_ended_runs(instance: dg.DagsterInstance, namespace: str) -> list[str]:
    """Checks once for step pods of ended runs, and deletes them with their Jobs.

    Args:
        instance: The Dagster instance. Its run launcher has configured the Kubernetes client.
        namespace: The namespace of the pods.

    Returns:
        The names of the deleted pods.
    """
    _end_waiting_jobs(instance, namespace)
    core, batch = client.CoreV1Api(), client.BatchV1Api()
    listed = core.list_namespaced_pod(
        namespace,
        label_selector=OURS,
        field_selector=ALIVE,
        _request_timeout=REQUEST_SECONDS,
    )
    pods = [
        pod
        for pod in listed.items
        if RUN_LABEL in pod.metadata.labels and not pod.metadata.deletion_timestamp
    ]
    ended = list(_of_ended_runs(instance, pods))
    for pod in ended:
        job = pod.metadata.labels["job-name"]
        logger.info("ending pod %s: run %s", pod.metadata.name, pod.metadata.labels[RUN_LABEL])
        _delete(batch.delete_namespaced_job, job, namespace, propagation_policy="Background")
        _delete(core.delete_namespaced_pod, pod.metadata.name, namespace)
        if run := instance.get_run_by_id(pod.metadata.labels[RUN_LABEL]):
            message = f"The run has ended ({run.status.value}): deleting Job {job} and its pod"
            instance.report_engine_event(message, run)
    return [pod.metadata.name for pod in ended]


def _end_waiting_jobs(instance: dg.DagsterInstance, namespace: str) -> None:
    """Deletes Jobs of ended runs that have no pods yet; without it they would start pods later."""
    batch = client.BatchV1Api()
    listed = batch.list_namespaced_job(
        namespace, label_selector=f"{OURS},{WAITS_LABEL}=true", _request_timeout=REQUEST_SECONDS
    )
    waiting = [
        job
        for job in listed.items
        if not job.status.active
        and not job.metadata.deletion_timestamp
        and not any(c.type in ("Complete", "Failed") for c in job.status.conditions or [])
    ]
    for job in _of_ended_runs(instance, waiting):
        name = job.metadata.name
        logger.info("ending Job %s: run %s", name, job.metadata.labels[RUN_LABEL])
        _delete(batch.delete_namespaced_job, name, namespace, propagation_policy="Background")


def _of_ended_runs(
    instance: dg.DagsterInstance, objects: Iterable[LabelledT]
) -> Iterator[LabelledT]:
    """Those of the pods or Jobs whose run has ended."""
    by_run: dict[str, list[LabelledT]] = {}
    for item in objects:
        by_run.setdefault(item.metadata.labels[RUN_LABEL], []).append(item)
    if not by_run:
        return
    records = instance.get_run_records(dg.RunsFilter(run_ids=list(by_run)))
    known = {record.dagster_run.run_id: record for record in records}
    for run_id, of_run in by_run.items():
        record = known.get(run_id)
        if record is None:  # deleted: its run worker too, or it would start further steps
            yield from of_run
        elif _has_ended(record):
            yield from (p for p in of_run if p.metadata.labels[COMPONENT] == STEP)


def _has_ended(record: dg.RunRecord) -> bool:
    status = record.dagster_run.status
    if status is dg.DagsterRunStatus.SUCCESS:
        return time.time() - (record.end_time or 0) > CLEANUP_SECONDS
    return status is dg.DagsterRunStatus.CANCELING or record.dagster_run.is_finished


def _delete(call: Any, name: str, namespace: str, **options: str) -> None:  # noqa: ANN401 - untyped client
    try:
        call(name, namespace, _request_timeout=REQUEST_SECONDS, **options)
    except ApiException as error:
        if error.status != 404:  # 404: already deleted
            raise


def main() -> None:
    """Checks every 2 s, until the process is stopped.

    Raises:
        SystemExit: `dagster.yaml` does not use `K8sRunLauncher`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, K8sRunLauncher):
            raise SystemExit(
                "ended_runs: dagster.yaml does not use K8sRunLauncher, so no run has pods"
            )
        while True:
            try:
                end_pods_of_ended_runs(instance, launcher.job_namespace)
            except Exception:
                # The database or the API server may be down for a while; the next check is in 2 s.
                logger.exception("check for pods of ended runs failed")
            HEARTBEAT.touch()
            time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
