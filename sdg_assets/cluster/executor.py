"""`k8s_job_executor` with pods sized per run, clear failure messages, no steps after a run ends.

Why steps must be ended here: `DagsterInstance.run_will_resume` (1.13.27) counts attempts and
ignores the run's status. With `max_resume_run_attempts` set, the worker of a terminated run
therefore said "not forwarding to steps because run will be resumed" and left its steps: a pod kept
writing, with its GPU and the lock of its completion log, and the next run failed on that lock. See
also `ended_runs`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import dagster as dg
from dagster_k8s import k8s_job_executor

from sdg_assets.cluster.divided_steps import DividedSteps, ToFill
from sdg_assets.cluster.settings import cluster_settings
from sdg_assets.settings import settings


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


def _executor(to_fill: ToFill, init_context: dg.InitExecutorContext) -> dg.Executor:
    cluster = cluster_settings()
    executor: Any = _create_dagster_executor(init_context)
    executor._step_handler = DividedSteps(executor._step_handler, settings(), cluster, to_fill)
    executor._check_step_health_interval_seconds = cluster.health_seconds
    instance = init_context.instance
    # The executor calls it on SIGTERM.
    vars(instance)["run_will_resume"] = partial(will_resume, instance)
    return cast("dg.Executor", executor)


_create_dagster_executor = cast(
    "Callable[[dg.InitExecutorContext], dg.Executor]", k8s_job_executor.executor_creation_fn
)


def k8s_executor(to_fill: ToFill) -> dg.ExecutorDefinition:
    """The executor that starts a Job for each step.

    Args:
        to_fill: Says which partitions a divided step fills.
    """
    return dg.ExecutorDefinition(
        name="k8s",
        config_schema=cast("Any", k8s_job_executor.config_schema),
        requirements=dg.multiple_process_executor_requirements(),
        executor_creation_fn=partial(_executor, to_fill),
        description="Dagster's executor for Kubernetes Jobs, with the same run config. "
        "`per_step_k8s_config` of a run overrides all other settings of its pods.",
    )
