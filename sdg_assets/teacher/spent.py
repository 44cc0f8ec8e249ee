"""What a teacher was asked in one role: counts of requests and tokens, and the time of GPUs."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdg_assets.teacher.requests import UNANSWERED, Completion


@dataclass
class Spent:
    """Requests, their tokens and the time of GPUs. One without an answer cost nothing."""

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    gpu_seconds: float | None = 0.0
    """None: unknown for at least one of the requests."""

    def add(self, completion: Completion) -> None:
        """Counts a completion."""
        self.requests += 1
        if completion.finish_reason in UNANSWERED:
            return
        self.prompt_tokens += completion.prompt_tokens
        self.output_tokens += completion.output_tokens
        self._add_gpu_seconds(completion.gpu_seconds)

    def merge(self, other: Spent) -> None:
        """Adds other requests."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.output_tokens += other.output_tokens
        self._add_gpu_seconds(other.gpu_seconds)

    def _add_gpu_seconds(self, seconds: float | None) -> None:
        unknown = self.gpu_seconds is None or seconds is None
        self.gpu_seconds = None if unknown else (self.gpu_seconds or 0) + (seconds or 0)


@dataclass
class RoleUsage:
    """What one role's teacher answered."""

    model: str
    new: Spent = field(default_factory=Spent)
    """What it was asked now."""
    kept: Spent = field(default_factory=Spent)
    """What the log answered: it was paid for in an earlier run."""
