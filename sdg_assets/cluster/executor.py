"""`k8s_job_executor`, with pods sized by the run, failures that say what happened, and an end.

The end: `DagsterInstance.run_will_resume` (1.13.27) counts attempts and does not look at the run.
Where run workers are replaced (`max_resume_run_attempts`), the worker of a terminated run therefore
said "not forwarding to steps because run will be resumed" and left them: a pod wrote on with its
GPU and the lock of its completion log, on which the next run failed. See also `ended_runs`.

The undocumented modules of dagster-k8s (`container_context`, `executor`, `job`) are imported here
alone: its executor is public, what it does with a step is not. They go once `k8s_job_executor`
takes a step handler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster_k8s import k8s_job_executor
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import UserDefinedDagsterK8sConfig
from kubernetes.client.rest import ApiException
from urllib3.exceptions import HTTPError

from sdg_assets.cluster.diagnosis import (
    Obstacle,
    Waiting,
    what_ended,
    what_it_waits_for,
    why_it_failed,
    why_it_has_no_pod,
)
from sdg_assets.cluster.pods import ANSWERS_LABEL, any_step, stage_of_step, this_run
from sdg_assets.cluster.settings import ClusterSettings, cluster_settings
from sdg_assets.dagster_internals import (
    CheckStepHealthResult,
    EngineEventData,
    StepHandlerContext,
)
from sdg_assets.settings import Settings, settings

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Pod


def will_resume(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether another run worker takes a run over: not one that has ended, or is being ended.

    Args:
        instance: The run's.
        run_id: The run, which may have been deleted.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING:
        return False
    return type(instance).run_will_resume(instance, run_id)


def _executor(init_context: dg.InitExecutorContext) -> dg.Executor:
    chosen, cluster = settings(), cluster_settings()
    made: Any = _made_by_dagster(init_context)
    made._step_handler = StageHandler(made._step_handler, chosen, cluster)
    made._check_step_health_interval_seconds = cluster.health_seconds
    instance = init_context.instance
    vars(instance)["run_will_resume"] = partial(will_resume, instance)  # it asks on SIGTERM
    return cast("dg.Executor", made)


_made_by_dagster = cast(
    "Callable[[dg.InitExecutorContext], dg.Executor]", k8s_job_executor.executor_creation_fn
)
k8s_executor = dg.ExecutorDefinition(
    name="k8s",
    config_schema=cast("Any", k8s_job_executor.config_schema),
    requirements=dg.multiple_process_executor_requirements(),
    executor_creation_fn=_executor,
    description="Dagster's own executor of Kubernetes Jobs, with the same run config. "
    "`per_step_k8s_config` of a run has the last word on its pods.",
)


class StageHandler(K8sStepHandler):
    """Starts a stage's pod with this run's size, and looks at the pod where only the Job is."""

    def __init__(self, given: K8sStepHandler, chosen: Settings, cluster: ClusterSettings) -> None:
        """Takes over what Dagster's handler was configured with.

        Args:
            given: Dagster's handler.
            chosen: Who plays which role.
            cluster: What the cluster is told.
        """
        vars(self).update(vars(given))
        self._settings = chosen
        self._cluster = cluster
        self._last_seen: dict[str, str] = {}
        self._told: set[tuple[str, Obstacle]] = set()
        self._explained: set[str] = set()

    def _get_container_context(self, step_handler_context: StepHandlerContext) -> Any:  # noqa: ANN401 – Dagster's, untyped
        base = _as_context(any_step(self._settings, self._cluster))
        # What a step's tags and its run's config say comes later, and wins.
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
        ops = cast("dict[str, Any]", run.run_config.get("ops", {}))
        configured = ops.get(op, {}).get("config", {})
        labels = context.run_k8s_config.pod_template_spec_metadata.get("labels", {})
        changed = this_run(
            stage_of_step(op),
            run.tags,
            configured,
            self._settings,
            self._cluster,
            labels.get(ANSWERS_LABEL),
        )
        return context.merge(_as_context(changed))

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Starts a step's Job; before a retry, says what ended the try before it."""
        self._explain_retry(step_handler_context)
        yield from super().launch_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Whether the step's pod runs, or may yet; if not, why not and what to do about it."""
        health = super().check_step_health(step_handler_context)
        job = self._get_k8s_step_job_name(step_handler_context)
        namespace = self._get_container_context(step_handler_context).namespace
        pods = self._api_client.get_pods_in_job(job, namespace)
        if not health.is_healthy:
            events = self._pod_events(job, namespace)
            reason = why_it_failed(job, pods, events, self._last_seen.get(job))
            self._explained.add(job)
            return CheckStepHealthResult.unhealthy(reason=reason)
        for pod in pods:
            if pod.spec.node_name:
                self._last_seen[job] = f"{pod.metadata.name} on {pod.spec.node_name}"
        waiting = self._waiting(job, namespace, pods)
        if waiting is None:
            return health
        return self._patiently(waiting, step_handler_context, job, namespace)

    def _waiting(self, job: str, namespace: str, pods: list[V1Pod]) -> Waiting | None:
        if not pods:
            if job in self._last_seen:  # it had one, which is gone: the Job fails soon
                return None
            refusals = self._events(namespace, kind="Job", name=job)
            body = self._api_client.batch_api.read_namespaced_job_status(job, namespace)
            return why_it_has_no_pod(body, refusals)
        pending = any(pod.status.phase == "Pending" for pod in pods)
        return what_it_waits_for(pods, self._pod_events(job, namespace)) if pending else None

    def _patiently(
        self, waiting: Waiting, context: StepHandlerContext, job: str, namespace: str
    ) -> CheckStepHealthResult:
        for_room = waiting.obstacle in (Obstacle.ROOM, Obstacle.REFUSED)
        limit = self._cluster.schedule_seconds if for_room else self._cluster.start_seconds
        if waiting.seconds >= limit:
            # Or it would start after all, beside the retry.
            self._api_client.delete_job(job, namespace)
            self._explained.add(job)
            return CheckStepHealthResult.unhealthy(
                reason=f"{waiting.text}. Given up after {waiting.seconds:.0f} s"
            )
        often_passes = waiting.obstacle is Obstacle.ROOM
        patience = self._cluster.unschedulable_seconds if often_passes else 0.0
        # Once a pod: ErrImagePull and ImagePullBackOff alternate, and the texts count.
        said = (waiting.pod, waiting.obstacle)
        if waiting.seconds >= patience and said not in self._told:
            self._told.add(said)
            self._say(context, f"Waiting, at most {limit:.0f} s: {waiting.text}")
        return CheckStepHealthResult.healthy()

    def _explain_retry(self, context: StepHandlerContext) -> None:
        """A pod that gets SIGTERM says no more of its end than "RetryRequested"."""
        known, key = context.execute_step_args.known_state, self._get_step_key(context)
        attempts = known.get_retry_state().get_attempt_count(key) if known else 0
        if not attempts:
            return
        job = self._get_k8s_step_job_name(context).removesuffix(f"-{attempts}")
        job += f"-{attempts - 1}" if attempts > 1 else ""
        if job in self._explained:
            return
        namespace = self._get_container_context(context).namespace
        try:
            pods = self._api_client.get_pods_in_job(job, namespace)
            events = self._pod_events(job, namespace)
        except (ApiException, HTTPError) as error:  # which must not keep the retry from starting
            self._say(context, f"What ended the last try is unknown: Kubernetes says {error}")
            return
        if ending := what_ended(job, pods, events, self._last_seen.get(job)):
            self._say(context, f"The last try was ended from outside: {ending}")

    def _say(self, context: StepHandlerContext, message: str) -> None:
        step = context.get_step_context(self._get_step_key(context))
        dg.DagsterEvent.engine_event(step, message, EngineEventData())

    def _pod_events(self, job: str, namespace: str) -> list[CoreV1Event]:
        """What was reported of the Job's pods, those that are gone included."""
        # Not those of a retry, whose Job is called `<job>-1`.
        events = self._events(namespace, kind="Pod")
        return [e for e in events if e.involved_object.name.rpartition("-")[0] == job]

    def _events(self, namespace: str, **involved: str) -> list[CoreV1Event]:
        selector = ",".join(f"involvedObject.{field}={value}" for field, value in involved.items())
        found = self._api_client.core_api.list_namespaced_event(namespace, field_selector=selector)
        return list(found.items)


def _as_context(config: Mapping[str, Any]) -> K8sContainerContext:
    parsed = UserDefinedDagsterK8sConfig.from_dict(config)  # type: ignore[no-untyped-call]
    return K8sContainerContext(run_k8s_config=parsed)
