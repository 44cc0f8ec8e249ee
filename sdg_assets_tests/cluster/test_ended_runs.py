"""Step pods of ended runs are deleted when no run worker does it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Status
from dagster_k8s.job import (
    DagsterK8sJobConfig,
    UserDefinedDagsterK8sConfig,
    construct_dagster_k8s_job,
)
from kubernetes.client import BatchV1Api

from sdg_assets.cluster.ended_runs import end_pods_of_ended_runs
from sdg_assets.cluster.pods import GRACE_SECONDS, WAITS_LABEL
from sdg_assets_tests.cluster.cluster import Pod, wait_until_gone
from sdg_assets_tests.cluster.deployment import IMAGE, Deployment, deployed

pytestmark = pytest.mark.filterwarnings("ignore:HTTPResponse.getheader:DeprecationWarning")
# A step that hangs in C code does not end in time by itself: the kubelet kills it.
DEAF = ["sh", "-c", "trap '' TERM; sleep 600"]
TAME = ["sleep", "600"]


def _pod(
    deployment: Deployment,
    run_id: str,
    component: str = "step_worker",
    command: list[str] = TAME,
    uses: str = "database",
) -> Pod:
    """Starts a Job as Dagster does, and returns its pod once it runs."""
    name = _job(deployment, run_id, component, command, uses)
    ever = deployment.cluster.ever
    deployment.wait(lambda: any(p.job == name and p.phase == "Running" for p in ever), 20)
    return next(pod for pod in ever if pod.job == name)


def _job(
    deployment: Deployment,
    run_id: str,
    component: str = "step_worker",
    command: list[str] = TAME,
    uses: str = "database",
    **spec_of_job: object,
) -> str:
    """Creates a Job as Dagster does, and returns its name."""
    job_config = DagsterK8sJobConfig(
        job_image=IMAGE,
        dagster_home="/home",
        labels={"sdg/uses": uses},
        resources={"limits": {"cpu": "1", "memory": "1Gi"}},
    )
    spec = {
        "pod_spec_config": {
            "service_account_name": "sdg-step",
            "termination_grace_period_seconds": GRACE_SECONDS,
        },
        "job_metadata": {"labels": {WAITS_LABEL: "true"}},
        "job_spec_config": spec_of_job,
    }
    name = f"job-{len(deployment.cluster.jobs)}-{len(deployment.cluster.ever)}"
    job = construct_dagster_k8s_job(
        job_config,
        command,
        name,
        UserDefinedDagsterK8sConfig.from_dict(spec),  # type: ignore[no-untyped-call]
        component=component,
        labels={"dagster/run-id": run_id},
    )
    BatchV1Api().create_namespaced_job("sdg", job)
    return name


def test_a_run_that_ended_has_no_step_pods_ten_seconds_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deployed(tmp_path, "http://127.0.0.1:9", monkeypatch) as deployment:
        instance = deployment.instance
        assert instance.run_launcher

        def run(status: Status) -> str:
            made = instance.add_run(dg.DagsterRun(job_name="a", status=Status.STARTED))
            if status is Status.CANCELING:
                instance.report_run_canceling(made)
            elif status is Status.CANCELED:
                instance.report_run_canceled(made)
            elif status is Status.FAILURE:
                instance.report_run_failed(made, "its worker was lost too often")
            return made.run_id

        deployment.run_id = under_way = run(Status.STARTED)
        deleted = run(Status.STARTED)
        ended = [run(s) for s in (Status.CANCELING, Status.CANCELED, Status.FAILURE)]
        kept = [
            _pod(deployment, under_way),
            _pod(deployment, ended[0], component="run_worker"),  # it reports the run's end
            _pod(deployment, "run-of-another-dagster", uses="another"),
        ]
        doomed = [
            *(_pod(deployment, run_id, command=DEAF) for run_id in ended),
            _pod(deployment, deleted),
            _pod(deployment, deleted, component="run_worker"),
        ]
        queued = [_job(deployment, run_id, suspend=True) for run_id in (under_way, ended[1])]
        instance.delete_run(deleted)

        names = end_pods_of_ended_runs(instance, "sdg")
        assert set(names) == {pod.name for pod in doomed}
        assert [job for job in queued if job in deployment.cluster.jobs] == queued[:1]
        assert end_pods_of_ended_runs(instance, "sdg") == []  # ending pods are skipped
        for pod in doomed:
            wait_until_gone(pod, seconds=10)
        assert all(pod.phase == "Running" for pod in kept)
        messages = [entry.message for entry in instance.all_logs(ended[2])]
        assert any(f"(FAILURE): deleting Job {doomed[2].job}" in message for message in messages)
        assert deployment.api.used <= deployment.api.allowed
