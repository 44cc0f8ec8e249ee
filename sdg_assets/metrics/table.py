"""All metrics: names, labels and help. The dashboard in `k8s/` may name these and no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sdg_assets.teacher.conversation import Usage


@dataclass(frozen=True)
class Metric:
    """A row of the table of metrics."""

    stem: str
    """The name without the `_total` of counters."""
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    help: str
    of_usage: Callable[[Usage], float] | None = field(default=None, repr=False)
    """Reads it from the usage of a role; None: it comes from elsewhere."""

    @property
    def name(self) -> str:
        """The name in Prometheus."""
        return f"{self.stem}_total" if self.kind == "counter" else self.stem


_STAGE = ("task", "stage")
_ROLE = (*_STAGE, "role", "model")
_SUBTASK = (*_STAGE, "subtask")

COMPLETIONS = Metric(
    "sdg_completions", "counter", (*_ROLE, "outcome"), "Completions, by how they ended."
)
UNDER_WAY = Metric(
    "sdg_requests_under_way", "gauge", _ROLE, "Requests that the teacher has not answered yet."
)
WAITING = Metric(
    "sdg_requests_waiting",
    "gauge",
    ("model",),
    "Requests under way that the teacher has not begun, where it can tell.",
)
CAPACITY = Metric(
    "sdg_request_capacity", "gauge", ("model",), "Requests worth having under way at the teacher."
)
DONE = Metric("sdg_partition_done", "gauge", _SUBTASK, "Results of a partition so far.")
PLANNED = Metric("sdg_partition_planned", "gauge", _SUBTASK, "Results that a partition will have.")
FILLED = Metric(
    "sdg_partitions_filled",
    "counter",
    (*_STAGE, "outcome"),
    "Partitions whose answers are complete, unfinished (budget), or whose filling failed.",
)
PUBLISHED = Metric("sdg_partitions_published", "counter", _STAGE, "Partitions published.")
ROWS = Metric(
    "sdg_rows",
    "counter",
    (*_STAGE, "verdict", "gate"),
    "Rows that a stage has made: accepted, or refused by a gate.",
)
STEP = Metric("sdg_step_info", "gauge", ("run", "step", "index"), "1 while the step runs.")

METRICS = (
    COMPLETIONS,
    Metric(
        "sdg_generated_tokens", "counter", _ROLE, "Tokens of completions, thoughts included.",
        lambda usage: usage.output_tokens,
    ),
    Metric(
        "sdg_thought_tokens", "counter", _ROLE, "Tokens of thoughts, part of the generated ones.",
        lambda usage: usage.reasoning_tokens,
    ),
    Metric(
        "sdg_prompt_tokens", "counter", _ROLE, "Tokens of prompts.",
        lambda usage: usage.prompt_tokens,
    ),
    Metric(
        "sdg_cached_prompt_tokens", "counter", _ROLE,
        "Tokens of prompts that were in the engine's prefix cache.",
        lambda usage: usage.cached_tokens,
    ),
    Metric(
        "sdg_reused_completions", "counter", _ROLE, "Completions that were in the log already.",
        lambda usage: usage.reused,
    ),
    Metric(
        "sdg_reused_tokens", "counter", _ROLE, "Tokens of completions that were in the log.",
        lambda usage: usage.reused_tokens,
    ),
    UNDER_WAY, WAITING, CAPACITY, DONE, PLANNED, FILLED, PUBLISHED, ROWS, STEP,
)  # fmt: skip
