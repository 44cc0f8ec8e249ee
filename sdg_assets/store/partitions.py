"""The store: where stage files lie, how they get there whole, and how they are read back.

Layout, of a directory as of a bucket (`SDG_STORE=s3://bucket/prefix`, see objects.py):

    <store>/<task>/<stage>/<subtask>.manifest.json             what is published, and which version
    <store>/<task>/<stage>/<subtask>/<version>.jsonl           the accepted rows
                                     <version>.rejected.jsonl  the refused ones
                                     <version>.<name>          what was attached to them

Each write makes a version of its own; replacing the manifest publishes it in one step. What a
reader may be reading is never overwritten: replaced versions stay for `ABANDONED`, and a writer
killed at any moment leaves the partition as it was.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from sdg_assets.errors import SdgError, StoreError, TransientError
from sdg_assets.records import Rejection
from sdg_assets.store.disk import clear_errors
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.objects import Listed
from sdg_assets.store.places import (
    Place,
    clear_drafts,
    draft,
    listing,
    place_of,
    sync_folder,
    write_atomic,
)
from sdg_assets.store.rows import RecordT, verified_rows
from sdg_assets.store.writer import ASIDE, PartitionWriter

ABANDONED = timedelta(days=1)
"""Age at which nobody reads a replaced version any more, and no process still writes a draft."""
KEPT_ASIDE = timedelta(days=14)
"""How long the rows of an attempt that was not published are kept for a person to look at."""
REQUESTS = 32
PATIENCE = 5
VERSION = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class PartitionKey:
    """One stage of one subtask."""

    task: str
    stage: str
    subtask: str

    def __str__(self) -> str:
        return f"{self.task}/{self.stage}/{self.subtask}"


class Store:
    """Stage files under one directory, or under one prefix of a bucket."""

    def __init__(self, root: str | Place) -> None:
        self.root = place_of(root)
        self._pinned: dict[PartitionKey, Manifest] = {}

    def pinned(self, keys: Iterable[PartitionKey]) -> Store:
        """This store, with some partitions read as they are published now.

        Whoever reads a partition more than once, or its rows and its attachments, reads one
        version, even if another run replaces it in the meantime.

        Args:
            keys: The partitions. Those that are not published are read as in any store.

        Raises:
            StoreError: A manifest is corrupt.
        """
        pinned = Store(self.root)
        pinned._pinned = self.manifests(keys)
        return pinned

    def path(self, key: PartitionKey) -> Place:
        """The file of a partition's accepted rows.

        Raises:
            StoreError: The partition is not published, or its manifest is corrupt.
        """
        return self._file(key, self.manifest(key).version, "jsonl")

    def rejected_path(self, key: PartitionKey) -> Place:
        """The file of a partition's refused rows; raises as `path` does."""
        return self._file(key, self.manifest(key).version, "rejected.jsonl")

    def attachment_path(self, key: PartitionKey, name: str) -> Place:
        """The file of an attachment, such as signatures; raises as `path` does."""
        return self._file(key, self.manifest(key).version, name)

    def manifest_path(self, key: PartitionKey) -> Place:
        """The file that says what was published."""
        return self.root / key.task / key.stage / f"{key.subtask}.manifest.json"

    def completions_dir(self, task: str, subtask: str) -> Place:
        """Where a subtask's completion logs lie. They outlive every re-run of its stages."""
        return self.root / task / "completions" / subtask

    def exists(self, key: PartitionKey) -> bool:
        """Whether the partition was published."""
        return key in self._pinned or self.manifest_path(key).exists()

    @contextmanager
    def write(self, key: PartitionKey) -> Iterator[PartitionWriter]:
        """Writes a partition as a whole: published if the block ends, left as it was if it raises.

        Yields:
            The writer that takes accepted and rejected rows.

        Raises:
            StoreError: The disk is full, or may not be written.
        """
        version = _new_version()
        rows, refused = (self._file(key, version, end) for end in ("jsonl", "rejected.jsonl"))
        with draft(rows) as accepted, draft(refused) as rejected:
            writer = PartitionWriter(rows, self._replaceable(key), accepted, rejected)
            yield writer
            try:
                for name, data in writer.attachments.items():
                    write_atomic(self._file(key, version, name), data)
                rejected.publish()
                accepted.publish()
                sync_folder(rows.parent)
                self._publish(key, version, writer)
            except BaseException:
                self._discard(key, version)
                raise
        self._pinned.pop(key, None)
        try:
            self.clear(key, listing(rows.parent))
            clear_drafts(rows.parent.parent, _now() - ABANDONED)
        except (SdgError, OSError) as error:
            logger.warning("%s: what it replaced is cleared by the next run (%s)", key, error)

    def manifest(self, key: PartitionKey) -> Manifest:
        """What was published for the partition.

        Raises:
            StoreError: Nothing was, or the manifest is corrupt.
        """
        found = self._manifest(key)
        if found is None:
            path = self.manifest_path(key)
            raise StoreError(f"{key}: not in the store ({path}); materialize it first")
        return found

    def manifests(self, keys: Iterable[PartitionKey]) -> dict[PartitionKey, Manifest]:
        """What was published for those of many partitions that are there.

        Args:
            keys: The partitions; asked for side by side, as each costs a request in a bucket.

        Raises:
            StoreError: A manifest is corrupt.
        """
        wanted = list(keys)
        with ThreadPoolExecutor(REQUESTS) as pool:
            found = zip(wanted, pool.map(self._manifest, wanted), strict=True)
            return {key: manifest for key, manifest in found if manifest}

    def read(self, key: PartitionKey, record: type[RecordT]) -> Iterator[RecordT]:
        """Streams a partition's accepted rows, verified against its manifest.

        Args:
            key: The partition.
            record: The stage's record class.

        Raises:
            StoreError: Missing, a corrupt line (file and line number), or content that is not what
                was published.
        """
        published, path, file = self._opened(key, "jsonl")
        yield from verified_rows(file, path, key, record, published.rows, published.sha256)

    def read_rejected(self, key: PartitionKey) -> Iterator[Rejection]:
        """Streams a partition's refused rows, verified as `read` does.

        Args:
            key: The partition.

        Raises:
            StoreError: As for `read`.
        """
        published, path, file = self._opened(key, "rejected.jsonl")
        rows = sum(published.rejected.values())
        yield from verified_rows(file, path, key, Rejection, rows, published.rejected_sha256)

    def attachment(self, key: PartitionKey, name: str) -> bytes:
        """A file that was published with a partition.

        Args:
            key: The partition.
            name: The name it was attached under.

        Raises:
            StoreError: The partition has no such file, or another one than was published.
        """
        manifest, path, file = self._opened(key, name)
        with file, clear_errors(str(path)):
            data = file.read()
        if _sha256(data) != manifest.attached.get(name):
            raise StoreError(f"{path}: not what was published; materialize {key} again")
        return data

    def clear(self, key: PartitionKey, files: Iterable[Listed]) -> int:
        """Removes versions of a partition that nobody can be reading or writing any more.

        Args:
            key: The partition.
            files: What lies in its folder.

        Returns:
            How many files were removed: those replaced `ABANDONED` ago, those of writers that were
            killed as long ago, and those kept aside for `KEPT_ASIDE`.

        Raises:
            StoreError: The manifest is corrupt; nothing was removed.
        """
        published = self._read_manifest(key)
        kept = {published.version, *_still_read(published, replaced=False)} if published else set()
        folder, removed = self.root / key.task / key.stage / key.subtask, 0
        for file in files:
            version, _, end = file.name.partition(".")
            if version in kept or not VERSION.fullmatch(version):
                continue
            if _now() - file.modified > (KEPT_ASIDE if end.startswith(ASIDE) else ABANDONED):
                (folder / file.name).unlink(missing_ok=True)
                removed += 1
        return removed

    def _publish(self, key: PartitionKey, version: str, writer: PartitionWriter) -> None:
        manifest = Manifest(
            rows=writer.rows,
            sha256=writer.sha256,
            rejected=writer.rejected,
            rejected_sha256=writer.rejected_sha256,
            written_at=_now(),
            attached={name: _sha256(data) for name, data in writer.attachments.items()},
            info=writer.info,
            version=version,
            replaced=_still_read(self._replaceable(key)),
        )
        write_atomic(self.manifest_path(key), manifest.model_dump_json(indent=1).encode())

    def _discard(self, key: PartitionKey, version: str) -> None:
        """Removes a version whose writing failed: on a full disk its place is needed.

        In a bucket it is left to `clear`: a request that failed here may still arrive there.
        """
        if not isinstance(self.root, Path):
            return
        with suppress(SdgError, OSError):
            published = self._replaceable(key)
            if not published or published.version != version:
                folder = self.root / key.task / key.stage / key.subtask
                for file in folder.glob(f"{version}.*"):
                    file.unlink()

    def _file(self, key: PartitionKey, version: str, end: str) -> Place:
        return self.root / key.task / key.stage / key.subtask / f"{version}.{end}"

    def _opened(self, key: PartitionKey, end: str) -> tuple[Manifest, Place, BinaryIO]:
        """The published manifest and one of its files, opened.

        Raises:
            TransientError: Another version was published between the two.
        """
        for _ in range(PATIENCE):
            manifest = self.manifest(key)
            path = self._file(key, manifest.version, end)
            try:
                with clear_errors(str(path)):
                    return manifest, path, path.open("rb")
            except FileNotFoundError:
                newest = self._read_manifest(key)
            if newest and newest.version == manifest.version:
                raise StoreError(f"{path}: gone; materialize {key} again")
        raise TransientError(f"{path}: replaced while it was read; run again")

    def _manifest(self, key: PartitionKey) -> Manifest | None:
        return self._pinned.get(key) or self._read_manifest(key)

    def _read_manifest(self, key: PartitionKey) -> Manifest | None:
        path = self.manifest_path(key)
        try:
            with clear_errors(str(path)):
                return Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise StoreError(f"{path}: corrupt manifest; materialize {key} again") from error

    def _replaceable(self, key: PartitionKey) -> Manifest | None:
        """What a new version would replace; a corrupt manifest must not keep it from that."""
        try:
            return self._read_manifest(key)
        except StoreError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            logger.warning("%s; its rows cannot be compared with the new ones", error)
            return None


def _still_read(manifest: Manifest | None, *, replaced: bool = True) -> dict[str, datetime]:
    """Versions that a reader may have begun to read → when each was replaced.

    Args:
        manifest: The newest that is known; None if there is none.
        replaced: Whether that one is about to be replaced.
    """
    if not manifest:
        return {}
    now = _now()
    versions = {version: at for version, at in manifest.replaced.items() if now - at < ABANDONED}
    return {**versions, manifest.version: now} if replaced else versions


def _now() -> datetime:
    return datetime.now(UTC)


def _new_version() -> str:
    return f"{_now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
