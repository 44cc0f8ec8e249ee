"""A finished release goes into the store: renamed in a directory, uploaded to a bucket.

In a bucket a release is what has a `manifest.json`, and that is uploaded last. A killed upload
leaves the release before it whole, and itself without a manifest; the next cut completes it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sdg_assets.disk import SCRATCH
from sdg_assets.objects import Listed, ObjectPath
from sdg_assets.places import Place, write_atomic
from sdg_assets.storage import ABANDONED

LATEST = "LATEST"
MANIFEST = "manifest.json"
UPLOADS = 4


@contextmanager
def workbench(folder: Place, name: str) -> Iterator[Path]:
    """A directory to build a release in, gone after the block.

    Args:
        folder: Where releases lie. In a directory the workbench is beside them, to be renamed.
        name: Its name there.
    """
    if isinstance(folder, ObjectPath):
        with tempfile.TemporaryDirectory(prefix=SCRATCH) as directory:
            yield Path(directory)
        return
    tmp = folder / name
    tmp.mkdir(parents=True)
    try:
        yield tmp
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
        shutil.rmtree(tmp.with_suffix(".damaged"), ignore_errors=True)


def publish(built: Path, folder: Place, release_id: str) -> Place:
    """Puts a release in place, unless it is there and whole, and points `LATEST` to it.

    Args:
        built: Its workbench.
        folder: Where releases lie.
        release_id: Its name.

    Returns:
        Where it lies.
    """
    place = folder / release_id
    if isinstance(place, ObjectPath):
        _upload(built, place)
    elif hashes(place) != hashes(built):
        if place.exists():  # damaged by hand, or its card was drawn by another version
            place.rename(built.with_suffix(".damaged"))
        built.rename(place)
    write_atomic(folder / LATEST, f"{release_id}\n".encode())
    return place


def clear_abandoned(folder: Place) -> None:
    """Removes what runs left behind that were killed while they wrote, once it is a day old.

    Args:
        folder: Where releases lie.
    """
    oldest = datetime.now(UTC) - ABANDONED
    if isinstance(folder, Path):
        for left in folder.glob(".*.tmp"):
            if left.stat().st_mtime < oldest.timestamp():
                shutil.rmtree(left, ignore_errors=True)
        return
    releases: dict[str, list[Listed]] = {}
    for file in folder.listing():
        if "/" in file.name:
            releases.setdefault(file.name.split("/")[0], []).append(file)
    for release_id, files in releases.items():
        whole = any(file.name == f"{release_id}/{MANIFEST}" for file in files)
        if not whole and all(file.modified < oldest for file in files):
            for file in files:
                (folder / file.name).unlink()


def hashes(directory: Path) -> dict[str, str]:
    """The sha256 of each file below a directory, by relative name."""
    files = {}
    for file in sorted(f for f in directory.rglob("*") if f.is_file()):
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        files[file.relative_to(directory).as_posix()] = digest
    return files


def _upload(built: Path, place: ObjectPath) -> None:
    files = {f.relative_to(built).as_posix(): f for f in built.rglob("*") if f.is_file()}
    there = {listed.name: listed.size for listed in place.listing()}
    manifest = files.pop(MANIFEST)
    if MANIFEST in there:
        sizes = {name: file.stat().st_size for name, file in files.items()}
        same = (place / MANIFEST).read_bytes() == manifest.read_bytes()
        if same and there == {**sizes, MANIFEST: manifest.stat().st_size}:
            return
        (place / MANIFEST).unlink()  # no release until it is whole again
    for name in there.keys() - files.keys() - {MANIFEST}:
        (place / name).unlink()
    with ThreadPoolExecutor(UPLOADS) as pool:
        for _ in pool.map(lambda name: (place / name).upload(files[name]), sorted(files)):
            pass
    (place / MANIFEST).upload(manifest)
