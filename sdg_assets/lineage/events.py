"""The events of a step: it starts, and then it completes, fails or is ended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    RunFacet,
    documentation_job,
    error_message_run,
    job_type_job,
    parent_run,
    processing_engine_run,
    set_producer,
)

from sdg_assets.addresses import masked
from sdg_assets.lineage.producer import PRODUCER

MESSAGE = 4000
"""Most characters of an error."""
set_producer(PRODUCER)  # of the facets


@dataclass(frozen=True)
class TracedStep:
    """A step as a job of OpenLineage.

    Attributes:
        namespace: The namespace of its jobs.
        name: `<task>.<stage>`: the same in all runs.
        description: What the step does.
        run_id: Id of Dagster's run, a UUID.
        run_job: The name of the job that Dagster's run carries out.
        attempt: 0 for the first try, 1 for its first retry.
        engine: Version of Dagster.
    """

    namespace: str
    name: str
    description: str
    run_id: str
    run_job: str
    attempt: int
    engine: str

    @property
    def id(self) -> str:
        """The id of this try: each is a run of its own."""
        return str(uuid.uuid5(uuid.UUID(self.run_id), f"{self.name}/{self.attempt}"))

    def event(
        self,
        state: RunState,
        inputs: Sequence[InputDataset],
        outputs: Sequence[OutputDataset] = (),
        at: datetime | None = None,
        error: str = "",
    ) -> RunEvent:
        """An event.

        Args:
            state: What happened.
            inputs: What the step reads.
            outputs: What it has published.
            at: When it happened; None: now.
            error: Why it failed.
        """
        parent = parent_run.ParentRunFacet(
            parent_run.Run(self.run_id), parent_run.Job(self.namespace, self.run_job)
        )
        facets: dict[str, RunFacet] = {
            "parent": parent,
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
                self.engine, "Dagster"
            ),
        }
        if error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                masked(error)[:MESSAGE], "PYTHON"
            )
        kind = job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", "STEP")
        about = documentation_job.DocumentationJobFacet(self.description)
        return RunEvent(
            eventType=state,
            eventTime=(at or datetime.now(UTC)).isoformat(),
            run=Run(self.id, facets),
            job=Job(self.namespace, self.name, {"jobType": kind, "documentation": about}),
            inputs=list(inputs),
            outputs=list(outputs),
            producer=PRODUCER,
        )
