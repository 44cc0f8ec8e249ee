"""The health of a step's Job, on a stand-in for Dagster's Kubernetes client."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dagster_k8s.client import DagsterK8sAPIRetryLimitExceeded, DagsterK8sUnrecoverableAPIError
from kubernetes.client import (
    V1Container,
    V1Job,
    V1JobCondition,
    V1JobSpec,
    V1JobStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodSpec,
    V1PodStatus,
    V1PodTemplateSpec,
)
from kubernetes.client.rest import ApiException

from sdg_assets.cluster import step_handler
from sdg_assets.cluster.divided_steps import DividedSteps
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.cluster.step_handler import StageHandler
from sdg_assets.errors import PermanentError
from sdg_assets.settings import Settings

STEP = "gsm8k__generated"


@dataclass
class FakeClient:
    """Dagster's client, and the two APIs that it holds."""

    jobs: dict[str, V1JobStatus] = field(default_factory=dict)
    pods: list[V1Pod] = field(default_factory=list)
    error: Exception | None = None
    deleted: list[str] = field(default_factory=list)

    @property
    def batch_api(self) -> FakeClient:
        return self

    @property
    def core_api(self) -> FakeClient:
        return self

    def get_job_status(self, job_name: str, namespace: str) -> V1JobStatus | None:
        if self.error:
            raise self.error
        return self.jobs.get(job_name)

    def read_namespaced_job_status(self, name: str, namespace: str) -> V1Job:
        if name not in self.jobs:
            raise ApiException(status=404)
        pod = V1PodTemplateSpec(spec=V1PodSpec(containers=[V1Container(name="dagster")]))
        metadata = V1ObjectMeta(name=name, namespace=namespace)
        return V1Job(
            metadata=metadata, spec=V1JobSpec(template=pod, completions=2), status=self.jobs[name]
        )

    def get_pods_in_job(self, job_name: str, namespace: str) -> list[V1Pod]:
        return self.pods

    def list_namespaced_event(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(items=[])

    def list_namespaced_pod(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(items=self.pods)

    def delete_job(self, job: str, namespace: str) -> None:
        self.deleted.append(job)
        del self.jobs[job]


@dataclass
class Watch:
    """A step handler of one run worker, and what it logs."""

    client: FakeClient
    kind: type[StageHandler] = StageHandler
    attempts_begun: int = 0
    """How often the step's process has started."""
    logged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        parts = SimpleNamespace(
            _api_client=self.client,
            _get_k8s_step_job_name=lambda context: "dagster-step-a",
            _get_container_context=lambda context: SimpleNamespace(namespace="sdg"),
            _log_event=lambda context, text: self.logged.append(text),
        )
        given = (cast("Any", parts), Settings(), ClusterSettings())
        self.handler = (
            DividedSteps(*given, lambda *_: [])
            if self.kind is DividedSteps
            else StageHandler(*given)
        )

    @property
    def context(self) -> Any:
        stats = SimpleNamespace(step_key=STEP, attempts=self.attempts_begun)
        found = [stats] if self.attempts_begun else []
        return SimpleNamespace(
            instance=SimpleNamespace(get_run_step_stats=lambda run_id, keys: found),
            dagster_run=SimpleNamespace(run_id="run", tags={"sdg/indexes": "2"}, run_config={}),
            execute_step_args=SimpleNamespace(step_keys_to_execute=[STEP], known_state=None),
        )

    def check(self) -> str | None:
        """The next check's reason to give up the Job; None: it is healthy."""
        health = self.handler.check_step_health(self.context)
        return None if health.is_healthy else health.unhealthy_reason


def pod(phase: str) -> V1Pod:
    metadata, spec = V1ObjectMeta(name="dagster-step-a-x"), V1PodSpec(containers=[], node_name="n")
    return V1Pod(metadata=metadata, spec=spec, status=V1PodStatus(phase=phase))


def status(condition: str) -> V1JobStatus:
    return V1JobStatus(conditions=[V1JobCondition(type=condition, status="True")])


@pytest.mark.parametrize("kind", [StageHandler, DividedSteps])
def test_the_first_check_of_a_resumed_run_never_has_a_job_launched_that_exists(
    kind: type[StageHandler],
) -> None:
    failed = FakeClient({"dagster-step-a": V1JobStatus(failed=1)})
    resumed = Watch(failed, kind)
    assert resumed.check() is None  # else Dagster launches it again under its name
    assert "is gone" in (resumed.check() or "")  # the loop's check: Dagster retries

    # Its Job is deleted, but its process had begun: it must not begin a second time.
    assert Watch(FakeClient(), kind, attempts_begun=1).check() is None

    # The last worker was lost between its message and the Job.
    assert "was not created" in (Watch(FakeClient(), kind).check() or "")


@pytest.mark.parametrize("kind", [StageHandler, DividedSteps])
def test_an_api_that_does_not_answer_says_nothing_about_a_job(kind: type[StageHandler]) -> None:
    error = ApiException(status=503)
    info = (type(error), error, None)
    gave_up = DagsterK8sAPIRetryLimitExceeded(  # type: ignore[no-untyped-call]
        "-", k8s_api_exception=error, max_retries=3, original_exc_info=info
    )
    for each in (error, gave_up):
        client = FakeClient({"dagster-step-a": V1JobStatus(active=1)}, [pod("Running")], each)
        resumed = Watch(client, kind)
        assert resumed.check() is None
        assert "still runs is unknown" in resumed.logged[0]
        client.error = None
        assert resumed.check() is None


def test_filling_pods_whose_job_exists_are_not_launched_again() -> None:
    assert Watch(FakeClient({"sdg-fill-a": V1JobStatus(active=2)}), DividedSteps).check() is None


def test_a_job_that_is_suspended_after_its_pod_ran_is_given_up() -> None:
    client = FakeClient({"dagster-step-a": status("Suspended")})
    watch = Watch(client, attempts_begun=0)
    assert [watch.check() for _ in range(4)] == [None] * 4  # it waits for quota, as long as it may
    assert len(watch.logged) == 1
    assert "until there is quota" in watch.logged[0]

    client.jobs["dagster-step-a"], client.pods = V1JobStatus(active=1), [pod("Running")]
    assert watch.check() is None
    client.jobs["dagster-step-a"] = status("Suspended")
    assert [watch.check() for _ in range(3)] == [None] * 3  # its pod may still report its end
    client.pods = []
    assert watch.check() is None  # the report may be in the event log
    assert "Kueue has preempted it" in (watch.check() or "")
    assert client.deleted == ["dagster-step-a"]


def test_a_step_that_goes_on_after_a_preemption_may_report_its_end() -> None:
    client = FakeClient({"dagster-step-a": status("Suspended")})
    watch = Watch(client, attempts_begun=1)
    assert [watch.check(), watch.check()] == [None, None]
    client.jobs["dagster-step-a"], client.pods = V1JobStatus(active=1), [pod("Running")]
    assert watch.check() is None
    client.jobs["dagster-step-a"] = status("Complete")
    assert watch.check() is None  # the loop reads its report before the next check
    assert watch.check() is not None


def test_a_job_that_is_preempted_before_its_pod_ran_waits_again() -> None:
    client = FakeClient({"dagster-step-a": V1JobStatus(active=1)}, [pod("Pending")])
    watch = Watch(client)
    watch.check()
    client.jobs["dagster-step-a"], client.pods = status("Suspended"), []
    assert [watch.check() for _ in range(4)] == [None] * 4
    assert not client.deleted


def test_a_resumed_run_knows_that_a_suspended_step_has_begun() -> None:
    client = FakeClient({"dagster-step-a": status("Suspended")})
    watch = Watch(client, attempts_begun=1)
    assert [watch.check() is None for _ in range(3)] == [True, True, False]


def test_a_job_that_is_complete_while_its_step_has_not_ended_is_given_up() -> None:
    client = FakeClient({"dagster-step-a": status("Complete")}, [pod("Succeeded")])
    watch = Watch(client, attempts_begun=1)
    assert [watch.check(), watch.check()] == [None, None]
    assert "its step has not ended" in (watch.check() or "")


@pytest.mark.parametrize(
    ("state", "deleted"), [("Suspended", ["dagster-step-a"]), ("Failed", []), ("Complete", [])]
)
def test_a_retry_deletes_the_last_job_if_it_might_start_again(
    state: str, deleted: list[str]
) -> None:
    client = FakeClient({"dagster-step-a": status(state)})
    watch = Watch(client)
    handler, context = cast("Any", watch.handler), watch.context
    retries = SimpleNamespace(get_attempt_count=lambda key: 1)
    context.execute_step_args.known_state = SimpleNamespace(get_retry_state=lambda: retries)
    handler._get_k8s_step_job_name = lambda context: "dagster-step-a-1"
    handler._delete_last_try(context)
    assert client.deleted == deleted


@pytest.mark.parametrize("code", [422, 403])
def test_a_publishing_job_that_is_invalid_fails_its_step_and_one_beyond_a_quota_is_tried_again(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = ApiException(status=code)
    reason.body = "spec.template: Invalid value"
    refused = DagsterK8sUnrecoverableAPIError(  # type: ignore[no-untyped-call]
        "-", k8s_api_exception=reason, original_exc_info=(type(reason), reason, None)
    )
    client = FakeClient({"sdg-fill-a": status("Complete")})
    watch, failed = Watch(client, DividedSteps), list[PermanentError]()
    handler = cast("Any", watch.handler)

    def create(**_: object) -> None:
        raise refused

    context = watch.context
    context.dagster_run.job_name = "job"
    context.instance.run_launcher = None
    context.execute_step_args.get_command_env = list
    context.execute_step_args.get_command_args = lambda **_: []
    monkeypatch.setattr(step_handler, "construct_dagster_k8s_job", lambda *_, **__: None)
    handler._api_client.create_namespaced_job_with_retries = create
    handler._publisher_context = handler._get_container_context = lambda context: SimpleNamespace(
        namespace="sdg",
        run_k8s_config=None,
        get_k8s_job_config=lambda *_: SimpleNamespace(job_image="i:1"),
    )
    handler._executor_image, handler._free_gpus = None, lambda context: None
    handler._fail = lambda context, error: failed.append(error)
    handler.check_step_health(context)
    if code == 422:
        assert handler.check_step_health(context).is_healthy  # the loop reads of the failure
        assert "refuses Job dagster-step-a: spec.template: Invalid value" in str(failed[0])
    else:
        with pytest.raises(DagsterK8sUnrecoverableAPIError):
            handler.check_step_health(context)
