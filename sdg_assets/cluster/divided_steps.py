"""Steps whose rows are divided among the pods of an Indexed Job, before one pod publishes them.

A step with one index is handled as any other. All that is known about a divided step is in its two
Jobs, so that another run worker can resume it: the Indexed Job, and then the step's own Job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from sdg_assets.cluster.budget_names import budget_name
from sdg_assets.cluster.fill_jobs import FillJobs, GivenUpError
from sdg_assets.cluster.fill_report import RUN_VARIABLE, VARIABLE, FillReport
from sdg_assets.cluster.indexed_jobs import fill_command, indexed_spec
from sdg_assets.cluster.pods import gpus_of_run, indexes_of_run, stage_of_step
from sdg_assets.cluster.pool_slots import free_slots, pool_slots
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.cluster.step_handler import StageHandler, as_context, op_config
from sdg_assets.dagster_internals import (
    CheckStepHealthResult,
    SerializableErrorInfo,
    StepFailureData,
    StepHandlerContext,
)
from sdg_assets.errors import PermanentError
from sdg_assets.records import Stage
from sdg_assets.settings import Settings
from sdg_assets.stages.stage import STAGES

ToFill = Callable[[dg.DagsterInstance, dg.DagsterRun, str], list[str]]
"""Returns the subtasks of a run that a step (the last argument: its key) shall fill. Raises a
`PermanentError` if the pod that publishes them would refuse the run."""


class DividedSteps(StageHandler):
    """Fills a step's partitions with an Indexed Job, and publishes them with the step's own."""

    def __init__(
        self,
        dagster_handler: Any,  # noqa: ANN401 – untyped
        pipeline: Settings,
        cluster: ClusterSettings,
        to_fill: ToFill,
    ) -> None:
        """See `StageHandler`.

        Args:
            dagster_handler: Dagster's handler.
            pipeline: The pipeline's settings.
            cluster: The cluster's settings.
            to_fill: Says which partitions to fill.
        """
        super().__init__(dagster_handler, pipeline, cluster)
        self._to_fill = to_fill
        self._publishing: set[str] = set()  # Jobs of steps whose partitions others have filled
        self._fill_jobs = FillJobs(self._api_client, cluster)

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Starts a step's Job, or first the Indexed Job that fills its partitions."""
        if (of := self._indexes(step_handler_context)) > 1:
            self._known.add(self._get_k8s_step_job_name(step_handler_context))
            self._explain_retry(step_handler_context)
            self._delete_last_try(step_handler_context)
            try:
                yield from self._launch_fill(step_handler_context, of)
            except PermanentError as error:
                self._fail(step_handler_context, error)
        else:
            yield from super().launch_step(step_handler_context)

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[dg.DagsterEvent]:
        """Deletes the Jobs of a step with all their pods."""
        if self._indexes(step_handler_context) > 1:
            namespace = self._get_container_context(step_handler_context).namespace
            self._fill_jobs.delete(self._fill_job_name(step_handler_context), namespace)
        yield from super().terminate_step(step_handler_context)

    def _has_job(self, context: StepHandlerContext) -> bool:
        if self._indexes(context) > 1:
            job = self._fill_job_name(context)
            namespace = self._get_container_context(context).namespace
            return self._fill_jobs.exists(job, namespace) or super()._has_job(context)
        return super()._has_job(context)

    def _health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        if self._indexes(step_handler_context) > 1 and not self._publishes(step_handler_context):
            return self._fill_health(step_handler_context)
        return super()._health(step_handler_context)

    def _indexes(self, context: StepHandlerContext) -> int:
        """Number of pods among which the step divides its rows."""
        op, run = self._get_step_key(context), context.dagster_run
        return indexes_of_run(stage_of_step(op), run.tags, op_config(run, op), self._cluster)

    def _fill_job_name(self, context: StepHandlerContext) -> str:
        name: str = self._get_k8s_step_job_name(context)
        return name.replace("dagster-step-", "sdg-fill-", 1)

    def _launch_fill(self, context: StepHandlerContext, of: int) -> Iterator[dg.DagsterEvent]:
        op, run = self._get_step_key(context), context.dagster_run
        job = self._fill_job_name(context)
        stage, task = stage_of_step(op), op.rpartition("__")[0]
        assert stage
        subtasks = self._to_fill(context.instance, run, op)
        config, budget = op_config(run, op), budget_name(context.instance, run)
        command = fill_command(stage, task, subtasks, of, run.tags, config, budget)
        at_once = self._pods_at_once(context, stage, of)
        pods = f"{of} pods, {at_once} at a time" if at_once < of else f"{of} pods"
        # Exactly one such event for each launch: a worker that resumes the run counts them.
        yield dg.DagsterEvent.step_worker_starting(
            context.get_step_context(op),
            message=f'Filling step "{op}" in Kubernetes job {job} with {pods}.',
            metadata={"Kubernetes Job name": dg.MetadataValue.text(job)},
        )
        container = self._get_container_context(context)
        container = container.merge(as_context(indexed_spec(of, at_once, self._cluster)))
        self._create_job(
            context, job, command, container, [{"name": RUN_VARIABLE, "value": run.run_id}]
        )

    def _pods_at_once(self, context: StepHandlerContext, stage: Stage, of: int) -> int:
        """How many pods of GPUs the pool has slots for; with Kueue, its quota decides."""
        op, run = self._get_step_key(context), context.dagster_run
        gpus = gpus_of_run(op, run.tags, run.run_config, self._settings, self._cluster) // of
        pool = STAGES[stage].pool
        if not gpus or not pool or self._cluster.queue_name:
            return of
        slots = pool_slots(context.instance, pool)
        return of if slots is None else max(1, min(of, slots // gpus))

    def _fail(self, context: StepHandlerContext, error: PermanentError) -> None:
        """Fails a step for good before it has a pod. An error here would end the whole run."""
        problem = SerializableErrorInfo(str(error), [], type(error).__name__)
        step = context.get_step_context(self._get_step_key(context))
        data = StepFailureData(problem, None)  # type: ignore[no-untyped-call]
        dg.DagsterEvent.step_failure_event(step, data)

    def _publishes(self, context: StepHandlerContext) -> bool:
        """Whether the step's own Job exists: its partitions are filled."""
        job = self._get_k8s_step_job_name(context)
        if job not in self._publishing:
            if not super()._has_job(context):
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
            self._free_gpus(context)
            try:
                self._launch_publisher(context, report)
            except PermanentError as error:
                self._fail(context, error)
        return CheckStepHealthResult.healthy()

    def _free_gpus(self, context: StepHandlerContext) -> None:
        """Gives back the pool's slots: no pod with GPUs is left, and publishing takes a while."""
        op = self._get_step_key(context)
        stage = stage_of_step(op)
        if stage and (pool := STAGES[stage].pool):
            free_slots(context.instance, pool, context.dagster_run.run_id, op)

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
