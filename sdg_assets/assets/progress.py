"""Progress of a partition while a teacher works on it."""

import time

import dagster as dg

from sdg_assets.teacher.conversation import Usage

PROGRESS_SECONDS = 30.0


class Progress:
    """Reports progress: a bar in a terminal, and every `PROGRESS_SECONDS` a log line and event."""

    def __init__(self, context: dg.AssetExecutionContext, partition: str, total: int) -> None:
        """Starts at 0 of `total` results."""
        from tqdm import tqdm

        self._context = context
        self._partition = partition
        self._total = total
        self._next = time.monotonic() + PROGRESS_SECONDS
        label = f"{context.asset_key.to_user_string()} {partition}"
        self._bar = tqdm(total=total, desc=label, disable=None)  # None: only in a terminal

    def __call__(self, done: int, usage: Usage) -> None:
        """Updates the progress.

        Args:
            done: Results so far.
            usage: The teachers' usage so far.
        """
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if now < self._next or not done:
            return
        self._next = now + PROGRESS_SECONDS
        seconds_left = usage.seconds / done * (self._total - done)
        self._context.log.info(
            f"{self._partition}: {done}/{self._total} done, "
            f"{usage.tokens_per_second:.0f} output tokens/s, {seconds_left / 60:.1f} min left"
        )
        # Labels must differ from those of materializations: the UI plots equal labels as one line.
        self._context.log_event(
            dg.AssetObservation(
                self._context.asset_key,
                partition=self._partition,
                metadata={
                    "progress_done": done,
                    "progress_total": self._total,
                    "progress_tokens_per_second": usage.tokens_per_second,
                    "progress_minutes_left": seconds_left / 60,
                },
            )
        )
