"""A finished release goes into the store: renamed in a directory, uploaded to a bucket.

A release is what has a `manifest.json`, which is written last and says what every other file must
be. A killed upload leaves the release before it whole, and itself without a manifest; the next cut
completes it. A release that is whole is never touched again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sdg_assets.store.disk import SCRATCH
from sdg_assets.store.objects import Listed, ObjectPath
from sdg_assets.store.partitions import ABANDONED
from sdg_assets.store.places import Place, write_atomic

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


def seal(built: Path, manifest: Mapping[str, Any]) -> None:
    """Writes the manifest of a release, the last of its files: what all others must be.

    Args:
        built: The workbench, with every other file of the release.
        manifest: What else the manifest says. Nothing that changes from run to run.
    """
    sums = {"files": hashes(built), "bytes": _sizes(built)}
    text = json.dumps({**manifest, **sums}, ensure_ascii=False, indent=1)
    (built / MANIFEST).write_text(f"{text}\n", "utf-8")


def publish(built: Path, folder: Place, release_id: str) -> Place:
    """Puts a release in place, unless it is there and whole, and points `LATEST` to it.

    A whole release is never touched: what would be written anew holds the same rows. A damaged one
    is mended file by file, so that there is a release where `LATEST` points at any moment.

    Args:
        built: Its workbench, sealed.
        folder: Where releases lie.
        release_id: Its name.

    Returns:
        Where it lies.
    """
    place = folder / release_id
    if isinstance(place, ObjectPath):
        if not is_whole(place):
            _upload(built, place)
    elif not _renamed(built, place) and not is_whole(place):
        _mend(built, place)
    write_atomic(folder / LATEST, f"{release_id}\n".encode())
    return place


def is_whole(release: Place) -> bool:
    """Whether every file that a release's own manifest names is there as it says, and no other.

    In a bucket files are compared by their sizes, in a directory by their hashes.

    Args:
        release: Its place, which need not exist.
    """
    try:
        manifest = json.loads((release / MANIFEST).read_bytes())
        files, sizes = manifest["files"], manifest["bytes"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    if isinstance(release, ObjectPath):
        found = {listed.name: listed.size for listed in release.listing()}
        return found == {**sizes, MANIFEST: found.get(MANIFEST)}
    return {name: sha for name, sha in hashes(release).items() if name != MANIFEST} == dict(files)


def clear_abandoned(folder: Place) -> None:
    """Removes what runs left behind that were killed while they wrote, once it is a day old.

    In a directory these are workbenches, in a bucket releases without a manifest. The newest file
    tells the age: a release may take longer than a day to write.

    Args:
        folder: Where releases lie.
    """
    oldest = datetime.now(UTC) - ABANDONED
    if isinstance(folder, Path):
        for left in folder.glob(".*.tmp"):
            newest = max(_modified(path) for path in (left, *left.rglob("*")))
            if newest < oldest.timestamp():
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


def _sizes(directory: Path) -> dict[str, int]:
    """The bytes of each file below a directory, by relative name."""
    files = sorted(f for f in directory.rglob("*") if f.is_file())
    return {file.relative_to(directory).as_posix(): file.stat().st_size for file in files}


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its run has just ended
        return 0.0


def _renamed(built: Path, place: Path) -> bool:
    """Puts a release where there is none; false where there is one, perhaps another run's."""
    if place.exists():
        return False
    try:
        built.rename(place)
    except OSError:
        if not place.exists():
            raise
        return False
    return True


def _mend(built: Path, place: Path) -> None:
    """Makes a damaged release equal to the one that was built; its manifest comes last."""
    wanted, found = hashes(built), hashes(place)
    manifest = wanted.pop(MANIFEST)
    for name, sha in wanted.items():
        if found.get(name) != sha:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (built / name).replace(place / name)
    for name in found.keys() - wanted.keys() - {MANIFEST}:
        (place / name).unlink()
    if found.get(MANIFEST) != manifest:
        (built / MANIFEST).replace(place / MANIFEST)


def _upload(built: Path, place: ObjectPath) -> None:
    """Uploads a release, its manifest last; a damaged one is overwritten file by file."""
    files = {f.relative_to(built).as_posix(): f for f in built.rglob("*") if f.is_file()}
    manifest = files.pop(MANIFEST)
    for listed in list(place.listing()):
        if listed.name not in files and listed.name != MANIFEST:
            (place / listed.name).unlink()
    with ThreadPoolExecutor(UPLOADS) as pool:
        for _ in pool.map(lambda name: (place / name).upload(files[name]), sorted(files)):
            pass
    (place / MANIFEST).upload(manifest)
