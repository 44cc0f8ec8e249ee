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
import json
import logging
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from sdg_assets.disk import clear_errors
from sdg_assets.errors import SdgError, StoreError, TransientError
from sdg_assets.examples import Record, Rejection
from sdg_assets.objects import Listed
from sdg_assets.places import (
    Draft,
    Place,
    clear_drafts,
    draft,
    listing,
    place_of,
    sync_folder,
    write_atomic,
)

RecordT = TypeVar("RecordT", bound=Record)
ABANDONED = timedelta(days=1)
"""Age at which nobody reads a replaced version any more, and no process still writes a draft."""
KEPT_ASIDE = timedelta(days=14)
"""How long the rows of an attempt that was not published are kept for a person to look at."""
ASIDE = "unpublished"
REQUESTS = 32
PATIENCE = 5
TOUCH_SECONDS = 3600.0
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


class Manifest(BaseModel):
    """What was published for a partition. A claim that every load checks."""

    rows: int
    sha256: str
    rejected: dict[str, int]
    rejected_sha256: str
    written_at: datetime
    attached: dict[str, str] = {}
    """Name of each file that belongs to the partition → its sha256."""
    info: dict[str, Any] = {}
    version: str
    """Which files of the partition are meant."""
    replaced: dict[str, datetime] = {}
    """Earlier versions that may still be read → when each was replaced."""


@dataclass
class PartitionWriter:
    """Collects a partition's rows; nothing is visible until the `with` block ends well."""

    path: Place
    """Where the accepted rows will lie."""
    replaces: Manifest | None
    """What is published now; None if nothing is, or if its manifest cannot be read."""
    _accepted: Draft
    _rejected: Draft
    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    """Name → content of files published with the rows: signatures, hashes."""
    _digest: Any = field(default_factory=hashlib.sha256)
    _rejected_digest: Any = field(default_factory=hashlib.sha256)
    _touched_at: float = field(default_factory=time.monotonic)

    def accept(self, row: Record) -> None:
        """Adds a row that passed."""
        line = _line(row)
        self._accepted.write(line)
        self._digest.update(line)
        self.rows += 1

    def reject(self, rejection: Rejection) -> None:
        """Keeps a row that did not, with its gate and reason."""
        line = _line(rejection)
        self._rejected.write(line)
        self._rejected_digest.update(line)
        reason = f"{rejection.gate}: {rejection.reason}"
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def put(self, row: Record | Rejection) -> None:
        """Accepts a record, rejects a `Rejection`."""
        if (now := time.monotonic()) - self._touched_at > TOUCH_SECONDS:
            # So that a file to which nothing is written for a day does not look abandoned.
            self._touched_at = now
            self._accepted.touch()
            self._rejected.touch()
        if isinstance(row, Rejection):
            self.reject(row)
        else:
            self.accept(row)

    def keep_aside(self) -> Place:
        """Keeps the rows of an attempt that is not going to be published, for `KEPT_ASIDE`.

        Nothing may be written after it.

        Returns:
            The file of the refused rows. The accepted ones lie beside it.
        """
        version = self.path.name.partition(".")[0]
        refused = self.path.parent / f"{version}.{ASIDE}.rejected.jsonl"
        self._accepted.publish(self.path.parent / f"{version}.{ASIDE}.jsonl")
        self._rejected.publish(refused)
        return refused

    @property
    def sha256(self) -> str:
        """Hash of the accepted rows so far: what this partition's content is."""
        return str(self._digest.hexdigest())

    @property
    def rejected_sha256(self) -> str:
        """Hash of the refused rows so far."""
        return str(self._rejected_digest.hexdigest())


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
            for name, data in writer.attachments.items():
                write_atomic(self._file(key, version, name), data)
            rejected.publish()
            accepted.publish()
            sync_folder(rows.parent)
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
        yield from _verified(file, path, key, record, published.rows, published.sha256)

    def read_rejected(self, key: PartitionKey) -> Iterator[Rejection]:
        """Streams a partition's refused rows, verified as `read` does.

        Args:
            key: The partition.

        Raises:
            StoreError: As for `read`.
        """
        published, path, file = self._opened(key, "rejected.jsonl")
        rows = sum(published.rejected.values())
        yield from _verified(file, path, key, Rejection, rows, published.rejected_sha256)

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
            if isinstance(error.__cause__, ValidationError):
                return None
            raise


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


def _line(row: Record) -> bytes:
    try:
        text = row.model_dump_json()
    except PydanticSerializationError:
        # A lone surrogate, as a JSON dataset may hold. UTF-8 has no form for it; U+FFFD keeps the
        # row, and the format gate knows that mark.
        text = json.dumps(row.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.encode("utf-8") + b"\n"


def _verified(
    opened: BinaryIO,
    path: Place,
    key: PartitionKey,
    record: type[RecordT],
    published: int,
    sha256: str,
) -> Iterator[RecordT]:
    rows, digest = 0, hashlib.sha256()
    with opened:
        for rows, line in enumerate(_lines(opened, path), start=1):
            digest.update(line)
            yield _parse(line, record, path, rows)
    if (rows, digest.hexdigest()) != (published, sha256):
        raise StoreError(
            f"{path}: holds {rows} rows that differ from the {published} published; "
            f"materialize {key} again"
        )


def _lines(opened: BinaryIO, path: Place) -> Iterator[bytes]:
    try:
        with clear_errors(str(path)):
            yield from opened
    except FileNotFoundError:
        # Only in a bucket: in a directory an open file outlives its name.
        raise TransientError(f"{path}: deleted while it was read; run again") from None


def _parse(line: bytes, record: type[RecordT], path: Place, number: int) -> RecordT:
    try:
        return record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "line"
        raise StoreError(
            f"{path}:{number}: not a {record.__name__} ({where}: {first['msg']}); "
            "materialize the partition again"
        ) from error
