"""Slots of Dagster's pools, which a step of several GPUs claims under several keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

# A pool with one slot, used as a lock. Only one step at a time may collect several slots: two steps
# that each hold half of the slots would deadlock. A step that needs one slot does not need the
# lock, because it holds nothing while it waits.
COLLECTOR_POOL = "{pool}-turn"


def pool_slots(instance: dg.DagsterInstance, pool: str) -> int | None:
    """Number of slots of a pool, used or free; None: no limit."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return None
    default = instance.get_concurrency_config().pool_config.default_pool_limit
    return storage.get_concurrency_info(pool).slot_count or default


def free_slots(instance: dg.DagsterInstance, pool: str, run_id: str, step_key: str) -> None:
    """Frees all slots and queue entries of a step, as recorded in the database.

    A worker that resumes a run does not know how many slots the step had claimed.

    Args:
        instance: The Dagster instance.
        pool: The step's pool.
        run_id: The step's run.
        step_key: The step. Its slots have this key, or begin with it and `#`.
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for name in (pool, COLLECTOR_POOL.format(pool=pool)):
        info = storage.get_concurrency_info(name)
        entries: Iterable[Any] = [*info.claimed_slots, *info.pending_steps]
        own_keys = {entry.step_key for entry in entries if entry.run_id == run_id}
        for key in own_keys:
            if key == step_key or key.startswith(f"{step_key}#"):
                storage.free_concurrency_slot_for_step(run_id, key)
