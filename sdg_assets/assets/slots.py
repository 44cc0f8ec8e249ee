"""Pool slots: a step takes one slot of the pool `gpu` per GPU, and only while it runs.

Dagster 1.13 gives every step one slot of its pool: with a limit of 8, eight steps of 8 GPUs each
would run at the same time. Here a step of n GPUs claims n slots, under its own step key and under
`<step key>#2` to `#n`. All slots carry the run id, so Dagster's run monitoring frees the slots of
a dead run (`free_slots_after_run_end_seconds`). On one machine, a run that waits for the slots
frees them.

The classes below replace `InstanceConcurrencyContext` in Dagster's executors; see
`dagster_internals.py`.
"""

from __future__ import annotations

import fcntl
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import cast

import dagster as dg

from sdg_assets.cluster.pods import gpus_of_run
from sdg_assets.cluster.pool_slots import COLLECTOR_POOL, free_slots
from sdg_assets.cluster.settings import cluster_settings
from sdg_assets.dagster_internals import (
    InstanceConcurrencyContext,
    PoolGranularity,
    replace_slot_contexts,
)
from sdg_assets.errors import SdgError
from sdg_assets.settings import settings
from sdg_assets.stages.stage import TEACHER_STAGES, Pool

RECHECK_SECONDS = 1.0
DEAD_RUN_CHECK_SECONDS = 5.0  # between two checks for slots of dead runs


class StepSlots(InstanceConcurrencyContext):
    """Slots of a run whose steps are pods, which outlive the run worker; another may resume it."""

    def __init__(self, instance: dg.DagsterInstance, dagster_run: dg.DagsterRun) -> None:
        super().__init__(instance, dagster_run)
        self._run = dagster_run
        self._slots = instance.event_log_storage
        self._pool_of: dict[str, str] = {}
        self._launches_before = _launches(instance, dagster_run.run_id)

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """Claims the slots of a step, or queues it for them.

        Args:
            concurrency_key: The pool.
            step_key: The step, of this run.
            step_priority: Added to the run's priority.

        Returns:
            Whether the step holds all its slots and may start.
        """
        self._pool_of[step_key] = concurrency_key
        if launches := self._launches_before[step_key]:
            # This worker resumes the run and replays its events. It must be able to mark each past
            # step as started, even if another run has the slot now; else Dagster fails the run.
            self._launches_before[step_key] -= 1
            if launches == 1:  # the last launch: the step may still run and hold its slots
                self._claims.add(step_key)
            return True
        weight = self._weight(concurrency_key, step_key)
        if weight == 1:
            return super().claim(concurrency_key, step_key, step_priority)
        if step_key in self._pending_claims and time.time() < self._pending_timeouts[step_key]:
            return False
        priority = self._run_priority + step_priority
        if self._claim_all(concurrency_key, step_key, weight, priority):
            self._pending_claims.discard(step_key)
            self._claims.add(step_key)
            return True
        self._pending_claims.add(step_key)
        self._pending_timeouts[step_key] = time.time() + RECHECK_SECONDS
        return False

    def free_step(self, step_key: str) -> None:
        """Frees all slots of a step that ended."""
        if step_key in self._claims:
            self._claims.remove(step_key)
            self._free(step_key)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leaves the queues. Slots of steps are kept, because their pods may still run."""
        for step_key in self._pending_claims:
            self._free(step_key)
        super().__exit__(exc_type, exc_value, traceback)

    def _weight(self, pool: str, step_key: str) -> int:
        """Number of slots that a step claims: one per GPU, at most the pool's limit."""
        slots = self._slots
        if pool != Pool.GPU or not slots.supports_global_concurrency_limits:
            return 1
        if self._pool_config.pool_granularity == PoolGranularity.RUN:
            return 1
        self._sync_pools()
        info = self.get_pool_info(pool)
        limit = info.limit if info else self._pool_config.default_pool_limit
        if limit is None:
            return 1
        return max(1, min(self._gpus(step_key), limit))

    def _gpus(self, step_key: str) -> int:
        try:
            return gpus_of_run(
                step_key, self._run.tags, self._run.run_config, settings(), cluster_settings()
            )
        except SdgError:
            return 1  # the step itself will fail with this error

    def _claim_all(self, pool: str, step_key: str, weight: int, priority: int) -> bool:
        run_id, slots = self._run_id, self._slots
        keys = [step_key, *(f"{step_key}#{n}" for n in range(2, weight + 1))]
        if all(slots.check_concurrency_claim(pool, run_id, key).is_claimed for key in keys):
            return True
        info = self.get_pool_info(pool)
        if info is None or info.from_default:
            slots.initialize_concurrency_limit_to_default(pool)
        collector_pool, lock_key = COLLECTOR_POOL.format(pool=pool), f"{step_key}#turn"
        collector_info = self.get_pool_info(collector_pool)
        if collector_info is None or collector_info.limit != 1:
            slots.set_concurrency_slots(collector_pool, 1)
        if not slots.claim_concurrency_slot(collector_pool, run_id, lock_key, priority).is_claimed:
            return False
        claims = [slots.claim_concurrency_slot(pool, run_id, key, priority) for key in keys]
        if not all(claim.is_claimed for claim in claims):
            return False
        slots.free_concurrency_slot_for_step(run_id, lock_key)
        return True

    def _free(self, step_key: str) -> None:
        free_slots(self._instance, self._pool_of[step_key], self._run_id, step_key)


class _RunLock:
    """A file that a run's process keeps locked. The kernel releases it however the process dies.

    Without this lock and without a daemon, the run after a killed run waited for ever for slots.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._path = self._of(instance, run_id)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        """Deletes the file when the run ends normally."""
        self._path.unlink(missing_ok=True)
        self._file.close()

    @classmethod
    def is_released(cls, instance: dg.DagsterInstance, run_id: str) -> bool:
        """Whether the run's process was on this machine and died. False if it has no lock file."""
        path = cls._of(instance, run_id)
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        except (FileNotFoundError, BlockingIOError):
            return False
        return True

    @staticmethod
    def _of(instance: dg.DagsterInstance, run_id: str) -> Path:
        return Path(instance.root_directory) / "slots" / run_id


class LocalSlots(StepSlots):
    """Slots of a run on one machine. A waiting run frees the slots of runs that died."""

    def __init__(self, instance: dg.DagsterInstance, dagster_run: dg.DagsterRun) -> None:
        super().__init__(instance, dagster_run)
        self._run_lock: _RunLock | None = None
        self._next_dead_run_check = 0.0

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """See `StepSlots.claim`."""
        if not self._slots.supports_global_concurrency_limits:
            return True
        self._run_lock = self._run_lock or _RunLock(self._instance, self._run_id)
        claimed = super().claim(concurrency_key, step_key, step_priority)
        if not claimed and time.time() > self._next_dead_run_check:
            self._next_dead_run_check = time.time() + DEAD_RUN_CHECK_SECONDS
            self._free_dead_runs()
        return claimed

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leaves the queues and releases the run's lock."""
        super().__exit__(exc_type, exc_value, traceback)
        if self._run_lock:
            self._run_lock.close()

    def _free_dead_runs(self) -> None:
        for run_id in self._slots.get_concurrency_run_ids():
            if run_id != self._run_id and _RunLock.is_released(self._instance, run_id):
                self._slots.free_concurrency_slots_for_run(run_id)


class ProcessSlots(LocalSlots):
    """Slots of a run whose steps share one process.

    An engine stays loaded for later stages. So the run holds the GPUs from its first GPU step
    until it ends: a run that got them in between would find their memory full.
    """

    def __init__(self, instance: dg.DagsterInstance, dagster_run: dg.DagsterRun) -> None:
        super().__init__(instance, dagster_run)
        self._engine_step: str | None = None

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """See `StepSlots.claim`. True at once if an earlier step of the run claimed the GPUs."""
        if concurrency_key == Pool.GPU and self._engine_step not in (None, step_key):
            return True
        claimed = super().claim(concurrency_key, step_key, step_priority)
        if claimed and concurrency_key == Pool.GPU:
            self._engine_step = step_key
        return claimed

    def free_step(self, step_key: str) -> None:
        """Frees the slots of a step that ended, except GPU slots."""
        if step_key != self._engine_step:
            super().free_step(step_key)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Frees all slots, because no step outlives this process."""
        if self._engine_step:
            super().free_step(self._engine_step)
        super().__exit__(exc_type, exc_value, traceback)

    def _gpus(self, step_key: str) -> int:
        """The GPUs of the stage that needs most, because the run claims only once."""
        task, gpus = step_key.rpartition("__")[0], super()._gpus
        return max(gpus(f"{task}__{stage}") for stage in TEACHER_STAGES)


def weigh_slots() -> None:
    """Makes the executors of this process use the classes of this module."""
    replace_slot_contexts(
        in_one_process=ProcessSlots, process_a_step=LocalSlots, pod_a_step=StepSlots
    )


def _launches(instance: dg.DagsterInstance, run_id: str) -> Counter[str]:
    """How often each step was started by run workers before this one."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_WORKER_STARTING)
    events = [entry.get_dagster_event() for entry in entries]
    return Counter(cast("str", event.step_key) for event in events)
