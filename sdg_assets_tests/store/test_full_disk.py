"""Writes to full and to read-only disks: small real file systems (tmpfs)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.assets.curated import curated_asset
from sdg_assets.assets.heldout import heldout_asset
from sdg_assets.catalog import cached_catalog
from sdg_assets.errors import StoreError
from sdg_assets.records import Example
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.cities import numbered_cities, put_rows, write_and_solve
from sdg_assets_tests.support.records import example
from sdg_assets_tests.support.runs import QUIET, attempts, failures, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS
from sdg_assets_tests.teacher.log.test_completions import said

KEY = PartitionKey("quiz", "normalized", "quiz")
PAGE = 4096
READ_ONLY = "read-only"
FULL = "full"
CAUSES = {READ_ONLY: "Read-only file system", FULL: "No space left on device"}
ADVICE = {
    READ_ONLY: "change its permissions or its mount, or set SDG_STORE to another place",
    FULL: "free space there or set SDG_STORE to another place",
}


class Disk:
    """A small file system that tests can fill."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    def fill(self, pages_left: int = 0) -> None:
        """Fills the disk except for `pages_left` pages of 4096 bytes."""
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * PAGE)
            except OSError:
                pass
            file.truncate(max(0, file.tell() - pages_left * PAGE))

    def empty(self) -> None:
        """Frees the space that `fill` took."""
        self._filler.unlink()

    def forbid(self) -> None:
        """Remounts the disk read-only."""
        subprocess.run(["mount", "-o", "remount,ro", self.root], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    root = tmp_path / "disk"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(root)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk; see the tests with a limit on file sizes")
    yield Disk(root)
    subprocess.run(["umount", "-l", root], check=True)


def put(store: Store, *rows: Example) -> None:
    with store.write(KEY) as out:
        for row in rows:
            out.put(row)


def test_a_disk_full_at_any_step_of_a_write_leaves_the_partition_unchanged(
    disk: Disk,
) -> None:
    store = Store(disk.root / "store")
    put(store, example())
    big = example(question="Where?", context="x" * 20_000)
    refusals: list[str] = []
    for pages in range(60):
        disk.fill(pages_left=pages)
        before = list(store.read(KEY, Example))
        try:
            put(store, big)
        except StoreError as error:
            refusals.append(str(error))
            assert list(store.read(KEY, Example)) == before
            assert list(store.read_rejected(KEY)) == []
            disk.empty()
            files = [file for file in (disk.root / "store").rglob("*") if file.is_file()]
            assert len(files) == 3, "only the published version and its manifest"
        else:
            disk.empty()
            break

    assert len(refusals) > 5, "too few steps met the full disk"
    for refusal in refusals:
        assert refusal.startswith(str(disk.root / "store" / "quiz" / "normalized"))
        assert "(No space left on device); free space there or set SDG_STORE" in refusal
    assert any(".manifest.json" in refusal for refusal in refusals)
    assert list(store.read(KEY, Example)) == [big]


def test_a_completion_log_on_a_full_disk_raises_and_keeps_its_lines(disk: Disk) -> None:
    path = disk.root / "completions" / "writer.jsonl"
    with CompletionLog(path) as log:
        log.append(said("kept"))
    disk.fill(pages_left=2)

    def write_until_full() -> None:
        with CompletionLog(path) as log:
            for number in range(100):
                log.append(said(str(number), "x" * 500))

    with pytest.raises(StoreError) as caught:
        write_until_full()

    assert str(caught.value).startswith(f"{path}: cannot be written (No space left on device)")
    disk.empty()
    with CompletionLog(path) as log:
        assert "kept" in log
        assert len(log) > 5, "lines written before the disk was full are kept"
        assert not log.damaged
        log.append(said("99"))


def test_a_full_temporary_directory_names_the_variable_tmpdir(
    disk: Disk, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(disk.root))
    disk.fill(pages_left=1)

    with pytest.raises(StoreError, match=rf"^{disk.root}: cannot be written .*or set TMPDIR to"):
        put(Store(bucket), *[example(context="x" * 9000)] * 9)


def test_a_limit_on_file_sizes_is_reported_like_a_full_disk(tmp_path: Path) -> None:
    # Unlike the tests above, this one needs no root rights to mount a disk.
    program = f"""
import resource
from pathlib import Path
from sdg_assets.store.partitions import Store
from sdg_assets_tests.support.records import example
from sdg_assets.errors import StoreError
from sdg_assets.store.partitions import PartitionKey
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    with Store(Path({str(tmp_path)!r})).write(PartitionKey("quiz", "normalized", "quiz")) as out:
        for _ in range(9):
            out.put(example(context="x" * 9000))
except StoreError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert ".tmp: cannot be written (File too large); free space there or set" in done.stdout


def test_a_folder_without_write_permission_is_reported() -> None:
    program = """
import os, sys
from pathlib import Path
from sdg_assets.errors import StoreError
from sdg_assets.store.partitions import PartitionKey, Store
if os.geteuid() == 0:
    os.setgroups([])
    os.setresuid(65534, 65534, 65534)
try:
    with Store(Path(sys.argv[1])).write(PartitionKey("quiz", "normalized", "quiz")):
        pass
except StoreError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as folder:  # other users cannot enter pytest's tmp_path
        Path(folder).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", program, folder], capture_output=True, text=True
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{folder}/quiz: may not be read or written by user ")
    advice = "(Permission denied); change its permissions or its mount, or set SDG_STORE"
    assert advice in done.stdout


@pytest.fixture
def pipeline(
    tmp_path: Path, disk: Disk, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, dg.DagsterInstance], dg.ExecuteInProcessResult]:
    """Runs one stage, or `heldout` or `curated`, of a task whose store is on the small disk."""
    catalog = write_catalog(tmp_path / "catalog", {"subtasks": {"quiz": {"config": "main"}}})
    put_rows(tmp_path / "mirror", "main", numbered_cities(4))
    mirror = f"mirror:{tmp_path / 'mirror'}"
    configure(catalog=catalog, seed_source=mirror, store=disk.root / "store")
    teacher = ScriptedTeacher(write_and_solve)
    monkeypatch.setattr("sdg_assets.teacher.open_teacher", lambda _settings, _role: teacher)

    def materialize(stage: str, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        loaded = cached_catalog(settings().catalog)
        if stage in ROW_ASSETS:
            return run("quiz", [stage], instance=instance)
        asset = curated_asset(loaded) if stage == "curated" else heldout_asset(loaded.task("quiz"))
        return dg.materialize(
            [asset],
            partition_key=None if stage == "curated" else "quiz",
            instance=instance,
            run_config={"loggers": QUIET},
            raise_on_error=False,
        )

    return materialize


@pytest.mark.parametrize("fault", [FULL, READ_ONLY])
def test_every_stage_reports_the_path_and_what_to_do(
    fault: str,
    disk: Disk,
    pipeline: Callable[[str, dg.DagsterInstance], dg.ExecuteInProcessResult],
    instance: dg.DagsterInstance,
) -> None:
    stages = ("heldout", *ROW_ASSETS, "curated")
    for stage in stages[:-1]:
        result = pipeline(stage, instance)
        assert result.success, failures(result)
    if fault == FULL:
        disk.fill()
    else:
        disk.forbid()

    for stage in stages:
        result = pipeline(stage, instance)

        (message,) = failures(result)
        assert str(disk.root / "store") in message
        assert f"({CAUSES[fault]}); {ADVICE[fault]}" in message.replace(" or TMPDIR", "")
        assert attempts(result) == 1, "a permanent error is not retried"


def test_after_a_full_disk_the_remaining_partitions_ask_no_teacher(
    tmp_path: Path,
    disk: Disk,
    configure: Configure,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = ("quiz_a", "quiz_b", "quiz_c")
    subtasks = {key: {"config": key} for key in keys}
    for key in keys:
        put_rows(tmp_path / "mirror", key, numbered_cities(4))
    configure(
        catalog=write_catalog(tmp_path / "catalog", {"subtasks": subtasks}),
        seed_source=f"mirror:{tmp_path / 'mirror'}",
        store=disk.root / "store",
        concurrency=2,
    )
    teacher = ScriptedTeacher(write_and_solve)
    monkeypatch.setattr("sdg_assets.teacher.open_teacher", lambda _settings, _role: teacher)
    key_range = (keys[0], keys[-1])
    inputs = run("quiz", ["seeds", "normalized"], subtasks=key_range, instance=instance)
    assert inputs.success, failures(inputs)
    disk.fill()

    result = run("quiz", ["generated"], subtasks=key_range, instance=instance)

    (message,) = failures(result)
    first, *rest = message.splitlines()
    assert first.startswith("quiz_a: ")
    assert [line.split(": ")[:2] for line in rest] == [
        ["quiz_b", "not begun"], ["quiz_c", "not begun"],
    ]  # fmt: skip
    assert len(teacher.requests) <= 2, "only requests that were running when the first write failed"
