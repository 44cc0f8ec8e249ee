"""`k8s_job_executor` with pods sized per run, clear failure messages, no steps after a run ends.

Why steps must be ended here: `DagsterInstance.run_will_resume` (1.13.27) counts attempts and
ignores the run's status. With `max_resume_run_attempts` set, the worker of a terminated run
therefore said "not forwarding to steps because run will be resumed" and left its steps: a pod kept
writing, with its GPU and the lock of its completion log, and the next run failed on that lock. See
also `ended_runs`.

Only this module imports the undocumented modules of dagster-k8s (`container_context`, `executor`,
`job`): its executor is public, its handling of a step is not. Remove them once `k8s_job_executor`
takes a step handler.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster_k8s import k8s_job_executor
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from kubernetes.client.rest import ApiException
from urllib3.exceptions import HTTPError

from sdg_assets.catalog import configured_catalog
from sdg_assets.cluster.diagnosis import (
    Obstacle,
    Waiting,
    external_cause,
    failure_reason,
    pod_refusal,
    start_obstacle,
)
from sdg_assets.cluster.fill_jobs import FillJobs, GivenUpError
from sdg_assets.cluster.fill_report import VARIABLE, FillReport
from sdg_assets.cluster.indexed_jobs import fill_command, indexed_spec, subtasks_of_run
from sdg_assets.cluster.pods import (
    ANSWERS_LABEL,
    gpus_of_run,
    indexes_of_run,
    run_overrides,
    stage_of_step,
    stage_pod,
    step_defaults,
)
from sdg_assets.cluster.settings import ClusterSettings, cluster_settings
from sdg_assets.dagster_internals import (
    CheckStepHealthResult,
    EngineEventData,
    StepHandlerContext,
)
from sdg_assets.records import AnswerKind, Stage
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.stage import STAGES

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Pod


def will_resume(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether another run worker will resume a run; false for an ended or terminating run.

    Args:
        instance: The Dagster instance.
        run_id: The run, which may have been deleted.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING:
        return False
    return type(instance).run_will_resume(instance, run_id)


def _executor(init_context: dg.InitExecutorContext) -> dg.Executor:
    cluster = cluster_settings()
    executor: Any = _create_dagster_executor(init_context)
    executor._step_handler = StageHandler(executor._step_handler, settings(), cluster)
    executor._check_step_health_interval_seconds = cluster.health_seconds
    instance = init_context.instance
    # The executor calls it on SIGTERM.
    vars(instance)["run_will_resume"] = partial(will_resume, instance)
    return cast("dg.Executor", executor)


_create_dagster_executor = cast(
    "Callable[[dg.InitExecutorContext], dg.Executor]", k8s_job_executor.executor_creation_fn
)
k8s_executor = dg.ExecutorDefinition(
    name="k8s",
    config_schema=cast("Any", k8s_job_executor.config_schema),
    requirements=dg.multiple_process_executor_requirements(),
    executor_creation_fn=_executor,
    description="Dagster's executor for Kubernetes Jobs, with the same run config. "
    "`per_step_k8s_config` of a run overrides all other settings of its pods.",
)


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
        self._explained: set[str] = set()  # Jobs whose failure is logged
        self._publishing: set[str] = set()  # Jobs of steps whose partitions others have filled
        self._fill_jobs = FillJobs(self._api_client, cluster)

    def _get_container_context(self, step_handler_context: StepHandlerContext) -> Any:  # noqa: ANN401 – Dagster's, untyped
        base = _as_context(step_defaults(self._settings, self._cluster))
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
            _op_config(run, op),
            self._settings,
            self._cluster,
            labels.get(ANSWERS_LABEL),
        )
        return context.merge(_as_context(overrides))

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Starts a step's Job, or first the Indexed Job that fills its partitions.

        Before a retry, logs what ended the last attempt.
        """
        self._explain_retry(step_handler_context)
        if (of := self._indexes(step_handler_context)) > 1:
            yield from self._launch_fill(step_handler_context, of)
        else:
            yield from super().launch_step(step_handler_context)

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Deletes the Jobs of a step with all their pods."""
        if self._indexes(step_handler_context) > 1:
            namespace = self._get_container_context(step_handler_context).namespace
            self._fill_jobs.delete(self._fill_job_name(step_handler_context), namespace)
        yield from super().terminate_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Whether the step's pods run or may still start; if not, the reason and what to do."""
        if self._indexes(step_handler_context) > 1 and not self._publishes(step_handler_context):
            return self._fill_health(step_handler_context)
        health = super().check_step_health(step_handler_context)
        job = self._get_k8s_step_job_name(step_handler_context)
        namespace = self._get_container_context(step_handler_context).namespace
        pods = self._api_client.get_pods_in_job(job, namespace)
        if not health.is_healthy:
            events = self._pod_events(job, namespace)
            reason = failure_reason(job, pods, events, self._last_seen.get(job))
            self._explained.add(job)
            return CheckStepHealthResult.unhealthy(reason=reason)
        for pod in pods:
            if pod.spec.node_name:
                self._last_seen[job] = f"{pod.metadata.name} on {pod.spec.node_name}"
        waiting = self._waiting(job, namespace, pods)
        if waiting is None:
            return health
        return self._health_while_waiting(waiting, step_handler_context, job, namespace)

    def _indexes(self, context: StepHandlerContext) -> int:
        """Number of pods among which the step divides its rows."""
        op, run = self._get_step_key(context), context.dagster_run
        return indexes_of_run(stage_of_step(op), run.tags, _op_config(run, op), self._cluster)

    def _fill_job_name(self, context: StepHandlerContext) -> str:
        name: str = self._get_k8s_step_job_name(context)
        return name.replace("dagster-step-", "sdg-fill-", 1)

    def _launch_fill(self, context: StepHandlerContext, of: int) -> Iterator[dg.DagsterEvent]:
        op, run, job = (
            self._get_step_key(context),
            context.dagster_run,
            self._fill_job_name(context),
        )
        stage, task = stage_of_step(op), op.rpartition("__")[0]
        assert stage
        subtasks = subtasks_of_run(configured_catalog(self._settings), task, run.tags)
        command = fill_command(stage, task, subtasks, of, run.tags, _op_config(run, op))
        at_once = self._pods_at_once(context, stage, of)
        pods = f"{of} pods, {at_once} at a time" if at_once < of else f"{of} pods"
        # Exactly one such event for each launch: a worker that resumes the run counts them.
        yield dg.DagsterEvent.step_worker_starting(
            context.get_step_context(op),
            message=f'Filling step "{op}" in Kubernetes job {job} with {pods}.',
            metadata={"Kubernetes Job name": dg.MetadataValue.text(job)},
        )
        config = self._get_container_context(context)
        config = config.merge(_as_context(indexed_spec(of, at_once, self._cluster)))
        self._create_job(context, job, command, config, [])

    def _pods_at_once(self, context: StepHandlerContext, stage: Stage, of: int) -> int:
        """How many pods of GPUs the pool has slots for; with Kueue, its quota decides."""
        op, run = self._get_step_key(context), context.dagster_run
        gpus = gpus_of_run(op, run.tags, run.run_config, self._settings, self._cluster) // of
        pool = STAGES[stage].pool
        if not gpus or not pool or self._cluster.queue_name:
            return of
        slots = pool_slots(context.instance, pool)
        return of if slots is None else max(1, min(of, slots // gpus))

    def _publishes(self, context: StepHandlerContext) -> bool:
        """Whether the step's own Job exists: its partitions are filled."""
        job = self._get_k8s_step_job_name(context)
        if job not in self._publishing:
            namespace = self._get_container_context(context).namespace
            if self._api_client.get_job_status(job_name=job, namespace=namespace) is None:
                return False
            self._publishing.add(job)
        return True

    def _fill_health(self, context: StepHandlerContext) -> CheckStepHealthResult:
        namespace = self._get_container_context(context).namespace
        try:
            report = self._fill_jobs.check(
                self._fill_job_name(context), namespace, lambda text: self._log_event(context, text)
            )
        except GivenUpError as error:
            self._explained.add(self._get_k8s_step_job_name(context))
            return CheckStepHealthResult.unhealthy(reason=str(error))
        if report:
            self._launch_publisher(context, report)
        return CheckStepHealthResult.healthy()

    def _launch_publisher(self, context: StepHandlerContext, report: FillReport) -> None:
        """Starts the step's own Job, without GPUs: all answers that there are, are logged."""
        op, job = self._get_step_key(context), self._get_k8s_step_job_name(context)
        self._log_event(context, f'Publishing step "{op}" in Kubernetes job {job}.')
        arguments = context.execute_step_args
        env = [
            *arguments.get_command_env(),
            {"name": "DAGSTER_RUN_JOB_NAME", "value": context.dagster_run.job_name},
            {"name": "DAGSTER_RUN_STEP_KEY", "value": op},
            {"name": VARIABLE, "value": report.model_dump_json()},
        ]
        command = arguments.get_command_args(skip_serialized_namedtuple=True)
        self._create_job(context, job, command, self._publisher_context(context), env)
        self._publishing.add(job)

    def _publisher_context(self, context: StepHandlerContext) -> K8sContainerContext:
        op = self._get_step_key(context)
        stage = stage_of_step(op)
        assert stage
        labels = self._get_container_context(context).run_k8s_config.pod_template_spec_metadata
        kind = labels.get("labels", {}).get(ANSWERS_LABEL)
        pod = stage_pod(
            stage,
            self._settings,
            self._cluster,
            AnswerKind(kind) if kind else None,
            publishes=True,
        )
        launcher = cast("Any", context.instance.run_launcher)
        merged = K8sContainerContext.create_for_run(
            context.dagster_run, launcher, include_run_tags=False
        )
        merged = merged.merge(_as_context(step_defaults(self._settings, self._cluster)))
        merged = merged.merge(self._executor_container_context).merge(_as_context(pod))
        own = without_resource(self._per_step_k8s_config.get(op, {}), self._cluster.gpu_resource)
        return merged.merge(_as_context(own))

    def _create_job(
        self,
        context: StepHandlerContext,
        job: str,
        arguments: Sequence[str],
        config: K8sContainerContext,
        env: list[Mapping[str, str]],
    ) -> None:
        """Creates a Job as Dagster does for a step."""
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
        self._api_client.create_namespaced_job_with_retries(body=body, namespace=config.namespace)

    def _waiting(self, job: str, namespace: str, pods: list[V1Pod]) -> Waiting | None:
        if not pods:
            if job in self._last_seen:  # its pod existed and is gone: the Job will fail soon
                return None
            events = self._events(namespace, kind="Job", name=job)
            body = self._api_client.batch_api.read_namespaced_job_status(job, namespace)
            return pod_refusal(body, events)
        pending = any(pod.status.phase == "Pending" for pod in pods)
        return start_obstacle(pods, self._pod_events(job, namespace)) if pending else None

    def _health_while_waiting(
        self, waiting: Waiting, context: StepHandlerContext, job: str, namespace: str
    ) -> CheckStepHealthResult:
        needs_room = waiting.obstacle in (Obstacle.ROOM, Obstacle.REFUSED)
        limit = self._cluster.schedule_seconds if needs_room else self._cluster.start_seconds
        if waiting.seconds >= limit:
            # Without this, the pod might still start and run at the same time as the retry.
            self._api_client.delete_job(job, namespace)
            self._explained.add(job)
            return CheckStepHealthResult.unhealthy(
                reason=f"{waiting.text}. Given up after {waiting.seconds:.0f} s"
            )
        is_often_brief = waiting.obstacle is Obstacle.ROOM
        quiet_seconds = self._cluster.unschedulable_seconds if is_often_brief else 0.0
        # Log once per pod and obstacle, not once per text: ErrImagePull and ImagePullBackOff
        # alternate.
        log_key = (waiting.pod, waiting.obstacle)
        if waiting.seconds >= quiet_seconds and log_key not in self._logged:
            self._logged.add(log_key)
            self._log_event(context, f"Waiting, at most {limit:.0f} s: {waiting.text}")
        return CheckStepHealthResult.healthy()

    def _explain_retry(self, context: StepHandlerContext) -> None:
        """Logs what ended the last attempt: after SIGTERM its pod only logs "RetryRequested"."""
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
            if self._api_client.get_job_status(job_name=job, namespace=namespace) is None:
                return  # it was not filled, so its own Job was never created
            pods = self._api_client.get_pods_in_job(job, namespace)
            events = self._pod_events(job, namespace)
        except (ApiException, HTTPError) as error:  # must not prevent the retry
            self._log_event(context, f"What ended the last try is unknown: Kubernetes says {error}")
            return
        if cause := external_cause(job, pods, events, self._last_seen.get(job)):
            self._log_event(context, f"The last try was ended from outside: {cause}")

    def _log_event(self, context: StepHandlerContext, message: str) -> None:
        step = context.get_step_context(self._get_step_key(context))
        dg.DagsterEvent.engine_event(step, message, EngineEventData())

    def _pod_events(self, job: str, namespace: str) -> list[CoreV1Event]:
        """The events about the Job's pods, including deleted pods."""
        # The filter excludes pods of a retry, whose Job is called `<job>-1`.
        events = self._events(namespace, kind="Pod")
        return [e for e in events if e.involved_object.name.rpartition("-")[0] == job]

    def _events(self, namespace: str, **involved: str) -> list[CoreV1Event]:
        selector = ",".join(f"involvedObject.{field}={value}" for field, value in involved.items())
        events = self._api_client.core_api.list_namespaced_event(namespace, field_selector=selector)
        return list(events.items)


def pool_slots(instance: dg.DagsterInstance, pool: str) -> int | None:
    """Number of slots of a pool, used or free; None: no limit."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return None
    default = instance.get_concurrency_config().pool_config.default_pool_limit
    return storage.get_concurrency_info(pool).slot_count or default


def without_resource(config: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """A pod configuration whose container asks for nothing of a resource."""
    changed = copy.deepcopy(dict(config))
    quantities = changed.get("container_config", {}).get("resources", {})
    for side in ("requests", "limits"):
        quantities.get(side, {}).pop(resource, None)
    return changed


def _op_config(run: dg.DagsterRun, op: str) -> Mapping[str, Any]:
    """The run config of an op."""
    ops = cast("dict[str, Any]", run.run_config.get("ops", {}))
    return cast("dict[str, Any]", ops.get(op, {}).get("config", {}))


def _as_context(config: Mapping[str, Any]) -> K8sContainerContext:
    parsed = UserDefinedDagsterK8sConfig.from_dict(config)  # type: ignore[no-untyped-call]
    return K8sContainerContext(run_k8s_config=parsed)
