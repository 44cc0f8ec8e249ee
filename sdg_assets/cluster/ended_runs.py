"""Ends the pods of runs that have ended: `python -m sdg_assets.cluster.ended_runs`.

It runs beside the daemon. A run worker ends its steps when its run is terminated (`executor`).
Nobody does so where the worker is dead by then, where run monitoring gives a run up, or where
somebody deletes a run: its step pods went on, each with its GPU and the lock of its completion log.
Whatever the reason was, a run that has ended has no step pods 10 s later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_k8s import K8sRunLauncher
from kubernetes import client
from kubernetes.client.rest import ApiException

if TYPE_CHECKING:
    from kubernetes.client import V1Pod

POLL_SECONDS = 2.0
REQUEST_SECONDS = 20.0
# A step that has reported its success stops its engine, which may take some seconds.
TIDYING_SECONDS = 30.0
RUN_LABEL = "dagster/run-id"
COMPONENT, STEP = "app.kubernetes.io/component", "step_worker"
OURS = "sdg/uses=database"  # other Dagsters' pods of the namespace have no such label
ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
HEARTBEAT = Path("/tmp/ended-runs")  # noqa: S108 - a pod's own; its liveness probe looks at its age

logger = logging.getLogger("ended_runs")


def end_pods_of_ended_runs(instance: dg.DagsterInstance, namespace: str) -> list[str]:
    """Looks once; returns the names of the pods that it ended.

    Args:
        instance: Knows the runs. Its run launcher has told the client where the cluster is.
        namespace: Of the pods.
    """
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
            said = f"The run has ended ({run.status.value}): deleting Job {job} and its pod"
            instance.report_engine_event(said, run)
    return [pod.metadata.name for pod in ended]


def _of_ended_runs(instance: dg.DagsterInstance, pods: Iterable[V1Pod]) -> Iterator[V1Pod]:
    by_run: dict[str, list[V1Pod]] = {}
    for pod in pods:
        by_run.setdefault(pod.metadata.labels[RUN_LABEL], []).append(pod)
    if not by_run:
        return
    records = instance.get_run_records(dg.RunsFilter(run_ids=list(by_run)))
    known = {record.dagster_run.run_id: record for record in records}
    for run_id, of_run in by_run.items():
        record = known.get(run_id)
        if record is None:  # deleted: its worker would start one step after the other
            yield from of_run
        elif _has_ended(record):
            yield from (p for p in of_run if p.metadata.labels[COMPONENT] == STEP)


def _has_ended(record: dg.RunRecord) -> bool:
    status = record.dagster_run.status
    if status is dg.DagsterRunStatus.SUCCESS:
        return time.time() - (record.end_time or 0) > TIDYING_SECONDS
    return status is dg.DagsterRunStatus.CANCELING or record.dagster_run.is_finished


def _delete(call: Any, name: str, namespace: str, **options: str) -> None:  # noqa: ANN401 - untyped client
    try:
        call(name, namespace, _request_timeout=REQUEST_SECONDS, **options)
    except ApiException as error:
        if error.status != 404:  # gone in the meantime
            raise


def main() -> None:
    """Looks every 2 s until the pod ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, K8sRunLauncher):
            raise SystemExit("ended_runs: dagster.yaml names no K8sRunLauncher: nothing to end")
        while True:
            try:
                end_pods_of_ended_runs(instance, launcher.job_namespace)
            except Exception:
                # Database or API server are away for a while; the next look is 2 s off.
                logger.exception("could not look")
            HEARTBEAT.touch()
            time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
