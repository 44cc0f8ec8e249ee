"""A step that is interrupted: it ends at once, and the event log says what ended it.

Dagster raises in the step when a signal comes, and then asks the step's retry policy. A run that
was interrupted in its own process therefore began the step once more after ten seconds, and its log
said "RetryRequested". Here an interrupted run ends; only a step in a process of its own (another
executor's) is begun again, for there the signal is an eviction: whoever ended the run has the
executor start nothing any more.
"""

import signal

import dagster as dg

from sdg_assets.dagster_internals import JobFailureData, RunFailureReason
from sdg_assets.teacher import stopping

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


class StepEnd:
    """Watches for signals while a step works, and has the event log say that one ended it."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        """Watches from now on.

        Args:
            context: The step's context.
        """
        step = context.get_step_execution_context()
        self._context = context
        self._instance, self._run_id = context.instance, context.run.run_id
        self._step_key = step.step.key
        # The run's own process, which also does the step's retries.
        self._in_run_process = not step.retry_mode.deferred
        self._is_told = False
        stopping.prepare(self._last_words)

    def told(self, partition: str = "") -> dg.Failure | EndedError:
        """What an interrupted step raises.

        Args:
            partition: The partition that was being made, if the asset has any.
        """
        stopping.unwinding()
        text = (
            f"ended by {self._reason()}{f' while at {partition}' if partition else ''}; {GOES_ON}"
        )
        self._context.log.error(text)
        self._is_told = True
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
        """Tells the event log that the process is ended by force; false if its run is over."""
        run = self._instance.get_run_by_id(self._run_id)
        if run is None or run.is_finished:
            return False
        text = (
            f"{self._step_key}: ended by {reason}, in the middle of a call that did not return; "
            f"{GOES_ON}"
        )
        if not self._is_told:
            self._instance.report_engine_event(text, run, step_key=self._step_key)
        if self._in_run_process and self._is_being_canceled():
            self._instance.report_run_canceled(run, text)
        elif self._in_run_process:
            unexpected = RunFailureReason.UNEXPECTED_TERMINATION
            self._instance.report_run_failed(run, text, JobFailureData(None, unexpected))
        return True
