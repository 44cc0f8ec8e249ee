"""Releases in a bucket; test_release.py has those in a directory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.objects import ObjectPath
from sdg_assets.places import local_copy
from sdg_assets.release import Cut, Release, publication, write_release
from sdg_assets.release.publication import LATEST, MANIFEST
from sdg_assets.release.push import push
from sdg_assets_tests.release.test_push import connected
from sdg_assets_tests.release.test_release import INPUTS, contents, curated_rows

MORE = {**INPUTS, "more": "dd"}


def cut(root: ObjectPath, inputs: dict[str, str] = INPUTS) -> Release[ObjectPath]:
    return write_release(root, Cut(inputs), curated_rows(3))


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
    there = write_release(tmp_path, Cut(INPUTS), curated_rows(3))

    assert release.id == there.id
    assert str(release.path) == f"{root}/curated/{release.id}"
    with local_copy(release.path) as copy:
        assert contents(copy) == contents(there.path)
    assert latest(root) == f"{release.id}\n"


@pytest.mark.parametrize("puts", [0, 5, -2, -1], ids=["first", "some", "manifest", "latest"])
def test_a_killed_upload_leaves_the_previous_release_whole_and_is_no_release(
    root: ObjectPath, puts: int
) -> None:
    first = cut(root)
    files = names(first.path)
    left = puts if puts >= 0 else len(files) + 1 + puts  # and LATEST
    program = f"""
import os, signal, threading
from sdg_assets.objects import ObjectPath
from sdg_assets_tests.release.test_publication import MORE, cut
put, left, one = ObjectPath._put, [{left}], threading.Lock()
def killed(place, content):
    with one:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        put(place, content)
ObjectPath._put = killed
cut(ObjectPath.at({str(root)!r}), MORE)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL

    assert latest(root) == f"{first.id}\n"
    assert names(first.path) == files
    assert len(visible(root)) == (2 if puts == -1 else 1)
    second = cut(root, MORE)
    assert latest(root) == f"{second.id}\n"
    assert visible(root) == {first.id, second.id}
    assert names(second.path) == files


def test_the_same_release_again_uploads_nothing_but_the_pointer(
    root: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cut(root)
    uploads: list[ObjectPath] = []
    monkeypatch.setattr(ObjectPath, "upload", lambda place, _file: uploads.append(place))

    assert cut(root) == first
    assert not uploads


def test_a_damaged_release_is_replaced_by_a_whole_one(root: ObjectPath) -> None:
    first = cut(root)
    files = names(first.path)
    (first.path / "README.md").unlink()
    (first.path / "generative" / "train-00007.jsonl").write_bytes(b"left over")

    again = cut(root)

    assert again.id == first.id
    assert names(again.path) == files


def test_a_release_that_was_never_finished_goes_after_a_day(
    root: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cut(root)
    left = root / "curated" / "0123456789ab" / "README.md"
    left.write_bytes(b"")

    second = cut(root, MORE)
    assert left.exists()

    monkeypatch.setattr(publication, "ABANDONED", timedelta(seconds=-60))  # a day has gone by
    cut(root)
    assert not left.exists()
    assert visible(root) == {first.id, second.id}


def test_a_release_in_a_bucket_can_be_pushed(
    root: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = cut(root)
    hub = connected(monkeypatch)
    uploaded: dict[str, bytes] = {}

    def upload_folder(**options: Any) -> Any:
        uploaded.update(contents(options["folder_path"]))
        return type("Commit", (), {"commit_url": options["commit_message"]})()

    monkeypatch.setattr(hub, "upload_folder", upload_folder, raising=False)

    assert push(release.path, "org/qa") == f"Release {release.id}"
    assert set(uploaded) == names(release.path)
    assert json.loads(uploaded[MANIFEST])["release"] == release.id
