"""Two runs compete for the same GPUs, and a run worker dies while it holds all of them."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dagster import DagsterRunStatus
from dagster._daemon.monitoring.concurrency import execute_concurrency_slots_iteration

from sdg_assets.cluster.ended_runs import end_pods_of_ended_runs
from sdg_assets.cluster.settings import cluster_settings
from sdg_assets.stages.stage import Pool
from sdg_assets_tests.cluster.arithmetic_teacher import arithmetic_teacher
from sdg_assets_tests.cluster.cluster import wait_for, wait_until_gone
from sdg_assets_tests.cluster.deployment import SUBTASKS, TASK, deployed
from sdg_assets_tests.conftest import forget_settings
from sdg_assets_tests.support.runs import run

pytestmark = pytest.mark.filterwarnings("ignore:HTTPResponse.getheader:DeprecationWarning")


def test_eight_gpus_and_one_never_run_beside_each_other_and_a_dead_run_leaves_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        arithmetic_teacher() as teacher,
        deployed(tmp_path, teacher.url, monkeypatch) as deployment,
    ):
        forget_settings()
        cluster_settings.cache_clear()
        cluster, instance = deployment.cluster, deployment.instance
        cluster.nodes["gpu-1"] = 9  # room for both: only the pool blocks the second
        storage = instance.event_log_storage
        storage.set_concurrency_slots(Pool.GPU, 8)
        first, second = SUBTASKS[:2]
        made = run(TASK, ("seeds", "normalized"), subtasks=(first, second), instance=instance)
        assert made.success
        teacher.hold_after(0)

        deployment.launch("generated", subtasks=(first, first), pod='{"gpus": 8}')
        big = wait_for(cluster, "generated")
        assert len(storage.get_concurrency_info(Pool.GPU).claimed_slots) == 8
        worker, dead_run = wait_for(cluster, None), deployment.run_id

        deployment.launch("generated", subtasks=(second, second), pod='{"gpus": 1}')
        deployment.wait_for_message("blocked by limit for pool gpu")
        assert [pod for pod in cluster.ever if pod.stage == "generated"] == [big]

        # The worker dies, and run monitoring fails the run.
        cluster.kill_for_memory(worker)
        given_up = instance.get_run_by_id(dead_run)
        assert given_up
        instance.report_run_failed(given_up, "its worker was lost too often")
        assert end_pods_of_ended_runs(instance, "sdg") == [big.name]
        wait_until_gone(big, seconds=10)
        teacher.drop()
        time.sleep(1.1)  # free_slots_after_run_end_seconds
        daemon = cast("Any", SimpleNamespace(instance=instance))
        list(execute_concurrency_slots_iteration(daemon, logging.getLogger("daemon")))

        deployment.wait(deployment.is_finished)
        assert deployment.status is DagsterRunStatus.SUCCESS, deployment.messages()[-20:]
        (small,) = (pod for pod in cluster.ever if pod.stage == "generated" and pod is not big)
        assert (big.gpus, small.gpus) == (8, 1)
        assert not storage.get_concurrency_info(Pool.GPU).claimed_slots
