"""What an Indexed Job could not fill: from the run worker to the pod that publishes."""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict

from sdg_assets.errors import PermanentError, SdgError, TransientError

VARIABLE = "FILL_REPORT"
"""Environment variable of the publishing pod. It is no setting: only the executor sets it."""
RUN_VARIABLE = "FILL_RUN"
"""Environment variable of the filling pods: the id of the run that they work for."""
SENTENCE = 600
"""Most characters of an index's own words in an error."""


class IndexFailure(BaseModel):
    """One index that failed for good."""

    model_config = ConfigDict(frozen=True)

    index: int
    is_permanent: bool
    """Whether it would fail again; else it was started again as often as allowed."""
    text: str
    """Its last words on stderr; empty if unknown."""

    def words_on(self, partition: str) -> str:
        """Its last words on a partition, `<task>/<subtask>`; empty if it said nothing about it."""
        prefix = f"{partition}: "
        lines = [line for line in self.text.splitlines() if line.startswith(prefix)]
        return lines[-1].removeprefix(prefix) if lines else ""


class FillReport(BaseModel):
    """How an Indexed Job ended."""

    model_config = ConfigDict(frozen=True)

    job: str
    of: int
    """Number of its indexes."""
    failures: tuple[IndexFailure, ...] = ()

    def missing(self, partition: str) -> SdgError:
        """The error of a partition with a row whose answers are missing.

        It is permanent if every index that may be the cause failed permanently.

        Args:
            partition: `<task>/<subtask>`.
        """
        if not self.failures:
            return TransientError(
                f"answers are missing, though all {self.of} indexes of Job {self.job} are done: "
                "the rows to ask about have changed meanwhile. A rerun asks for the rest"
            )
        named = [failure for failure in self.failures if failure.words_on(partition)]
        causes = named or list(self.failures)
        numbers = ", ".join(str(failure.index) for failure in causes)
        first = causes[0]
        words = first.words_on(partition) or " ".join(first.text.split()) or "it left no message"
        error = f"index {numbers} of {self.of} of Job {self.job} failed: {words[-SENTENCE:]}"
        if all(failure.is_permanent for failure in causes):
            return PermanentError(
                f"{error}. Mend this, then re-execute: only what is missing is asked for"
            )
        return TransientError(f"{error}. A rerun asks only for what is missing")


def fill_report() -> FillReport | None:
    """The report of the Indexed Job that filled this step's partitions; None: there was none."""
    text = os.environ.get(VARIABLE)
    return FillReport.model_validate_json(text) if text else None


def run_of_fill() -> str:
    """Id of the run whose partitions this process of `sdg fill` fills; empty: of none."""
    return os.environ.get(RUN_VARIABLE, "")
