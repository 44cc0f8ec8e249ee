"""The store: where stage files are, how they are written atomically, and how they are read.

Layout, the same in a directory and in a bucket (`SDG_STORE=s3://bucket/prefix`, see objects.py):

    <store>/<task>/<stage>/<subtask>.manifest.json             names the published version
    <store>/<task>/<stage>/<subtask>/<version>.jsonl           accepted rows
                                     <version>.rejected.jsonl  rejected rows
                                     <version>.<name>          attachment, e.g. signatures

Each write creates a new version; replacing the manifest publishes it in one step. Files are never
overwritten while somebody may read them: replaced versions stay for `ABANDONED`. A writer that is
killed at any moment leaves the published version unchanged.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from pydantic import ValidationError

from sdg_assets.errors import SdgError, StoreError, TransientError
from sdg_assets.records import Rejection
from sdg_assets.store.disk import clear_errors, temporary_directory
from sdg_assets.store.manifest import LAYOUT, Manifest
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
from sdg_assets.store.writer import ASIDE, PartitionWriter, write_attachment

ABANDONED = timedelta(days=1)
"""After this time nobody reads a replaced version any more, and no process writes a draft."""
KEPT_ASIDE = timedelta(days=14)
"""How long the rows of an unpublished attempt are kept, so that a person can look at them."""
REQUESTS = 32
"""Number of parallel requests to a bucket."""
OPEN_ATTEMPTS = 5
BLOCK_BYTES = 1 << 20
VERSION = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class PartitionKey:
    """Identifies a partition: one stage of one subtask."""

    task: str
    stage: str
    subtask: str

    def __str__(self) -> str:
        return f"{self.task}/{self.stage}/{self.subtask}"


class Store:
    """Reads and writes the partitions in a directory, or below a prefix of a bucket."""

    def __init__(self, root: str | Place) -> None:
        self.root = place_of(root)
        self._pinned: dict[PartitionKey, Manifest] = {}

    def pinned(self, keys: Iterable[PartitionKey]) -> Store:
        """A view of this store in which some partitions stay at the version published now.

        It is for code that reads a partition several times, or its rows and its attachments: all
        reads see the same version, even if another run replaces it in the meantime.

        Args:
            keys: The partitions to pin. Partitions without a published version are not pinned.

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
        """The file of a partition's rejected rows; raises as `path` does."""
        return self._file(key, self.manifest(key).version, "rejected.jsonl")

    def attachment_path(self, key: PartitionKey, name: str) -> Place:
        """The file of an attachment, such as signatures; raises as `path` does."""
        return self._file(key, self.manifest(key).version, name)

    def manifest_path(self, key: PartitionKey) -> Place:
        """The file of a partition's manifest, whether it exists or not."""
        return self.root / key.task / key.stage / f"{key.subtask}.manifest.json"

    def completions_dir(self, task: str, subtask: str) -> Place:
        """The folder of a subtask's completion logs, which every re-run of its stages keeps."""
        return self.root / task / "completions" / subtask

    def exists(self, key: PartitionKey) -> bool:
        """Whether the partition has a published version."""
        return key in self._pinned or self.manifest_path(key).exists()

    @contextmanager
    def write(self, key: PartitionKey) -> Iterator[PartitionWriter]:
        """Writes a new version: published if the block ends normally, discarded if it raises.

        Yields:
            The writer for accepted and rejected rows.

        Raises:
            StoreError: The disk is full, or may not be written.
        """
        version = _new_version()
        rows, rejected_rows = (self._file(key, version, end) for end in ("jsonl", "rejected.jsonl"))
        with draft(rows) as accepted, draft(rejected_rows) as rejected:
            writer = PartitionWriter(rows, self._replaceable(key), accepted, rejected)
            yield writer
            try:
                attached = {
                    name: write_attachment(self._file(key, version, name), attachment)
                    for name, attachment in writer.attachments.items()
                }
                rejected.publish()
                accepted.publish()
                sync_folder(rows.parent)
                self._publish(key, version, writer, attached)
            except BaseException:
                self._discard(key, version)
                raise
        self._pinned.pop(key, None)
        try:
            self.clear(key, listing(rows.parent))
            clear_drafts(rows.parent.parent, _now() - ABANDONED)
        except (SdgError, OSError) as error:
            logger.warning("%s: old versions will be deleted by the next run (%s)", key, error)

    def manifest(self, key: PartitionKey) -> Manifest:
        """The manifest of the partition's published version.

        Raises:
            StoreError: The partition is not published, or its manifest is corrupt.
        """
        manifest = self._manifest(key)
        if manifest is None:
            path = self.manifest_path(key)
            raise StoreError(f"{key}: not in the store ({path}); materialize it first")
        return manifest

    def manifests(self, keys: Iterable[PartitionKey]) -> dict[PartitionKey, Manifest]:
        """The manifests of many partitions; partitions that are not published are left out.

        Args:
            keys: The partitions. They are read in parallel: in a bucket each needs a request.

        Raises:
            StoreError: A manifest is corrupt.
        """
        keys = list(keys)
        with ThreadPoolExecutor(REQUESTS) as pool:
            manifests = zip(keys, pool.map(self._manifest, keys), strict=True)
            return {key: manifest for key, manifest in manifests if manifest}

    def read(self, key: PartitionKey, record: type[RecordT]) -> Iterator[RecordT]:
        """Streams a partition's accepted rows, verified against its manifest.

        Args:
            key: The partition.
            record: The stage's record class.

        Raises:
            StoreError: The partition or its file is missing, a line is corrupt (the message gives
                file and line number), or the content differs from the published content.
        """
        published, path, file = self._opened(key, "jsonl")
        yield from verified_rows(file, path, key, record, published.rows, published.sha256)

    def read_rejected(self, key: PartitionKey) -> Iterator[Rejection]:
        """Streams a partition's rejected rows, verified against its manifest.

        Args:
            key: The partition.

        Raises:
            StoreError: As in `read`.
        """
        published, path, file = self._opened(key, "rejected.jsonl")
        rows = sum(published.rejected.values())
        yield from verified_rows(file, path, key, Rejection, rows, published.rejected_sha256)

    def attachment(self, key: PartitionKey, name: str) -> bytes:
        """The content of a file that was published with a partition.

        Args:
            key: The partition.
            name: Name of the attachment.

        Raises:
            StoreError: The file is missing, or its content differs from the published content.
        """
        with self.open_attachment(key, name) as file:
            return file.read()

    @contextmanager
    def open_attachment(self, key: PartitionKey, name: str) -> Iterator[BinaryIO]:
        """Opens a file that was published with a partition; for files too large for memory.

        Args:
            key: The partition.
            name: Name of the attachment.

        Yields:
            A local file: that of the store, or a temporary copy of one in a bucket.

        Raises:
            StoreError: As in `attachment`.
        """
        manifest, path, published = self._opened(key, name)
        with published, ExitStack() as stack:
            file = published
            if not isinstance(path, Path):
                with clear_errors(temporary_directory(), "TMPDIR"):
                    file = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile()))
            digest = hashlib.sha256()
            while data := _block(published, path):
                digest.update(data)
                if file is not published:
                    with clear_errors(temporary_directory(), "TMPDIR"):
                        file.write(data)
            if digest.hexdigest() != manifest.attached.get(name):
                raise StoreError(f"{path}: not what was published; materialize {key} again")
            file.seek(0)
            yield file

    def clear(self, key: PartitionKey, files: Iterable[Listed]) -> int:
        """Removes versions of a partition that nobody reads or writes any more.

        These are versions replaced more than `ABANDONED` ago, versions of writers that were killed
        as long ago, and unpublished attempts older than `KEPT_ASIDE`.

        Args:
            key: The partition.
            files: The files in the partition's folder.

        Returns:
            Number of removed files.

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

    def _publish(
        self, key: PartitionKey, version: str, writer: PartitionWriter, attached: Mapping[str, str]
    ) -> None:
        manifest = Manifest(
            rows=writer.rows,
            sha256=writer.sha256,
            rejected=writer.rejected,
            rejected_sha256=writer.rejected_sha256,
            written_at=_now(),
            attached=dict(attached),
            info=writer.info,
            version=version,
            replaced=_still_read(self._replaceable(key)),
        )
        write_atomic(self.manifest_path(key), manifest.model_dump_json(indent=1).encode())

    def _discard(self, key: PartitionKey, version: str) -> None:
        """Removes a version whose write failed, to free its space: the disk may be full.

        In a bucket `clear` removes it later: a request that failed here may still reach the server.
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
        """Opens a file of the published version.

        Returns:
            The manifest, the file's path, and the open file.

        Raises:
            StoreError: The partition is not published, or the file is missing.
            TransientError: Other runs replaced the version in each of `OPEN_ATTEMPTS` attempts.
        """
        for _ in range(OPEN_ATTEMPTS):
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
                manifest = Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise StoreError(f"{path}: corrupt manifest; materialize {key} again") from error
        if manifest.layout > LAYOUT:
            raise StoreError(
                f"{path}: written by a newer version of sdg_assets (layout {manifest.layout}, this "
                f"one reads up to {LAYOUT}); install that version, or use another SDG_STORE"
            )
        return manifest

    def _replaceable(self, key: PartitionKey) -> Manifest | None:
        """The manifest that a new version replaces; None if there is none, or it is corrupt."""
        try:
            return self._read_manifest(key)
        except StoreError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            logger.warning("%s; its rows cannot be compared with the new ones", error)
            return None


def _still_read(manifest: Manifest | None, *, replaced: bool = True) -> dict[str, datetime]:
    """Replaced versions that somebody may still be reading.

    Args:
        manifest: The published manifest, if there is one.
        replaced: Whether a new version is about to replace that manifest's version, too.

    Returns:
        Version → when it was replaced.
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


def _block(file: BinaryIO, path: Place) -> bytes:
    with clear_errors(str(path)):
        return file.read(BLOCK_BYTES)
