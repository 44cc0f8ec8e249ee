"""A step whose rows are divided among the pods of an Indexed Job, on the test cluster."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from sdg_assets.cluster.fill_report import RUN_VARIABLE
from sdg_assets.cluster.settings import cluster_settings
from sdg_assets.records import Example
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.cluster.arithmetic_teacher import SteadyTeacher
from sdg_assets_tests.cluster.cluster import wait_for, wait_until_gone
from sdg_assets_tests.cluster.deployment import SUBTASKS, TASK, deployed
from sdg_assets_tests.cluster.divided import fill_pods, fillers, generated_rows
from sdg_assets_tests.cluster.rules import broken_rules
from sdg_assets_tests.conftest import forget_settings
from sdg_assets_tests.support.runs import failures, run
from sdg_assets_tests.support.teacher_server import teacher_server

pytestmark = pytest.mark.filterwarnings("ignore:HTTPResponse.getheader:DeprecationWarning")
INDEXES, ROWS = 2, 20
PARTS = (SUBTASKS[0], SUBTASKS[1])
TAGS = {"sdg/indexes": str(INDEXES)}


def test_pods_that_share_a_step_outlive_failures_and_publish_what_one_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        teacher_server(SteadyTeacher()) as teacher,
        deployed(
            tmp_path,
            teacher.url,
            monkeypatch,
            ROWS,
            SDG_K8S_SCHEDULE_SECONDS="20",
            SDG_RETRIES="0",
        ) as deployment,
    ):
        forget_settings()
        cluster_settings.cache_clear()
        cluster, instance = deployment.cluster, deployment.instance
        cluster.nodes["gpu-1"] = INDEXES
        instance.event_log_storage.set_concurrency_slots("gpu", INDEXES)
        assert not failures(run(TASK, ["seeds", "normalized"], subtasks=PARTS, instance=instance))

        # A knob that the publishing pod would refuse costs no pod, and no other attempt.
        wrong = {**TAGS, "sdg/examples_per_seed": "20000"}
        deployment.launch("generated", subtasks=PARTS, tags=wrong)
        deployment.wait_for_message("tag sdg/examples_per_seed=20000: must be between 1 and 1000")
        deployment.wait(deployment.is_finished)
        refused = deployment.status
        assert refused is DagsterRunStatus.FAILURE
        assert not fill_pods(deployment)

        # A refused quota is told at once.
        cluster.refused = {"generated": "exceeded quota: sdg, requested: pods=1, used: pods=30"}
        deployment.launch("generated", subtasks=PARTS, tags=TAGS)
        text = deployment.wait_for_message("Waiting, at most 20 s: the cluster makes no pod")
        assert "exceeded quota: sdg" in text
        # Both times together fewer than a pod's 8 rows of the first part: else it may be done.
        teacher.hold_after(3)
        cluster.refused = {}

        # A terminated run has no pods after 10 s.
        deployment.wait(lambda: teacher.holds and len(fillers(deployment)) == INDEXES)
        pods = fillers(deployment)
        deployment.terminate()
        for pod in pods:
            wait_until_gone(pod, seconds=10)
        deployment.wait(deployment.is_finished, seconds=10)
        assert not [pod for pod in cluster.pods.values() if pod.job == pods[0].job]
        teacher.drop()
        instance.event_log_storage.free_concurrency_slots_for_run(deployment.run_id)

        # One pod is killed for memory, another evicted, and the teacher refuses one seed for good.
        # That seed stands in prompts of the second part alone.
        key = PartitionKey(TASK, "normalized", PARTS[1])
        seeds = [row.question for row in Store(deployment.store).read(key, Example)]
        teacher.refused_words = seeds[-1]
        teacher.hold_after(3)
        deployment.launch("generated", subtasks=PARTS, tags=TAGS)
        deployment.wait(lambda: teacher.holds and len(fillers(deployment)) == INDEXES)
        # An answer on its way is in no log yet: it would be asked for again.
        deployment.wait(lambda: deployment.logged_completions() == teacher.admitted)
        killed, evicted = fillers(deployment)
        cluster.kill_for_memory(killed)
        with cluster.lock:
            cluster.evict(evicted)
        deployment.wait(lambda: killed.has_ended and evicted.has_ended)
        teacher.drop()
        deployment.wait_for_message(f"Index {killed.index}:", "OOMKilled")
        deployment.wait_for_message("Publishing step")
        assert not instance.event_log_storage.get_concurrency_info("gpu").claimed_slots
        deployment.wait(deployment.is_finished)

        # The other part is published.
        text = deployment.wait_for_message(f"{PARTS[1]}: index", f"of {INDEXES} of Job sdg-fill-")
        assert "no such thing" in text  # the server's words
        assert "then re-execute" in text
        assert deployment.is_finished()
        asset = dg.AssetKey([TASK, "generated"])
        assert instance.get_materialized_partitions(asset) == {PARTS[0]}
        (publisher,) = (p for p in cluster.ever if p.job.startswith("dagster-step-"))
        assert publisher.gpus == 0
        assert "tolerations" not in publisher.body["spec"]
        (container,) = killed.body["spec"]["containers"]
        assert {"name": RUN_VARIABLE, "value": deployment.run_id} in container["env"]
        # What the publishing pod printed is in the store.
        logs = instance.compute_log_manager
        captured = instance.all_logs(deployment.run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
        (event,) = (entry.get_dagster_event() for entry in captured)
        name = event.logs_captured_data.file_key
        printed = logs.get_log_data(logs.build_log_key_for_run(deployment.run_id, name)).stderr
        assert f"{PARTS[0]}: " in (printed or b"").decode()

        # The Job of a new run waits for its queue's quota, and goes on when Kueue admits it.
        answered, earlier = teacher.answered.copy(), len(fill_pods(deployment))
        teacher.refused_words = ""
        teacher.hold_after(0)
        received = teacher.received
        cluster.config_maps["sdg-settings"] |= {"SDG_K8S_QUEUE_NAME": "gpus"}
        deployment.launch("generated", subtasks=PARTS, tags=TAGS)
        deployment.wait_for_message(f"waits in its queue until there is quota for {INDEXES} pods")
        assert len(fill_pods(deployment)) == earlier
        cluster.admit_jobs("gpus")

        # Its run worker is lost: the next one takes up the Job whose pods went on.
        deployment.wait(lambda: teacher.received > received)
        worker, pods = wait_for(cluster, None), fill_pods(deployment)[earlier:]
        cluster.kill_for_memory(worker)
        deployment.wait(lambda: worker.phase == "Failed")
        deployment.monitor()
        deployment.wait_for_message("Checking on status of in-progress step")
        teacher.resume()

        # It asked only for what was missing, and nothing twice.
        deployment.wait(deployment.is_finished)
        assert deployment.status is DagsterRunStatus.SUCCESS, deployment.messages()[-20:]
        assert fill_pods(deployment)[earlier:] == pods
        assert instance.get_materialized_partitions(asset) == set(PARTS)
        assert not (teacher.answered - answered).keys() & answered.keys()
        assert teacher.admitted == 2 * ROWS
        for job in cluster.jobs.values():
            assert broken_rules(job) == []
        assert deployment.api.used <= deployment.api.allowed

        # The rows are those of one process.
        shared = {part: generated_rows(deployment.store, part) for part in PARTS}
        monkeypatch.setenv("SDG_STORE", str(tmp_path / "alone"))
        forget_settings()
        with dg.DagsterInstance.ephemeral() as other:
            stages = ["seeds", "normalized", "generated"]
            assert not failures(run(TASK, stages, subtasks=PARTS, instance=other))
        assert {part: generated_rows(tmp_path / "alone", part) for part in PARTS} == shared
        assert sum(map(len, shared.values())) == 2 * ROWS
