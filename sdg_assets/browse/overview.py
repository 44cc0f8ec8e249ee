"""The state of every subtask: rows, yield, stale, incomplete, failed, teacher, last made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sdg_assets.browse.library import Subtask
from sdg_assets.records import Stage
from sdg_assets.stages.stage import ROW_STAGES, STAGES

Sort = Literal["task", "read", "written", "verified", "accepted", "share", "stale", "incomplete",
               "failed", "teacher", "made"]  # fmt: skip


@dataclass(frozen=True)
class State:
    """A line of the overview."""

    task: str
    subtask: str
    stages: tuple[tuple[str, int, int], ...]
    """(stage, accepted rows, refused rows) of each published stage, in order."""
    verified: int
    accepted: int
    """Rows of `filtered`."""
    drafts: int
    """Rows that `generated` accepted or refused."""
    stale: tuple[str, ...]
    """Stages that were published before one of their inputs."""
    incomplete: tuple[str, ...]
    """Stages that a budget of tokens ended before all their rows were made."""
    failed: tuple[str, ...]
    """Stages whose last attempt was not published, because its checks failed."""
    teacher: str
    made: datetime
    """When a stage was last published."""

    @property
    def read(self) -> int:
        """Accepted rows of the first stage."""
        return next((rows for stage, rows, _ in self.stages if stage == Stage.SEEDS), 0)

    @property
    def written(self) -> int:
        """Accepted rows of `generated`."""
        return next((rows for stage, rows, _ in self.stages if stage == Stage.GENERATED), 0)

    @property
    def share(self) -> float | None:
        """The yield: rows of `filtered` by drafts of the writer. None before there are any."""
        return self.accepted / self.drafts if self.drafts else None

    def key(self, column: str) -> tuple[bool, object]:
        """What the overview is sorted by; lines without a value come first."""
        if column == "task":
            return True, (self.task, self.subtask)
        value = getattr(self, column)
        if column in ("stale", "incomplete", "failed"):
            return True, len(value)
        return value is not None, value if value is not None else 0


def state_of(subtask: Subtask) -> State:
    """The state of a subtask, from its manifests."""
    published = {
        stage: manifest
        for stage in ROW_STAGES
        if (manifest := subtask.manifests.get(stage.value)) is not None
    }
    generated, filtered = published.get(Stage.GENERATED), published.get(Stage.FILTERED)
    enriched = published.get(Stage.ENRICHED)
    stale = [
        stage.value
        for stage, manifest in published.items()
        if any(
            above in published and published[above].written_at > manifest.written_at
            for above in STAGES[stage].inputs
        )
    ]
    return State(
        task=subtask.task,
        subtask=subtask.name,
        stages=tuple(
            (stage.value, manifest.rows, sum(manifest.rejected.values()))
            for stage, manifest in published.items()
        ),
        verified=int(enriched.info.get("verified", 0)) if enriched else 0,
        accepted=filtered.rows if filtered else 0,
        drafts=generated.rows + sum(generated.rejected.values()) if generated else 0,
        stale=tuple(stale),
        incomplete=tuple(
            stage.value
            for stage, manifest in published.items()
            if manifest.info.get("usage", {}).get("unfinished")
        ),
        failed=tuple(subtask.failed),
        teacher=subtask.teacher,
        made=max(manifest.written_at for manifest in published.values()),
    )


def sorted_states(subtasks: Iterable[Subtask], column: Sort, *, down: bool) -> list[State]:
    """The states of subtasks by a column; equal ones by name."""
    states = sorted(map(state_of, subtasks), key=lambda state: (state.task, state.subtask))
    return sorted(states, key=lambda state: state.key(column), reverse=down)
