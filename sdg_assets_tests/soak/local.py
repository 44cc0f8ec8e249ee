"""Soak rounds on one machine: a disturbed run is compared with an undisturbed one.

Each round begins with an empty store on a small file system of its own (tmpfs), so that it can be
filled up without harm.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.soak.faulty_teacher import FAULTS, FaultyTeacher
from sdg_assets_tests.support.builders import write_catalog

TASK = "soak"
SUBTASKS = [f"soak_{number:02}" for number in range(8)]
ROWS = 4
CONCURRENCY = 4
ANSWER_SECONDS = 0.05
ENDINGS = ("SIGKILL", "SIGTERM", "SIGINT", "disk full", "server gone")
STOP_SECONDS = 5.0
"""Time limit for the end of a run after a signal."""
PATIENCE = 180.0
# All stages of all subtasks in one run, then the release, like a user's job.
RUN = """
import sys
import warnings
warnings.simplefilter("ignore")
import dagster as dg
from sdg_assets.definitions import defs
assets = [asset for asset in defs.assets if isinstance(asset, dg.AssetsDefinition)]
from sdg_assets_tests.support.stages import TASK_ASSETS

stages = [dg.AssetKey([sys.argv[1], stage]) for stage in TASK_ASSETS]
tags = {
    "dagster/asset_partition_range_start": sys.argv[2],
    "dagster/asset_partition_range_end": sys.argv[3],
}
for keys, tags in ((stages, tags), ([dg.AssetKey("curated")], {})):
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets, selection=keys, tags=tags, instance=instance, raise_on_error=False
        )
    if not result.success:
        sys.exit(1)
"""


@dataclass
class Findings:
    """The counts of a soak; each line in `broken` is a missed goal."""

    faults: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    attempts: int = 0
    slowest_stop: float = 0.0
    asked_again: int = 0
    broken: list[str] = field(default_factory=list)


@contextmanager
def small_disk(place: Path, mebibytes: int = 64) -> Iterator[Path]:
    """Mounts a file system of this size at `place`; needs the right to mount (see `soak.py`)."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(place)]
    subprocess.run(mount, check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def write_task(place: Path) -> None:
    """Writes the task's catalog to `place/catalog` and its rows to `place/mirror`."""
    subtasks = {key: {"config": key} for key in SUBTASKS}
    write_catalog(place / "catalog", {"task": TASK, "subtasks": subtasks})
    for key in SUBTASKS:
        folder = place / "mirror" / "org" / "quiz" / key
        folder.mkdir(parents=True)
        for split, count in (("train", ROWS), ("test", 2)):
            lines = [
                {
                    "question": f"Which city has the {split} code {key}-{number}?",
                    "choices": ["Oslo", "Rome"],
                    "label": number % 2,
                }
                for number in range(count)
            ]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (folder / f"{split}.jsonl").write_text(text, "utf-8")


class LocalRounds:
    """Disturbs runs in processes of their own."""

    def __init__(
        self, place: Path, teacher: FaultyTeacher, random: Random, findings: Findings
    ) -> None:
        """Makes the undisturbed run that all others are compared with."""
        self._place, self._teacher, self._random = place, teacher, random
        self.findings = findings
        write_task(place)
        teacher.seconds = ANSWER_SECONDS
        reference = place / "reference"
        process = self._start(reference)
        if process.wait(PATIENCE):
            raise AssertionError(f"the undisturbed run failed: {self._log.read_text()[-3000:]}")
        self.reference = published(reference, TASK, SUBTASKS)
        self._answers = teacher.answered.total()

    def round(
        self, endings: Sequence[str] = ENDINGS, faults: Collection[str] = FAULTS.keys()
    ) -> None:
        """One store from empty to published.

        Args:
            endings: How runs are ended before that, each once.
            faults: Of the server, up to four of them in each run.
        """
        endings = self._random.sample(endings, k=len(endings))
        before = self._teacher.answered.total()
        with small_disk(self._place / f"round-{self.findings.rounds}") as disk:
            store = disk / "store"
            interruptions = 0
            while True:
                self._misbehave(faults)
                process = self._start(store)
                if endings and self._disturb(process, endings[-1], disk):
                    endings.pop()
                if process.wait(PATIENCE) == 0:
                    break
                interruptions += 1
                if interruptions > 40:
                    end = self._log.read_text("utf-8", "replace")[-1000:]
                    self.findings.broken.append(f"no end in 40 attempts; the last one said: {end}")
                    return
            self._teacher.behave()
            self._compare(published(store, TASK, SUBTASKS))
        again = self._teacher.answered.total() - before - self._answers
        self.findings.asked_again += max(0, again)
        if again > interruptions * CONCURRENCY:
            self.findings.broken.append(
                f"{again} answers were paid for twice after {interruptions} interruptions"
            )
        self.findings.rounds += 1

    @property
    def _log(self) -> Path:
        return self._place / "run.log"

    def _start(self, store: Path) -> subprocess.Popen[bytes]:
        self.findings.attempts += 1
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SDG_")},
            "SDG_CATALOG": str(self._place / "catalog"),
            "SDG_SEED_SOURCE": f"mirror:{self._place / 'mirror'}",
            "SDG_STORE": str(store),
            "SDG_TEACHER": self._teacher.url,
            "SDG_CONCURRENCY": str(CONCURRENCY),
            "SDG_RETRIES": "0",
            "SDG_WITHOUT_BENCHMARKS": "all",
        }
        arguments = [sys.executable, "-c", RUN, TASK, SUBTASKS[0], SUBTASKS[-1]]
        with self._log.open("ab") as log:
            return subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)

    def _misbehave(self, faults: Collection[str]) -> None:
        self._teacher.behave()
        for fault in self._random.sample(sorted(faults), k=4):
            self._teacher.misbehave(fault, 1)

    def _disturb(self, process: subprocess.Popen[bytes], ending: str, disk: Path) -> bool:
        """Disturbs the run at a random moment; returns false if it had ended before."""
        target = self._teacher.answered.total() + self._random.randint(1, self._answers // 4)
        begun = time.monotonic()
        while self._teacher.answered.total() < target and process.poll() is None:
            if time.monotonic() - begun > PATIENCE:
                self.findings.broken.append("a run stood still")
                break
            time.sleep(0.02)
        if process.poll() is not None:
            return False
        self.findings.faults[ending] += 1
        if ending == "disk full":
            self._fill(disk, process)
        elif ending == "server gone":
            self._teacher.leave()
            process.wait(PATIENCE)
            self._teacher.come_back()
        else:
            process.send_signal(getattr(signal, ending))
            sent = time.monotonic()
            process.wait(PATIENCE)
            if ending != "SIGKILL":
                took = time.monotonic() - sent
                self.findings.slowest_stop = max(self.findings.slowest_stop, took)
                if took > STOP_SECONDS:
                    self.findings.broken.append(f"{ending}: the run ended after {took:.1f} s")
        return True

    def _fill(self, disk: Path, process: subprocess.Popen[bytes]) -> None:
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        process.wait(PATIENCE)
        filler.unlink()

    def _compare(self, files: dict[str, bytes]) -> None:
        for name in sorted(self.reference.keys() | files.keys()):
            if files.get(name) != self.reference.get(name):
                self.findings.broken.append(f"{name} differs from the undisturbed run's")


def published(root: Path, task: str, subtasks: Sequence[str]) -> dict[str, bytes]:
    """All published files of the store: rows, refused rows, attachments, the release."""
    store, files = Store(root), {}
    for stage in ("seeds", "normalized", "generated", "enriched", "filtered"):
        for subtask in subtasks:
            key = PartitionKey(task, stage, subtask)
            if not store.exists(key):
                continue
            files[str(key)] = store.path(key).read_bytes()
            files[f"{key} rejected"] = store.rejected_path(key).read_bytes()
            for name in store.manifest(key).attached:
                files[f"{key} {name}"] = store.attachment_path(key, name).read_bytes()
    curated = root / "curated"
    for file in sorted(curated.rglob("*")) if curated.is_dir() else ():
        if file.is_file() and not file.is_symlink():
            files[str(file.relative_to(root))] = file.read_bytes()
    return files
