"""How a step becomes a Job: its pod's size, its health, and clear messages if it fails.

Only this module imports the undocumented modules of dagster-k8s (`client`, `container_context`,
`executor`, `job`): its executor is public, its handling of a step is not. Remove them once
`k8s_job_executor` takes a step handler.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster_k8s.client import DagsterK8sAPIRetryLimitExceeded, DagsterK8sUnrecoverableAPIError
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes.client.rest import ApiException
from urllib3.exceptions import HTTPError

from sdg_assets.cluster.diagnosis import (
    Obstacle,
    Waiting,
    complete_text,
    external_cause,
    failure_reason,
    has_condition,
    pod_refusal,
    preempted_text,
    queued_text,
    start_obstacle,
)
from sdg_assets.cluster.pods import (
    ANSWERS_LABEL,
    publisher_pod,
    run_overrides,
    stage_of_step,
    step_defaults,
)
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.cluster.waiting import events_about, is_worth_a_message, longest_wait
from sdg_assets.dagster_internals import (
    CheckStepHealthResult,
    EngineEventData,
    StepHandlerContext,
)
from sdg_assets.errors import PermanentError
from sdg_assets.records import AnswerKind
from sdg_assets.settings import Settings

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1JobStatus, V1Pod


INVALID = {400, 422}
"""HTTP statuses of an object that the API server would refuse again."""
API_ERRORS = (
    ApiException,
    HTTPError,
    DagsterK8sAPIRetryLimitExceeded,
    DagsterK8sUnrecoverableAPIError,
)
"""What a call of Kubernetes raises, directly and through Dagster's client, which calls again."""


class StageHandler(K8sStepHandler):
    """Starts a stage's pod in the size of this run, and checks pods where Dagster checks Jobs."""

    def __init__(
        self, dagster_handler: K8sStepHandler, pipeline: Settings, cluster: ClusterSettings
    ) -> None:
        """Copies the configuration of Dagster's handler.

        Args:
            dagster_handler: Dagster's handler.
            pipeline: The pipeline's settings.
            cluster: The cluster's settings.
        """
        vars(self).update(vars(dagster_handler))
        self._settings = pipeline
        self._cluster = cluster
        self._last_seen: dict[str, str] = {}  # Job → pod and node
        self._logged: set[tuple[str, Obstacle]] = set()
        self._known: set[str] = set()  # Jobs that this worker has launched or looked at
        self._queued: set[str] = set()  # Jobs that are logged to wait for quota
        self._begun: set[str] = set()  # Jobs whose pod has run
        self._ended: set[str] = set()  # Jobs without a pod whose step did not say that it ended
        self._explained: set[str] = set()  # Jobs whose failure is logged

    def _get_container_context(self, step_handler_context: StepHandlerContext) -> Any:  # noqa: ANN401 – Dagster's, untyped
        base = as_context(step_defaults(self._settings, self._cluster))
        # Merged first, so that the step's tags and the run's config override it.
        executor_config = self._executor_container_context
        self._executor_container_context = base.merge(executor_config)
        try:
            context = super()._get_container_context(step_handler_context)
        finally:
            self._executor_container_context = executor_config
        run = step_handler_context.dagster_run
        step = step_handler_context.get_step_context(self._get_step_key(step_handler_context)).step
        op = step.op_name
        if op in self._per_step_k8s_config:
            return context
        labels = context.run_k8s_config.pod_template_spec_metadata.get("labels", {})
        overrides = run_overrides(
            stage_of_step(op),
            run.tags,
            op_config(run, op),
            self._settings,
            self._cluster,
            labels.get(ANSWERS_LABEL),
        )
        return context.merge(as_context(overrides))

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Starts a step's Job. Before a retry, logs what ended the last attempt."""
        self._known.add(self._get_k8s_step_job_name(step_handler_context))
        self._explain_retry(step_handler_context)
        self._delete_last_try(step_handler_context)
        yield from super().launch_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Whether the step's pod runs or may still start; if not, the reason and what to do.

        A worker that resumes a run checks each step once before its loop. If that check fails or
        raises, Dagster launches the step again under the same Job name: where the Job exists, the
        API server answers 409, and the worker and its run end. So the first check fails only if
        nothing was ever launched; the loop's next check reports all else, and retries the step.
        """
        job = self._get_k8s_step_job_name(step_handler_context)
        if job in self._known:
            return self._health(step_handler_context)
        self._known.add(job)
        if self._was_launched(step_handler_context):
            return CheckStepHealthResult.healthy()
        return CheckStepHealthResult.unhealthy(reason=f"Job {job} was not created")

    def _was_launched(self, context: StepHandlerContext) -> bool:
        """Whether another worker has launched this attempt of the step; true if nobody knows."""
        try:
            if self._has_started(context):
                self._begun.add(self._get_k8s_step_job_name(context))
                return True
            return self._has_job(context)
        except API_ERRORS as error:
            self._log_event(context, f"Whether the step still runs is unknown: {error}")
            return True

    def _has_started(self, context: StepHandlerContext) -> bool:
        """Whether the step's process has begun this attempt."""
        key = self._get_step_key(context)
        started = {
            stats.step_key: stats.attempts or 0
            for stats in context.instance.get_run_step_stats(context.dagster_run.run_id, [key])
        }
        return started.get(key, 0) > self._attempts_before(context)

    def _has_job(self, context: StepHandlerContext) -> bool:
        job = self._get_k8s_step_job_name(context)
        namespace = self._get_container_context(context).namespace
        return self._api_client.get_job_status(job_name=job, namespace=namespace) is not None

    def _health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        job = self._get_k8s_step_job_name(step_handler_context)
        namespace = self._get_container_context(step_handler_context).namespace
        status = self._api_client.get_job_status(job_name=job, namespace=namespace)
        pods = self._api_client.get_pods_in_job(job, namespace)
        if status is None or status.failed:
            events = self._pod_events(job, namespace)
            reason = failure_reason(job, pods, events, self._last_seen.get(job))
            self._explained.add(job)
            return CheckStepHealthResult.unhealthy(reason=reason)
        if ending := self._unreported_end(job, status, pods):
            self._explained.add(job)
            self._api_client.delete_job(job, namespace)
            return CheckStepHealthResult.unhealthy(reason=ending)
        for pod in pods:
            if pod.status.phase != "Pending":
                self._begun.add(job)
            if pod.spec.node_name:
                self._last_seen[job] = f"{pod.metadata.name} on {pod.spec.node_name}"
        if has_condition(status, "Suspended") and not pods:
            self._log_queued(step_handler_context, job, namespace)
            return CheckStepHealthResult.healthy()
        waiting = self._waiting(job, namespace, pods)
        if waiting is None:
            return CheckStepHealthResult.healthy()
        return self._health_while_waiting(waiting, step_handler_context, job, namespace)

    def _unreported_end(self, job: str, status: V1JobStatus, pods: list[V1Pod]) -> str | None:
        """The end of a Job that does not count as failed, though its step has not ended.

        Kueue suspends a Job that it preempts. Kubernetes stops to track its pod before it deletes
        it, so the Job counts no failure. If the process was killed before it reported its end, the
        admitted Job starts the same attempt again; that exits with success at once, because the
        step has begun, and the run waited for ever for a step of a complete Job.
        """
        is_complete = has_condition(status, "Complete")
        is_preempted = has_condition(status, "Suspended") and job in self._begun and not pods
        if not is_complete and not is_preempted:
            self._ended.discard(job)
            return None
        if job not in self._ended:
            # Its report may be in the event log already: the loop reads it before the next check.
            self._ended.add(job)
            return None
        return complete_text(job) if is_complete else preempted_text(job)

    def _publisher_context(self, context: StepHandlerContext) -> K8sContainerContext:
        op = self._get_step_key(context)
        stage = stage_of_step(op)
        assert stage
        labels = self._get_container_context(context).run_k8s_config.pod_template_spec_metadata
        kind = labels.get("labels", {}).get(ANSWERS_LABEL)
        pod = publisher_pod(
            stage,
            context.dagster_run.tags,
            self._settings,
            self._cluster,
            AnswerKind(kind) if kind else None,
        )
        launcher = cast("Any", context.instance.run_launcher)
        merged = K8sContainerContext.create_for_run(
            context.dagster_run, launcher, include_run_tags=False
        )
        merged = merged.merge(as_context(step_defaults(self._settings, self._cluster)))
        merged = merged.merge(self._executor_container_context).merge(as_context(pod))
        own = without_resource(self._per_step_k8s_config.get(op, {}), self._cluster.gpu_resource)
        return merged.merge(as_context(own))

    def _create_job(
        self,
        context: StepHandlerContext,
        job: str,
        arguments: Sequence[str],
        config: K8sContainerContext,
        env: list[Mapping[str, str]],
    ) -> None:
        """Creates a Job as Dagster does for a step.

        Raises:
            PermanentError: The API server says that such a Job is invalid.
        """
        run, launcher = context.dagster_run, cast("Any", context.instance.run_launcher)
        job_config: Any = config.get_k8s_job_config(self._executor_image, launcher)
        if not job_config.job_image:
            origin = context.execute_step_args.job_origin.repository_origin
            job_config = job_config.with_image(origin.container_image)
        labels = {
            "dagster/job": run.job_name,
            "dagster/op": self._get_step_key(context),
            "dagster/run-id": run.run_id,
        }
        body = construct_dagster_k8s_job(
            job_config,
            arguments,
            job,
            config.run_k8s_config,
            pod_name=job,
            component="step_worker",
            labels=labels,
            env_vars=env,
        )
        try:
            self._api_client.create_namespaced_job_with_retries(
                body=body, namespace=config.namespace
            )
        except DagsterK8sUnrecoverableAPIError as error:
            cause = error.k8s_api_exception
            if isinstance(cause, ApiException) and cause.status in INVALID:
                raise PermanentError(f"Kubernetes refuses Job {job}: {cause.body}") from error
            raise

    def _waiting(self, job: str, namespace: str, pods: list[V1Pod]) -> Waiting | None:
        if not pods:
            if job in self._last_seen:  # its pod existed and is gone: the Job will fail soon
                return None
            events = events_about(self._api_client.core_api, namespace, kind="Job", name=job)
            body = self._api_client.batch_api.read_namespaced_job_status(job, namespace)
            return pod_refusal(body, events)
        pending = any(pod.status.phase == "Pending" for pod in pods)
        return start_obstacle(pods, self._pod_events(job, namespace)) if pending else None

    def _health_while_waiting(
        self, waiting: Waiting, context: StepHandlerContext, job: str, namespace: str
    ) -> CheckStepHealthResult:
        limit = longest_wait(waiting, self._cluster)
        if waiting.seconds >= limit:
            # Without this, the pod might still start and run at the same time as the retry.
            self._api_client.delete_job(job, namespace)
            self._explained.add(job)
            return CheckStepHealthResult.unhealthy(
                reason=f"{waiting.text}. Given up after {waiting.seconds:.0f} s"
            )
        # Log once per pod and obstacle, not once per text: ErrImagePull and ImagePullBackOff
        # alternate.
        log_key = (waiting.pod, waiting.obstacle)
        if is_worth_a_message(waiting, self._cluster) and log_key not in self._logged:
            self._logged.add(log_key)
            self._log_event(context, f"Waiting, at most {limit:.0f} s: {waiting.text}")
        return CheckStepHealthResult.healthy()

    def _log_queued(self, context: StepHandlerContext, job: str, namespace: str) -> None:
        """Logs once that Kueue has not admitted a Job: it may wait for days, which is no fault."""
        if job not in self._queued:
            self._queued.add(job)
            body = self._api_client.batch_api.read_namespaced_job_status(job, namespace)
            self._log_event(context, queued_text(body))

    def _last_try(self, context: StepHandlerContext) -> str | None:
        """The Job of the attempt before this one; None: this is the first."""
        attempts = self._attempts_before(context)
        if not attempts:
            return None
        job: str = self._get_k8s_step_job_name(context).removesuffix(f"-{attempts}")
        return f"{job}-{attempts - 1}" if attempts > 1 else job

    def _delete_last_try(self, context: StepHandlerContext) -> None:
        """Deletes the last attempt's Job if it might start once more, as a suspended one does."""
        job, namespace = self._last_try(context), self._get_container_context(context).namespace
        if job is None:
            return
        try:
            status = self._api_client.get_job_status(job_name=job, namespace=namespace)
            is_over = status is None or any(
                has_condition(status, c) for c in ("Complete", "Failed")
            )
            if not is_over:
                self._api_client.delete_job(job, namespace)
        except API_ERRORS as error:  # must not prevent the retry
            self._log_event(context, f"Job {job} of the last try was not deleted: {error}")

    def _explain_retry(self, context: StepHandlerContext) -> None:
        """Logs what ended the last attempt: after SIGTERM its pod only logs "RetryRequested"."""
        job = self._last_try(context)
        if job is None or job in self._explained:
            return
        namespace = self._get_container_context(context).namespace
        try:
            if self._api_client.get_job_status(job_name=job, namespace=namespace) is None:
                return  # it was not filled, so its own Job was never created
            pods = self._api_client.get_pods_in_job(job, namespace)
            events = self._pod_events(job, namespace)
        except API_ERRORS as error:  # must not prevent the retry
            self._log_event(context, f"What ended the last try is unknown: Kubernetes says {error}")
            return
        if cause := external_cause(job, pods, events, self._last_seen.get(job)):
            self._log_event(context, f"The last try was ended from outside: {cause}")

    def _attempts_before(self, context: StepHandlerContext) -> int:
        known = context.execute_step_args.known_state
        key = self._get_step_key(context)
        return known.get_retry_state().get_attempt_count(key) if known else 0

    def _log_event(self, context: StepHandlerContext, message: str) -> None:
        step = context.get_step_context(self._get_step_key(context))
        dg.DagsterEvent.engine_event(step, message, EngineEventData())

    def _pod_events(self, job: str, namespace: str) -> list[CoreV1Event]:
        """The events about the Job's pods, including deleted pods."""
        # The filter excludes pods of a retry, whose Job is called `<job>-1`.
        events = events_about(self._api_client.core_api, namespace, kind="Pod")
        return [e for e in events if e.involved_object.name.rpartition("-")[0] == job]


def without_resource(config: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """A pod configuration whose container asks for nothing of a resource."""
    changed = copy.deepcopy(dict(config))
    quantities = changed.get("container_config", {}).get("resources", {})
    for side in ("requests", "limits"):
        quantities.get(side, {}).pop(resource, None)
    return changed


def op_config(run: dg.DagsterRun, op: str) -> Mapping[str, Any]:
    """The run config of an op."""
    ops = cast("dict[str, Any]", run.run_config.get("ops", {}))
    return cast("dict[str, Any]", ops.get(op, {}).get("config", {}))


def as_context(config: Mapping[str, Any]) -> K8sContainerContext:
    """A pod configuration as dagster-k8s merges it."""
    parsed = UserDefinedDagsterK8sConfig.from_dict(config)  # type: ignore[no-untyped-call]
    return K8sContainerContext(run_k8s_config=parsed)
