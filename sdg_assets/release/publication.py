"""Publishes a finished release: by a rename in a directory, by an upload to a bucket.

A release exists when its `manifest.json` exists. The manifest is written last and has the hash and
size of every other file. A killed upload leaves no manifest and does not touch earlier releases;
the next run of `curated` completes it. A complete release is never changed again.
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
    """A temporary directory to build a release in; removed after the block.

    Args:
        folder: The folder of all releases. If it is a directory, the workbench is created in it,
            so that publishing is a rename; for a bucket it is created in the system's TMPDIR.
        name: The workbench's name in that directory.
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


def seal(built: Path, manifest: Mapping[str, Any], known: Mapping[str, str] | None = None) -> None:
    """Writes a release's manifest, its last file, with the hash and size of all other files.

    Args:
        built: The workbench with every other file of the release.
        manifest: Further fields of the manifest. None of them may change from run to run.
        known: See `hashes`.
    """
    sums = {"files": hashes(built, known), "bytes": sizes(built)}
    text = json.dumps({**manifest, **sums}, ensure_ascii=False, indent=1)
    (built / MANIFEST).write_text(f"{text}\n", "utf-8")


def publish(built: Path, folder: Place, release_id: str) -> Place:
    """Publishes a release and points `LATEST` to it.

    A complete release with the same id is left as it is: the new one says the same. A damaged
    one is repaired file by file, so that `LATEST` points to a release at every moment.

    Args:
        built: The workbench, after `seal`.
        folder: The folder of all releases.
        release_id: The release's id, which names its folder.

    Returns:
        The release's directory or prefix.
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
    """Whether a release has exactly the files that its own manifest lists, unchanged.

    Files in a bucket are compared by size, files in a directory by hash.

    Args:
        release: The release's directory or prefix. It need not exist.
    """
    try:
        manifest = json.loads((release / MANIFEST).read_bytes())
        files, expected = manifest["files"], manifest["bytes"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    if isinstance(release, ObjectPath):
        stored = {listed.name: listed.size for listed in release.listing()}
        return stored == {**expected, MANIFEST: stored.get(MANIFEST)}
    return {name: sha for name, sha in hashes(release).items() if name != MANIFEST} == dict(files)


def clear_abandoned(folder: Place) -> None:
    """Removes incomplete releases of killed runs once they are a day old.

    In a directory these are workbenches, in a bucket releases without a manifest. Their age is
    that of their newest file, because writing a release may take longer than a day.

    Args:
        folder: The folder of all releases.
    """
    oldest = datetime.now(UTC) - ABANDONED
    if isinstance(folder, Path):
        for bench in folder.glob(".*.tmp"):
            newest = max(_modified(path) for path in (bench, *bench.rglob("*")))
            if newest < oldest.timestamp():
                shutil.rmtree(bench, ignore_errors=True)
        return
    releases: dict[str, list[Listed]] = {}
    for file in folder.listing():
        if "/" in file.name:
            releases.setdefault(file.name.split("/")[0], []).append(file)
    for release_id, files in releases.items():
        has_manifest = any(file.name == f"{release_id}/{MANIFEST}" for file in files)
        if not has_manifest and all(file.modified < oldest for file in files):
            for file in files:
                (folder / file.name).unlink()


def hashes(directory: Path, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """The SHA-256 of each file below a directory, as relative path → hexadecimal digest.

    Args:
        directory: The directory.
        known: Hashes of files that have not changed since. They are not read again: the shards of
            a large release take minutes.
    """
    files = {}
    for file in sorted(f for f in directory.rglob("*") if f.is_file()):
        name = file.relative_to(directory).as_posix()
        if digest := (known or {}).get(name):
            files[name] = digest
            continue
        with file.open("rb") as opened:
            files[name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return files


def sizes(directory: Path) -> dict[str, int]:
    """The size of each file below a directory, as relative path → bytes."""
    files = sorted(f for f in directory.rglob("*") if f.is_file())
    return {file.relative_to(directory).as_posix(): file.stat().st_size for file in files}


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # the run that wrote it has just removed it
        return 0.0


def _renamed(built: Path, place: Path) -> bool:
    """Renames the workbench to the release's folder; False if a release is already there.

    Another run may create it between the test and the rename.
    """
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
    """Makes a damaged release equal to the one in the workbench. Its manifest comes last."""
    wanted, stored = hashes(built), hashes(place)
    manifest = wanted.pop(MANIFEST)
    for name, sha in wanted.items():
        if stored.get(name) != sha:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (built / name).replace(place / name)
    for name in stored.keys() - wanted.keys() - {MANIFEST}:
        (place / name).unlink()
    if stored.get(MANIFEST) != manifest:
        (built / MANIFEST).replace(place / MANIFEST)


def _upload(built: Path, place: ObjectPath) -> None:
    """Uploads a release, its manifest last. A damaged one is overwritten file by file."""
    files = {f.relative_to(built).as_posix(): f for f in built.rglob("*") if f.is_file()}
    manifest = files.pop(MANIFEST)
    for listed in list(place.listing()):
        if listed.name not in files and listed.name != MANIFEST:
            (place / listed.name).unlink()
    with ThreadPoolExecutor(UPLOADS) as pool:
        for _ in pool.map(lambda name: (place / name).upload(files[name]), sorted(files)):
            pass
    (place / MANIFEST).upload(manifest)
