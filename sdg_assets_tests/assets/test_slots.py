"""Pool slots, on an instance configured by `dagster.yaml`."""

# No `from __future__ import annotations`: Dagster reads the type of an asset's `context`.

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pytest
from dagster._core.execution.plan import instance_concurrency_context

from sdg_assets.assets import slots
from sdg_assets.assets.slots import (
    LocalSlots,
    ProcessSlots,
    StepSlots,
    weigh_slots,
)
from sdg_assets.cluster.settings import cluster_settings
from sdg_assets.dagster_internals import EngineEventData
from sdg_assets.stages.stage import Pool
from sdg_assets_tests.cluster.cluster import ROOT
from sdg_assets_tests.conftest import Configure

LIMIT = 8
MEMORY = Path("/dev/shm")  # fast: thousands of transactions that need not be durable
SEEDS, STEP = "gsm8k__seeds", "gsm8k__generated"

CLAIM = """
import sys, time
import dagster as dg
from sdg_assets.assets.slots import ProcessSlots

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    run = instance.add_run(dg.DagsterRun(job_name="a", tags={"sdg/pod": '{"gpus": 3}'}))
    slots = ProcessSlots(instance, run)
    assert slots.claim("gpu", "gsm8k__generated")
    print("claimed", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance with 8 GPU slots, on which waiting steps retry at once."""
    monkeypatch.setattr(slots, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(instance_concurrency_context, "_calculate_timeout_interval", _at_once)
    cluster_settings.cache_clear()
    weigh_slots()
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home:
        (Path(home) / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text("utf-8"))
        with dg.DagsterInstance.from_config(home) as made:
            made.event_log_storage.set_concurrency_slots(Pool.GPU, LIMIT)
            yield made


def _at_once(sleep_interval: float | None, pending_claim_count: int) -> float:
    return -1.0


def _run(instance: dg.DagsterInstance, gpus: int, priority: int = 0) -> dg.DagsterRun:
    tags = {"sdg/pod": json.dumps({"gpus": gpus}), "dagster/priority": str(priority)}
    run = dg.DagsterRun(job_name="a", tags=tags, status=dg.DagsterRunStatus.STARTED)
    return instance.add_run(run)


def test_steps_that_run_beside_each_other_never_use_more_gpus_than_there_are_slots(
    instance: dg.DagsterInstance,
) -> None:
    rng = random.Random(7)
    sizes = [8, 8, 5, 2, 1, 1, 1]
    rng.shuffle(sizes)
    runs = [_run(instance, gpus, rng.randrange(3)) for gpus in sizes]
    waiting = {run.run_id: StepSlots(instance, run) for run in runs}
    gpus = {run.run_id: size for run, size in zip(runs, sizes, strict=True)}
    running: dict[str, StepSlots] = {}
    fullest = 0
    for _ in range(100):
        for run_id in rng.sample(list(waiting), len(waiting)):
            if waiting[run_id].claim(Pool.GPU, STEP):
                running[run_id] = waiting.pop(run_id)
            used = sum(gpus[r] for r in running)
            assert used <= LIMIT
            fullest = max(fullest, used)
        if running and rng.random() < 0.5:
            ended = rng.choice(list(running))
            running.pop(ended).free_step(STEP)
        if not waiting and not running:
            break
    assert not waiting, "steps waited for each other"
    assert fullest == LIMIT
    for pool in (Pool.GPU, f"{Pool.GPU}-turn"):
        info = instance.event_log_storage.get_concurrency_info(pool)
        assert not info.claimed_slots
        assert not info.pending_steps


def test_steps_of_one_gpu_fill_all_slots_and_one_of_eight_has_its_turn_before_later_ones(
    instance: dg.DagsterInstance,
) -> None:
    instance.event_log_storage.set_concurrency_slots(Pool.GPU, 4)
    small = [StepSlots(instance, _run(instance, 1)) for _ in range(4)]
    assert all(step.claim(Pool.GPU, STEP) for step in small)
    big, later = (StepSlots(instance, _run(instance, gpus)) for gpus in (8, 1))
    assert not big.claim(Pool.GPU, STEP)
    time.sleep(1.1)  # the queue orders by whole seconds
    for step in small:
        assert not later.claim(Pool.GPU, STEP)
        step.free_step(STEP)
        big.claim(Pool.GPU, STEP)
    assert big.claim(Pool.GPU, STEP)
    assert not later.claim(Pool.GPU, STEP)
    big.free_step(STEP)
    assert later.claim(Pool.GPU, STEP)


def test_a_step_of_more_gpus_than_slots_runs_alone(instance: dg.DagsterInstance) -> None:
    instance.event_log_storage.set_concurrency_slots(Pool.GPU, 2)
    big, small = (StepSlots(instance, _run(instance, gpus)) for gpus in (8, 1))
    assert big.claim(Pool.GPU, STEP)
    assert not small.claim(Pool.GPU, STEP)


def test_who_stops_waiting_leaves_the_line(instance: dg.DagsterInstance) -> None:
    first = StepSlots(instance, _run(instance, 4))
    assert first.claim(Pool.GPU, STEP)
    with StepSlots(instance, _run(instance, 8)) as gives_up:
        assert not gives_up.claim(Pool.GPU, STEP)
    assert StepSlots(instance, _run(instance, 4)).claim(Pool.GPU, STEP)


def test_a_dead_runs_slots_are_freed_with_it(instance: dg.DagsterInstance) -> None:
    dead = _run(instance, 8)
    assert StepSlots(instance, dead).claim(Pool.GPU, STEP)
    other = StepSlots(instance, _run(instance, 1))
    assert not other.claim(Pool.GPU, STEP)
    instance.event_log_storage.free_concurrency_slots_for_run(dead.run_id)  # as run monitoring does
    assert other.claim(Pool.GPU, STEP)


def test_who_waits_frees_the_slots_of_a_process_that_was_killed_and_of_no_other(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProcessSlots(instance, _run(instance, 5)) as alive:
        assert alive.claim(Pool.GPU, STEP)
        child = subprocess.Popen(
            [sys.executable, "-c", CLAIM, instance.root_directory],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        assert child.stdout
        assert child.stdout.readline() == b"claimed\n"
        monkeypatch.setattr(slots, "DEAD_RUN_CHECK_SECONDS", 0.0)
        waiting = LocalSlots(instance, _run(instance, 3))
        assert not waiting.claim(Pool.GPU, STEP)
        assert not waiting.claim(Pool.GPU, STEP)
        child.kill()
        child.wait()
        child.stdout.close()
        assert not waiting.claim(Pool.GPU, STEP)  # this check frees the dead run's slots
        assert waiting.claim(Pool.GPU, STEP)
        assert not LocalSlots(instance, _run(instance, 1)).claim(Pool.GPU, STEP)


def test_a_worker_that_resumes_a_run_replays_its_steps_whoever_has_their_slots_by_now(
    instance: dg.DagsterInstance,
) -> None:
    storage, lost = instance.event_log_storage, _run(instance, 8)

    def start(step_key: str) -> None:
        started = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.STEP_WORKER_STARTING.value,
            job_name=lost.job_name,
            step_key=step_key,
            event_specific_data=EngineEventData(),
        )
        instance.report_dagster_event(started, lost.run_id)

    first_worker = StepSlots(instance, lost)
    assert first_worker.claim(Pool.HUB, SEEDS)
    start(SEEDS)
    first_worker.free_step(SEEDS)
    assert first_worker.claim(Pool.GPU, STEP)
    for _ in range(2):  # the step was retried and is running
        start(STEP)
    other = StepSlots(instance, _run(instance, 1))
    assert other.claim(Pool.HUB, SEEDS)

    resumed = StepSlots(instance, lost)
    assert resumed.claim(Pool.HUB, SEEDS)
    resumed.free_step(SEEDS)
    assert len(storage.get_concurrency_info(Pool.HUB).claimed_slots) == 1
    assert resumed.claim(Pool.GPU, STEP)
    resumed.free_step(STEP)  # replays the end of the first attempt
    assert resumed.claim(Pool.GPU, STEP)
    assert len(storage.get_concurrency_info(Pool.GPU).claimed_slots) == 8
    resumed.free_step(STEP)
    assert not storage.get_concurrency_info(Pool.GPU).claimed_slots


def test_a_run_in_one_process_holds_its_gpus_until_it_ends_and_the_hub_only_while_it_reads(
    instance: dg.DagsterInstance, configure: Configure
) -> None:
    configure(teacher="llama-3.3-70b")  # 4 GPUs
    claimed_slots_at: dict[str, list[int]] = {}

    def asset(stage: str, pool: str | None, after: list[str]) -> dg.AssetsDefinition:
        deps = [dg.AssetKey(["gsm8k", stage]) for stage in after]

        @dg.asset(key=["gsm8k", stage], pool=pool, deps=deps)
        def made(context: dg.AssetExecutionContext) -> None:
            storage = context.instance.event_log_storage
            pools = (Pool.HUB, Pool.GPU)
            infos = [storage.get_concurrency_info(pool) for pool in pools]
            claimed_slots_at[stage] = [len(info.claimed_slots) for info in infos]

        return made

    assets = [
        asset("seeds", "hub", []),
        asset("generated", "gpu", ["seeds"]),
        asset("enriched", "gpu", ["generated"]),
        asset("filtered", None, ["enriched"]),
    ]
    assert dg.materialize(assets, instance=instance).success
    assert claimed_slots_at == {
        "seeds": [1, 0],
        "generated": [0, 4],
        "enriched": [0, 4],
        "filtered": [0, 4],
    }
    assert not instance.event_log_storage.get_concurrency_info(Pool.GPU).claimed_slots
