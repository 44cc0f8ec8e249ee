"""Whether each fault of a real deployment gives exactly one right message, and in time.

    python -m sdg_assets_tests.benchmarks.alerts

Starts code server, webserver and daemon, a scripted teacher and a webhook. Injects faults one after
the other: a partition whose rows are gone, a yield that a check warns of, a sensor that fails, a
run without progress, and a backfill with 50 failures; then a killed run that its retry cures, a new
release and a new teacher. Prints the seconds from each fault to its message. Exits 1 and names the
goals that are missed. Takes about 16 minutes on two cores.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from sdg_assets.assets.covering import BACKFILL_TAG, COVER, cover
from sdg_assets.assets.jobs import Partitions, launch
from sdg_assets.assets.keys import CURATED, asset_key
from sdg_assets.assets.knobs import TAG
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import cached_catalog
from sdg_assets.records import Stage
from sdg_assets.settings import settings
from sdg_assets.stages.stage import TASK_STAGES
from sdg_assets_tests.assets.quiz import put_rows
from sdg_assets_tests.conftest import forget_settings
from sdg_assets_tests.operation.deployment import Deployment, deployed, worker_of
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server
from sdg_assets_tests.support.webhook import Webhook, webhook

SECONDS = 120
"""From a fault to its message. A fault of a run happens when the run ends."""
SILENCE = 60
"""Seconds without a message after which none is expected any more: two ticks and a half."""
FAILURES = 50
STALLED_MINUTES = 0.5


class Scene:
    """The deployment, its webhook, and how many messages were seen."""

    def __init__(
        self, place: Path, deployment: Deployment, receiver: Webhook, teacher: TeacherServer
    ) -> None:
        self.place, self.deployment = place, deployment
        self.receiver, self.teacher = receiver, teacher
        self.seen = 0
        self.missed: list[str] = []

    def offer(self, task: str, *subtasks: str, rows: int = 4) -> None:
        """Replaces the catalog by one task with these subtasks, and reloads the code location."""
        for file in (self.place / "catalog").glob("*/*.yaml"):
            file.unlink()
        write_catalog(
            self.place / "catalog",
            {"task": task, "subtasks": {key: {"config": key} for key in subtasks}},
        )
        for key in subtasks:
            put_rows(self.place / "mirror", key, rows)
            heldout = {"question": f"Who wrote {key}?", "choices": ["Ibsen", "Eco"], "label": 0}
            (self.folder(key) / "test.jsonl").write_text(json.dumps(heldout) + "\n", "utf-8")
        cached_catalog.cache_clear()
        self.deployment.reload()

    def folder(self, subtask: str) -> Path:
        """Where the rows of a subtask lie."""
        return self.place / "mirror" / "org" / "quiz" / subtask

    def remove_rows(self, *subtasks: str) -> None:
        """Takes the rows of subtasks away."""
        for key in subtasks:
            (self.folder(key) / "train.jsonl").unlink()

    def backfill(self, task: str, *subtasks: str, stages: tuple[Stage, ...]) -> None:
        """Launches a backfill of the stages."""
        partitions: Partitions = {asset_key(task, stage): list(subtasks) for stage in stages}
        instance = self.deployment.instance
        launch(instance, cached_catalog(settings().catalog), partitions, "Benchmark", {})

    def expects(self, fault: str, began: float, *parts: str) -> None:
        """Waits for one message that contains these parts, and then for none."""
        deadline = began + SECONDS
        while len(self.receiver.messages) == self.seen and time.time() < deadline:
            time.sleep(0.2)
        took = time.time() - began
        time.sleep(SILENCE)
        new = self.receiver.messages[self.seen :]
        self.seen = len(self.receiver.messages)
        texts = [f"{message['title']}\n{message['message']}" for message in new]
        right = len(texts) == 1 and all(part in texts[0] for part in parts)
        print(f"{fault:40} {len(new)} message(s), {took:5.0f} s", flush=True)
        if not right or took > SECONDS:
            self.missed.append(fault)
            print("  " + "\n  ".join("\n".join(texts).splitlines()), flush=True)

    def expects_nothing(self, cause: str) -> None:
        """Waits, and sees that there is no message."""
        time.sleep(SILENCE)
        new = self.receiver.messages[self.seen :]
        self.seen = len(self.receiver.messages)
        print(f"{cause:40} {len(new)} message(s)", flush=True)
        if new:
            self.missed.append(cause)
            print(f"  {new}", flush=True)

    def ended(self) -> float:
        """Waits until nothing runs, and returns when the newest run ended."""
        self.deployment.wait(self.deployment.idle)
        records = self.deployment.instance.get_run_records(limit=100)
        return max(record.end_time or 0 for record in records)


def faults(scene: Scene) -> None:
    """Injects the faults, one after the other."""
    failed_partition(scene)
    warning(scene)
    failing_sensor(scene)
    stalled_run(scene)
    many_failures(scene)
    cured_by_a_retry(scene)
    release(scene)  # before a new teacher makes its partitions stale, which a check warns of
    new_teacher(scene)


def failed_partition(scene: Scene) -> None:
    """The rows of one subtask of two are gone."""
    scene.offer("gone", "gone_a", "gone_b")
    scene.remove_rows("gone_b")
    scene.backfill("gone", "gone_a", "gone_b", stages=(Stage.SEEDS,))
    scene.expects("a failed partition", scene.ended(), "1 failure", "gone/seeds/gone_b", "/runs/")


def warning(scene: Scene) -> None:
    """Half of the rows have no answer, so that few seeds are left."""
    scene.offer("half", "half_a", rows=40)
    file = scene.folder("half_a") / "train.jsonl"
    file.write_text(re.sub(r'"label": 1', '"label": 7', file.read_text("utf-8")), "utf-8")
    scene.backfill("half", "half_a", stages=(Stage.HELDOUT, Stage.SEEDS, Stage.NORMALIZED))
    scene.expects("a warning of a check", scene.ended(), "warning", "half/normalized/half_a")


def failing_sensor(scene: Scene) -> None:
    """The plan of the newest run of `cover` is gone, so that `cover_again` cannot go on with it."""
    instance = scene.deployment.instance
    (backfill, *_) = instance.get_backfills(limit=1)
    tags = {BACKFILL_TAG: backfill.backfill_id, TAG + COVER: "lost"}
    run = instance.create_run_for_job(cover, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
    scene.expects("a failing sensor", time.time(), "cover_again", "/sensors/cover_again")
    instance.delete_run(run.run_id)


def stalled_run(scene: Scene) -> None:
    """A teacher that answers nobody."""
    scene.offer("slow", "slow_a")
    scene.teacher.may_answer.clear()
    before = sum(scene.teacher.asked.values())
    scene.backfill("slow", "slow_a", stages=TASK_STAGES)
    scene.deployment.wait(lambda: sum(scene.teacher.asked.values()) > before)
    began = time.time() + 60 * STALLED_MINUTES
    scene.expects("a run without progress", began, "without progress", "slow/generated")
    scene.teacher.may_answer.set()
    scene.ended()
    scene.expects_nothing("a run that goes on and succeeds")


def many_failures(scene: Scene) -> None:
    """A backfill in which every partition fails."""
    subtasks = [f"many_{number:02}" for number in range(FAILURES)]
    scene.offer("many", *subtasks)
    scene.remove_rows(*subtasks)
    scene.backfill("many", *subtasks, stages=(Stage.SEEDS,))
    began = scene.ended()
    scene.expects(
        f"a backfill with {FAILURES} failures", began, f"{FAILURES} failures in backfill", "and 30"
    )


def cured_by_a_retry(scene: Scene) -> None:
    """A killed run, which Dagster retries with success."""
    scene.offer("killed", "killed_a", rows=8)
    scene.teacher.seconds = 1.0
    before = sum(scene.teacher.asked.values())
    scene.backfill("killed", "killed_a", stages=TASK_STAGES)
    scene.deployment.wait(lambda: sum(scene.teacher.asked.values()) > before)
    os.kill(worker_of(scene.deployment, "killed/generated"), signal.SIGKILL)
    scene.teacher.seconds = 0.0
    key = asset_key("killed", Stage.FILTERED)
    instance = scene.deployment.instance
    scene.deployment.wait(lambda: "killed_a" in instance.get_materialized_partitions(key))
    scene.ended()
    scene.expects_nothing("a killed run that its retry cures")


def new_teacher(scene: Scene) -> None:
    """The server serves another model."""
    scene.deployment.materialize(*(key.path for key in TEACHERS.values()))
    scene.ended()
    scene.expects_nothing("a first look at the teachers")
    scene.teacher.model = "scripted/two"
    scene.deployment.materialize(*(key.path for key in TEACHERS.values()))
    scene.expects("a new teacher", scene.ended(), "new teacher", "scripted/two")


def release(scene: Scene) -> None:
    """A release of what there is."""
    scene.deployment.materialize(CURATED.path)
    scene.expects("a new release", scene.ended(), "1 new release", "rows at")


@contextmanager
def scene_in(place: Path) -> Iterator[Scene]:
    """Starts everything, lets the sensor look once, and ends everything afterwards."""
    with ExitStack() as stack:
        receiver = stack.enter_context(webhook())
        teacher = stack.enter_context(teacher_server(TeacherServer()))
        environment = {
            "SDG_ALERTS": receiver.address,
            "SDG_ALERT_STALLED_MINUTES": str(STALLED_MINUTES),
            "SDG_CATALOG": str(place / "catalog"),
            "SDG_CONCURRENCY": "2",
            "SDG_MIN_YIELD": "0.6",
            "SDG_SEED_SOURCE": f"mirror:{place / 'mirror'}",
            "SDG_SENSOR_SECONDS": "20",
            "SDG_STORE": str(place / "store"),
            "SDG_TEACHER": teacher.url,
            "SDG_WITHOUT_BENCHMARKS": "all",
        }
        os.environ.update(environment)
        forget_settings()
        write_catalog(place / "catalog", {"task": "first", "subtasks": {"first_a": {}}})
        deployment = stack.enter_context(deployed(place / "home", environment))
        scene = Scene(place, deployment, receiver, teacher)
        deployment.wait(lambda: looked(deployment))
        yield scene
        teacher.may_answer.set()


def looked(deployment: Deployment) -> bool:
    """Whether the sensor has had its first tick."""
    states = [s for s in deployment.instance.all_instigator_state() if s.name == "alerts"]
    return any(
        tick.is_completed
        for state in states
        for tick in deployment.instance.get_ticks(state.instigator_origin_id, state.selector_id)
    )


def main() -> None:
    """Prints the figures."""
    with (
        tempfile.TemporaryDirectory(prefix="sdg-alerts-") as folder,
        scene_in(Path(folder)) as scene,
    ):
        faults(scene)
    if scene.missed:
        sys.exit(f"missed: {', '.join(scene.missed)}")


if __name__ == "__main__":
    main()
