"""Interrupted steps end at once, and the event log says who or what ended them.

On a signal, Dagster raises in the step and then applies the step's retry policy. A run interrupted
in its own process therefore restarted the step after ten seconds, and its log only said
"RetryRequested". Here such a run ends. A step in a separate process (multiprocess or Kubernetes
executor) may be retried: there a signal means eviction, because an executor whose run was
terminated starts no further steps.
"""

import signal

import dagster as dg

from sdg_assets.dagster_internals import JobFailureData, RunFailureReason
from sdg_assets.teacher import stopping

INTERRUPTS = (KeyboardInterrupt, dg.DagsterExecutionInterruptedError, stopping.StoppedError)
HOW_TO_CONTINUE = (
    "finished partitions are kept, and all answers so far are in the completion log; run it again "
    "to continue from there"
)


class EndedError(dg.DagsterError, dg.DagsterExecutionInterruptedError):
    """A person or a signal ended the run.

    The executor sees an interrupt and starts no other step. The step sees a Dagster error and is
    not retried.
    """


class StepEnd:
    """Watches for signals while a step runs, and writes to the event log which one ended it."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        """Starts watching.

        Args:
            context: The step's context.
        """
        step = context.get_step_execution_context()
        self._context = context
        self._instance, self._run_id = context.instance, context.run.run_id
        self._step_key = step.step.key
        # Whether the step runs in the run's own process, which also retries the step.
        self._in_run_process = not step.retry_mode.deferred
        self._is_logged = False
        stopping.prepare(self._last_words)

    def interruption(self, partition: str = "") -> dg.Failure | EndedError:
        """Logs why the step was interrupted and returns the exception that it must raise.

        Args:
            partition: The partition that was being made; empty for an asset without partitions.
        """
        stopping.unwinding()
        text = (
            f"ended by {self._reason()}{f' while making {partition}' if partition else ''}; "
            f"{HOW_TO_CONTINUE}"
        )
        self._context.log.error(text)
        self._is_logged = True
        return EndedError(text) if self._in_run_process else dg.Failure(text)

    def _reason(self) -> str:
        if self._is_being_canceled():
            return "a termination in Dagster"
        received = stopping.received() or signal.SIGINT
        if received is signal.SIGINT and not self._in_run_process:
            return "the end of its run (SIGINT, which executors send their steps)"
        return stopping.REASONS[received]

    def _is_being_canceled(self) -> bool:
        run = self._instance.get_run_by_id(self._run_id)
        return run is not None and run.status is dg.DagsterRunStatus.CANCELING

    def _last_words(self, reason: str) -> bool:
        """Writes to the event log that the process is killed; false if its run is finished."""
        run = self._instance.get_run_by_id(self._run_id)
        if run is None or run.is_finished:
            return False
        text = (
            f"{self._step_key}: ended by {reason}, during a call that did not return; "
            f"{HOW_TO_CONTINUE}"
        )
        if not self._is_logged:
            self._instance.report_engine_event(text, run, step_key=self._step_key)
        if self._in_run_process and self._is_being_canceled():
            self._instance.report_run_canceled(run, text)
        elif self._in_run_process:
            unexpected = RunFailureReason.UNEXPECTED_TERMINATION
            self._instance.report_run_failed(run, text, JobFailureData(None, unexpected))
        return True
