"""A step that is interrupted: it ends at once, and the event log says what ended it.

Dagster raises in the step when a signal comes, and then asks the step's retry policy. A run that
was interrupted in its own process therefore began the step once more after ten seconds, and its log
said "RetryRequested". Here an interrupted run ends; only a step in a process of its own (another
executor's) is begun again, for there the signal is an eviction: whoever ended the run has the
executor start nothing any more.
"""

import signal
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason

from sdg_assets import stopping

if TYPE_CHECKING:
    from dagster._core.execution.context.system import StepExecutionContext

INTERRUPTS = (KeyboardInterrupt, dg.DagsterExecutionInterruptedError, stopping.StoppedError)
GOES_ON = (
    "what was finished is kept, and every answer so far is in the completion log; run it again to "
    "go on from there"
)


class EndedError(dg.DagsterError, dg.DagsterExecutionInterruptedError):
    """A run was ended from outside.

    An interrupt for the executor, which starts no other step, and an error of Dagster's own for the
    step, which is not retried.
    """


def prepare_for_the_end(context: dg.AssetExecutionContext) -> None:
    """Watches for signals, and has the event log say so if the process has to be ended by force."""
    step = context.get_step_execution_context()
    instance, run_id, step_key = context.instance, context.run.run_id, step.step.key
    in_run_process = _in_run_process(step)

    def last_words(reason: str) -> bool:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished or (not in_run_process and _is_over(context)):
            return False
        text = (
            f"{step_key}: ended by {reason}, in the middle of a call that did not return; {GOES_ON}"
        )
        instance.report_engine_event(text, run, step_key=step_key)
        if in_run_process and run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, text)
        elif in_run_process:
            unexpected = RunFailureReason.UNEXPECTED_TERMINATION
            instance.report_run_failed(run, text, JobFailureData(None, unexpected))
        return True

    stopping.prepare(last_words)


def ended(context: dg.AssetExecutionContext, partition: str) -> dg.Failure | EndedError:
    """What an interrupted step raises.

    Args:
        context: The step's context.
        partition: The partition that was being made; empty for an unpartitioned asset.
    """
    received = stopping.received() or signal.SIGINT
    reason = stopping.REASONS[received]
    in_run_process = _in_run_process(context.get_step_execution_context())
    if received is signal.SIGINT and not in_run_process:
        reason = "the end of its run (SIGINT, which executors send their steps)"
    run = context.instance.get_run_by_id(context.run.run_id)
    if run and run.status is dg.DagsterRunStatus.CANCELING:
        reason = "a termination in Dagster"
    text = f"ended by {reason}{f' while at {partition}' if partition else ''}; {GOES_ON}"
    context.log.error(text)
    if in_run_process:
        return EndedError(text)
    return dg.Failure(text)


def _in_run_process(step: "StepExecutionContext") -> bool:
    """Whether the step runs in the run's own process, which also does its retries."""
    return not step.retry_mode.deferred


def _is_over(context: dg.AssetExecutionContext) -> bool:
    """Whether the step has reported its end."""
    statistics = context.instance.get_run_step_stats(
        context.run.run_id, [context.get_step_execution_context().step.key]
    )
    return any(found.end_time is not None for found in statistics)
