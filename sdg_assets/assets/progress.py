"""How far a partition is, told while a teacher works on it."""

import time

import dagster as dg

from sdg_assets.teacher.conversation import Usage

PROGRESS_SECONDS = 30.0


class Progress:
    """Tells how far a partition is: a bar in a terminal, a log line and observation now and then.

    Logged at most every `PROGRESS_SECONDS`.
    """

    def __init__(self, context: dg.AssetExecutionContext, partition: str, total: int) -> None:
        """Starts at nothing done of `total`."""
        from tqdm import tqdm

        self._context = context
        self._partition = partition
        self._total = total
        self._next = time.monotonic() + PROGRESS_SECONDS
        label = f"{context.asset_key.to_user_string()} {partition}"
        self._bar = tqdm(total=total, desc=label, disable=None)  # None: only in a terminal

    def __call__(self, done: int, usage: Usage) -> None:
        """Takes note of `done` results."""
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if now < self._next or not done:
            return
        self._next = now + PROGRESS_SECONDS
        left = usage.seconds / done * (self._total - done)
        self._context.log.info(
            f"{self._partition}: {done}/{self._total} done, "
            f"{usage.tokens_per_second:.0f} output tokens/s, {left / 60:.1f} min left"
        )
        # Other labels than in materializations: the UI plots equal labels in one line.
        self._context.log_event(
            dg.AssetObservation(
                self._context.asset_key,
                partition=self._partition,
                metadata={
                    "progress_done": done,
                    "progress_total": self._total,
                    "progress_tokens_per_second": usage.tokens_per_second,
                    "progress_minutes_left": left / 60,
                },
            )
        )
