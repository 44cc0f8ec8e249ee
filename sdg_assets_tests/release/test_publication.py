"""Publishing a release to a bucket or a directory; test_release.py tests its content."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.release import Cut, Release, publication, write_release
from sdg_assets.release.publication import (
    LATEST,
    MANIFEST,
    clear_abandoned,
    is_whole,
    publish,
    seal,
)
from sdg_assets.release.push import push
from sdg_assets.store.objects import ObjectPath
from sdg_assets.store.places import local_copy
from sdg_assets_tests.conftest import on_disk
from sdg_assets_tests.release.test_release import INPUTS, contents, curated_rows
from sdg_assets_tests.support.hub_server import HubServer


def cut(root: ObjectPath) -> Release[ObjectPath]:
    return write_release(root, Cut(INPUTS), curated_rows(3))


@pytest.fixture
def root(bucket: str) -> ObjectPath:
    return ObjectPath.at(bucket)


def names(place: ObjectPath) -> set[str]:
    return {listed.name for listed in place.listing()}


def latest(root: ObjectPath) -> str:
    return (root / "curated" / LATEST).read_bytes().decode()


def visible(root: ObjectPath) -> set[str]:
    """Releases with a manifest."""
    return {n.split("/")[0] for n in names(root / "curated") if n.endswith(f"/{MANIFEST}")}


def test_a_release_in_a_bucket_is_the_one_a_directory_would_get(
    root: ObjectPath, tmp_path: Path
) -> None:
    release = cut(root)
    on_disk_release = write_release(tmp_path, Cut(INPUTS), curated_rows(3))

    assert release.id == on_disk_release.id
    assert str(release.path) == f"{root}/curated/{release.id}"
    with local_copy(release.path) as copy:
        assert contents(copy) == contents(on_disk_release.path)
    assert latest(root) == f"{release.id}\n"


def build(folder: Path, *, data: bytes) -> Path:
    """A small finished workbench."""
    for name in ("README.md", "generative/train.jsonl", "rejected/train.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    seal(folder, {"release": folder.name})
    return folder


# Three files, the manifest, and LATEST.
@pytest.mark.parametrize("puts", [0, 1, 2, 3, 4])
def test_a_killed_upload_leaves_the_previous_release_whole_and_is_not_visible(
    root: ObjectPath, tmp_path: Path, puts: int
) -> None:
    publish(build(tmp_path / "first", data=b"1"), root / "curated", "first")
    second = build(tmp_path / "second", data=b"2")
    program = f"""
import os, signal, threading
from pathlib import Path
from sdg_assets.store.objects import ObjectPath
from sdg_assets.release.publication import publish
put, left, one = ObjectPath._put, [{puts}], threading.Lock()
def killed(place, content):
    with one:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        put(place, content)
ObjectPath._put = killed
publish(Path({str(second)!r}), ObjectPath.at({str(root)!r}) / "curated", "second")
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL

    assert latest(root) == "first\n"
    assert visible(root) == ({"first", "second"} if puts == 4 else {"first"})
    for name, release in {"first": tmp_path / "first", "second": second}.items():
        if name in visible(root):
            with local_copy(root / "curated" / name) as copy:
                assert contents(copy) == contents(release)
    publish(second, root / "curated", "second")
    assert latest(root) == "second\n"
    with local_copy(root / "curated" / "second") as copy:
        assert contents(copy) == contents(second)


def test_a_damaged_release_is_replaced_by_a_whole_one(root: ObjectPath, tmp_path: Path) -> None:
    built = build(tmp_path / "built", data=b"1")
    release = publish(built, root / "curated", "it")
    (release / "README.md").unlink()
    (release / "generative" / "train-00007.jsonl").write_bytes(b"left over")

    again = publish(built, root / "curated", "it")

    assert is_whole(again)
    with local_copy(again) as copy:
        assert contents(copy) == contents(built)


def test_a_whole_release_in_a_bucket_is_never_touched(root: ObjectPath, tmp_path: Path) -> None:
    first = build(tmp_path / "first", data=b"1")
    release = publish(first, root / "curated", "it")

    publish(build(tmp_path / "again", data=b"2"), root / "curated", "it")

    with local_copy(release) as copy:
        assert contents(copy) == contents(first)


# Two files, the file to remove, the manifest.
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_run_killed_while_it_mends_a_release_leaves_latest_pointing_to_one(
    tmp_path: Path, steps: int
) -> None:
    folder = tmp_path / "curated"
    folder.mkdir()
    built = build(tmp_path / "built", data=b"1")
    place = on_disk(publish(copied(built), folder, "it"))
    (place / "README.md").write_bytes(b"damaged")
    (place / "generative" / "train.jsonl").unlink()
    (place / "left over").write_bytes(b"")
    (place / MANIFEST).write_bytes(b"{}")
    again = copied(built)

    if os.fork() == 0:  # killed like a run: nothing is cleaned up
        left = [steps]
        replace, unlink = Path.replace, Path.unlink

        def killed(step: Callable[..., Any]) -> Callable[..., Any]:
            def taken(*arguments: Any) -> Any:
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return step(*arguments)

            return taken

        Path.replace, Path.unlink = killed(replace), killed(unlink)  # type: ignore[method-assign]
        publish(again, folder, "it")
        os._exit(0)
    _, status = os.wait()
    assert os.WIFSIGNALED(status)

    latest_id = (folder / LATEST).read_text().strip()
    assert (folder / latest_id).is_dir()
    publish(copied(built), folder, "it")
    assert contents(place) == contents(built)


def copied(built: Path) -> Path:
    """A copy of a workbench, because publishing moves it."""
    return Path(shutil.copytree(built, built.with_name(secrets.token_hex(4))))


def test_workbenches_of_killed_runs_go_after_a_day_and_those_at_work_stay(tmp_path: Path) -> None:
    folder = tmp_path / "curated"
    abandoned = build(folder / ".1-a.tmp", data=b"1")
    at_work = build(folder / ".2-b.tmp", data=b"1")
    whole = on_disk(publish(build(tmp_path / "built", data=b"1"), folder, "it"))
    before_yesterday = time.time() - 2 * 86_400
    for path in (abandoned, *abandoned.rglob("*"), at_work, whole, *whole.rglob("*")):
        os.utime(path, (before_yesterday, before_yesterday))

    clear_abandoned(folder)

    assert not abandoned.exists()
    assert at_work.exists(), "its folder is old, but its files are new"
    assert is_whole(whole)


def test_the_same_release_again_uploads_nothing_but_the_pointer(
    root: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cut(root)
    uploads: list[ObjectPath] = []
    monkeypatch.setattr(ObjectPath, "upload", lambda place, _file: uploads.append(place))

    assert cut(root) == first
    assert not uploads


def test_a_release_that_was_never_finished_goes_after_a_day(
    root: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "curated"
    publish(build(tmp_path / "built", data=b"1"), folder, "whole")
    left = folder / "never" / "README.md"
    left.write_bytes(b"")

    clear_abandoned(folder)
    assert left.exists()

    monkeypatch.setattr(publication, "ABANDONED", timedelta(seconds=-60))  # a day has gone by
    clear_abandoned(folder)
    assert not left.exists()
    assert visible(root) == {"whole"}
    assert latest(root) == "whole\n"


def test_a_release_in_a_bucket_can_be_pushed(root: ObjectPath, hub: HubServer) -> None:
    release = cut(root)

    assert push(release.path, "org/qa") == f"{hub.url}/datasets/org/qa/commit/1"

    assert set(hub.files) == names(release.path)
    assert json.loads(hub.files[MANIFEST])["release"] == release.id
