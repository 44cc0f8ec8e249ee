"""The part of a teacher that computes: takes prompts as a stream, and returns finished outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

from sdg_assets.teacher.thought_parser import Preparation

QUEUED = 1.25
"""Requests under way for each that the engine computes: the others wait in its queue, so that a
finished one is replaced at once."""
FIRST_GUESS = 1024
"""Tokens of a request, prompt and answer, as long as none is finished."""
GUESS_WEIGHT = 16
"""Finished requests that the guess counts as."""


@dataclass(frozen=True)
class Room:
    """What an engine can hold, over all its replicas."""

    sequences: int
    """Requests that it computes together at most (`max_num_seqs`)."""
    tokens: int
    """Tokens that fit into its KV cache."""

    def requests(self, tokens_a_request: float) -> int:
        """The requests that are worth having under way, if each needs so many tokens."""
        computed = min(self.sequences, self.tokens / max(tokens_a_request, 1.0))
        return max(1, ceil(computed * QUEUED))


def room_of(config: Any) -> Room:  # noqa: ANN401 – vllm.config.VllmConfig
    """The room of a started engine, from its configuration."""
    cache, replicas = config.cache_config, config.parallel_config.data_parallel_size
    # vLLM adds up the blocks of all replicas, and counts the tokens of one. Where layers differ in
    # their caches, only the tokens are right.
    tokens = replicas * (getattr(cache, "kv_cache_size_tokens", None) or 0)
    return Room(
        config.scheduler_config.max_num_seqs * replicas,
        tokens or cache.num_gpu_blocks * cache.block_size,
    )


def ends_thoughts(config: Any) -> bool:  # noqa: ANN401 – vllm.config.VllmConfig
    """Whether a started engine can end a thought at its budget.

    vLLM must know the tags of the card's parser. It does not for gpt-oss, for example, and refuses
    a request with a budget then.
    """
    reasoning = getattr(config, "reasoning_config", None)
    return bool(reasoning and reasoning.enabled)


@dataclass(frozen=True)
class Output:
    """A finished request of the engine."""

    request_id: str
    result: Any
    """vLLM's `RequestOutput`, or the exception that ended the request."""


class Core(Protocol):
    """A started engine."""

    room: Room
    in_process: bool
    """Whether it computes in this process."""
    ends_thoughts: bool
    """Whether it can end a thought at its budget."""
    steps: int
    """Steps that it has computed in this process."""
    step_seconds: float
    """Their CPU seconds."""

    def add(
        self,
        request_id: str,
        prompt: Mapping[str, Any],
        parameters: Any,  # noqa: ANN401 – vLLM's
        prepared: Preparation | None = None,
    ) -> None:
        """Hands a prompt and its `SamplingParams` to the engine; returns at once."""
        ...

    def finished(self, *, wait: bool) -> list[Output]:
        """Takes finished outputs, each once.

        Args:
            wait: Whether to let the engine work for a moment (a step, or at most a second).

        Raises:
            Exception: The engine failed with all its requests.
        """
        ...

    @property
    def has_unfinished(self) -> bool:
        """Whether an output is still to come."""
        ...

    def generate(self, prompts: list[Any], parameters: list[Any]) -> list[Any]:
        """Completes a list of prompts and nothing else: the engine's own speed, for comparison."""
        ...

    def forget(self) -> None:
        """Empties the prefix cache."""
        ...

    def stop(self) -> None:
        """Ends the engine and frees its memory."""
        ...
