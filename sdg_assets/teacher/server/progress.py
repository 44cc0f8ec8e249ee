"""Detects whether a server makes progress, by its answers and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_SECONDS = 30.0
# Tokens that vLLM (and NIM, which runs it), SGLang and llama.cpp count.
_COUNTERS = (
    "vllm:generation_tokens_total", "vllm:prompt_tokens_total",
    "sglang:generation_tokens_total", "sglang:prompt_tokens_total",
    "llamacpp:tokens_predicted_total", "llamacpp:prompt_tokens_total",
)  # fmt: skip
# With their labels' brace, or a blank: vLLM has more metrics whose names begin so.
_QUEUES = tuple(
    f"{name}{end}"
    for name in ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred")
    for end in "{ "
)


class Progress:
    """The time of a server's last sign of progress. For use inside the event loop.

    Any answer is a sign of progress. An answer of thirty thousand tokens takes many minutes, so
    while no answer comes, the server's token counters are read. For a server without counters only
    answers count. One task a server looks, however many requests are under way.
    """

    def __init__(
        self,
        count: Callable[[], Awaitable[float | None]],
        patience: float,
        give_up: Callable[[], None],
    ) -> None:
        """Begins without any sign of progress.

        Args:
            count: Reads how many tokens the server has processed since it started; None if it does
                not report that.
            patience: Seconds without progress after which the server counts as frozen.
            give_up: Called once the server counts as frozen.
        """
        self._last = 0.0
        """Time of the last sign, in seconds of the event loop's clock."""
        self._count = count
        self._patience = patience
        self._pause = min(LOOK_SECONDS, patience / 4)
        self._give_up = give_up
        self._waiting = 0
        self._tokens: float | None = None
        self._watcher: asyncio.Task[None] | None = None

    def seen(self) -> None:
        """Records a sign of progress."""
        self._last = asyncio.get_running_loop().time()

    def watch(self) -> None:
        """Watches the server from now on, for one more waiting request."""
        if not self._waiting:
            self.seen()
        self._waiting += 1
        if not self._watcher or self._watcher.done():
            self._watcher = asyncio.ensure_future(self._look())

    def unwatch(self) -> None:
        """Ends `watch` for one request."""
        self._waiting -= 1

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(self._pause)
            if loop.time() - self._last < self._pause:
                continue
            before, self._tokens = self._tokens, await self._count()
            if before is not None and self._tokens is not None and self._tokens > before:
                self.seen()
            if self._waiting and loop.time() - self._last >= self._patience:
                self.seen()  # the requests that come next get the same patience
                self._give_up()


def tokens_in(metrics: str) -> float | None:
    """Number of tokens that a server has processed.

    Args:
        metrics: The answer of `/metrics`, in Prometheus' text format.

    Returns:
        Prompt and output tokens since the server started; None if it does not count them.
    """
    return _sum_of(_COUNTERS, metrics)


def waiting_in(metrics: str) -> float | None:
    """Number of requests that a server has not begun.

    Args:
        metrics: The answer of `/metrics`, in Prometheus' text format.

    Returns:
        Those of all its engines together; None if it does not count them.
    """
    return _sum_of(_QUEUES, metrics)


def _sum_of(names: tuple[str, ...], metrics: str) -> float | None:
    counts = [line for line in metrics.splitlines() if line.startswith(names)]
    try:
        return sum(float(line.rsplit(" ", 1)[1]) for line in counts) if counts else None
    except (ValueError, IndexError):
        return None
