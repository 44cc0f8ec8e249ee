"""`k8s_job_executor`, with pods sized by the run and failures that say what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepHandlerContext,
)
from dagster_k8s import k8s_job_executor
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import UserDefinedDagsterK8sConfig

from sdg_assets.cluster.diagnosis import Waiting, what_it_waits_for, why_it_failed
from sdg_assets.cluster.pods import any_step, this_run
from sdg_assets.cluster.settings import ClusterSettings, cluster_settings
from sdg_assets.settings import settings

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Pod


def _executor(init_context: dg.InitExecutorContext) -> dg.Executor:
    cluster = cluster_settings()
    made: Any = _made_by_dagster(init_context)
    made._step_handler = StageHandler(made._step_handler, cluster)
    made._check_step_health_interval_seconds = cluster.health_seconds
    return cast("dg.Executor", made)


_made_by_dagster = cast(
    "Callable[[dg.InitExecutorContext], dg.Executor]", k8s_job_executor.executor_creation_fn
)
k8s_executor = dg.ExecutorDefinition(
    name="k8s",
    config_schema=cast("Any", k8s_job_executor.config_schema),
    requirements=multiple_process_executor_requirements(),
    executor_creation_fn=_executor,
    description="Dagster's own executor of Kubernetes Jobs, with the same run config. "
    "`per_step_k8s_config` of a run has the last word on its pods.",
)


class StageHandler(K8sStepHandler):
    """Starts a stage's pod with this run's size, and looks at the pod where only the Job is."""

    def __init__(self, given: K8sStepHandler, cluster: ClusterSettings) -> None:
        """Takes over what Dagster's handler was configured with."""
        vars(self).update(vars(given))
        self._cluster = cluster
        self._last_seen: dict[str, str] = {}
        self._told: set[str] = set()

    def _get_container_context(self, step_handler_context: StepHandlerContext) -> Any:  # noqa: ANN401 – Dagster's, untyped
        base = _as_context(any_step(settings(), self._cluster))
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
        return context.merge(_as_context(this_run(op.rpartition("__")[2], run.tags, configured)))

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Whether the step's pod runs, or may yet; if not, why not and what to do about it."""
        health = super().check_step_health(step_handler_context)
        job = self._get_k8s_step_job_name(step_handler_context)
        namespace = self._get_container_context(step_handler_context).namespace
        pods = self._api_client.get_pods_in_job(job, namespace)
        if not health.is_healthy:
            events = self._events(job, namespace)
            reason = why_it_failed(job, pods, events, self._last_seen.get(job))
            return CheckStepHealthResult.unhealthy(reason=reason)
        for pod in pods:
            if pod.spec.node_name:
                self._last_seen[job] = f"{pod.metadata.name} on {pod.spec.node_name}"
        waiting = what_it_waits_for(pods, self._pending_events(job, namespace, pods))
        if waiting is None:
            return health
        return self._patiently(waiting, step_handler_context, job, namespace)

    def _patiently(
        self, waiting: Waiting, context: StepHandlerContext, job: str, namespace: str
    ) -> CheckStepHealthResult:
        limit = self._cluster.schedule_seconds if waiting.for_room else self._cluster.start_seconds
        if waiting.seconds < limit:
            if waiting.text not in self._told:
                self._told.add(waiting.text)
                step = context.get_step_context(self._get_step_key(context))
                told = f"Waiting, at most {limit:.0f} s: {waiting.text}"
                DagsterEvent.engine_event(step, told, EngineEventData())
            return CheckStepHealthResult.healthy()
        # Or it would start after all, beside the retry.
        self._api_client.delete_job(job, namespace)
        return CheckStepHealthResult.unhealthy(
            reason=f"{waiting.text}. Given up after {waiting.seconds:.0f} s"
        )

    def _pending_events(self, job: str, namespace: str, pods: list[V1Pod]) -> list[CoreV1Event]:
        pending = any(pod.status.phase == "Pending" for pod in pods)
        return self._events(job, namespace) if pending else []

    def _events(self, job: str, namespace: str) -> list[CoreV1Event]:
        """What was reported of the Job's pods, those that are gone included."""
        found = self._api_client.core_api.list_namespaced_event(
            namespace, field_selector="involvedObject.kind=Pod"
        )
        # Not those of a retry, whose Job is called `<job>-1`.
        return [e for e in found.items if e.involved_object.name.rpartition("-")[0] == job]


def _as_context(config: Mapping[str, Any]) -> K8sContainerContext:
    parsed = UserDefinedDagsterK8sConfig.from_dict(config)  # type: ignore[no-untyped-call]
    return K8sContainerContext(run_k8s_config=parsed)
