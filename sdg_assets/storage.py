"""The store: where stage files lie, how they get there whole, and how they are read back.

Layout: `<store>/<task>/<stage>/<subtask>.jsonl` holds the accepted rows, `<subtask>.rejected.jsonl`
the refused ones, `<subtask>.manifest.json` what was published. Files are written beside their place
and renamed; the manifest is renamed last, so a reader that checks it never sees half a partition.

In a bucket (`SDG_STORE=s3://bucket/prefix`, see objects.py) the manifest lies in the same place and
names a version; the rows are `<stage>/<subtask>/<version>.jsonl`. What a reader may be reading is
never overwritten, and a writer killed before its manifest leaves the partition as it was.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from sdg_assets.errors import StoreError
from sdg_assets.examples import Record, Rejection
from sdg_assets.objects import ObjectPath
from sdg_assets.places import Place, draft, listing, place_of, write_atomic

RecordT = TypeVar("RecordT", bound=Record)
ABANDONED = timedelta(days=1)
REQUESTS = 32


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
    version: str = ""
    """Which files of the partition are meant; empty where they are replaced in place."""


@dataclass
class PartitionWriter:
    """Collects a partition's rows; nothing is visible until the `with` block ends well."""

    path: Place
    """Where the accepted rows will lie."""
    _accepted: IO[bytes]
    _rejected: IO[bytes]
    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    """Name → content of files published with the rows: signatures, hashes."""
    _digest: Any = field(default_factory=hashlib.sha256)
    _rejected_digest: Any = field(default_factory=hashlib.sha256)

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
        if isinstance(row, Rejection):
            self.reject(row)
        else:
            self.accept(row)

    @property
    def seen(self) -> int:
        """Rows accepted and rejected so far."""
        return self.rows + sum(self.rejected.values())

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

    def path(self, key: PartitionKey) -> Place:
        """The file of a partition's accepted rows."""
        return self._file(key, self._version(key), "jsonl")

    def rejected_path(self, key: PartitionKey) -> Place:
        """The file of a partition's refused rows."""
        return self._file(key, self._version(key), "rejected.jsonl")

    def attachment_path(self, key: PartitionKey, name: str) -> Place:
        """The file of an attachment, e.g. `<subtask>.signatures.parquet`."""
        return self._file(key, self._version(key), name)

    def manifest_path(self, key: PartitionKey) -> Place:
        """The file that says what was published."""
        return self._file(key, "", "manifest.json")

    def completions_dir(self, task: str, subtask: str) -> Place:
        """Where a subtask's completion logs lie. They outlive every re-run of its stages."""
        return self.root / task / "completions" / subtask

    def exists(self, key: PartitionKey) -> bool:
        """Whether the partition was published."""
        return self.manifest_path(key).exists()

    @contextmanager
    def write(self, key: PartitionKey) -> Iterator[PartitionWriter]:
        """Writes a partition as a whole: published if the block ends, left as it was if it raises.

        Yields:
            The writer that takes accepted and rejected rows.
        """
        version = _new_version() if isinstance(self.root, ObjectPath) else ""
        rows, refused = (self._file(key, version, end) for end in ("jsonl", "rejected.jsonl"))
        with draft(rows) as accepted, draft(refused) as rejected:
            writer = PartitionWriter(rows, accepted.file, rejected.file)
            yield writer
            manifest = Manifest(
                rows=writer.rows,
                sha256=writer.sha256,
                rejected=writer.rejected,
                rejected_sha256=writer.rejected_sha256,
                written_at=datetime.now(UTC),
                attached={name: _sha256(data) for name, data in writer.attachments.items()},
                info=writer.info,
                version=version,
            )
            replaced = self._version(key)
            for name, data in writer.attachments.items():
                write_atomic(self._file(key, version, name), data)
            rejected.publish()
            accepted.publish()
            write_atomic(self.manifest_path(key), manifest.model_dump_json(indent=1).encode())
        if version:
            self._clear_versions(key, {version, replaced})

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
        published = self.manifest(key)
        path = self._file(key, published.version, "jsonl")
        yield from _verified(path, key, record, published.rows, published.sha256)

    def read_rejected(self, key: PartitionKey) -> Iterator[Rejection]:
        """Streams a partition's refused rows, verified as `read` does.

        Args:
            key: The partition.

        Raises:
            StoreError: As for `read`.
        """
        published = self.manifest(key)
        path = self._file(key, published.version, "rejected.jsonl")
        rows = sum(published.rejected.values())
        yield from _verified(path, key, Rejection, rows, published.rejected_sha256)

    def attachment(self, key: PartitionKey, name: str) -> bytes:
        """A file that was published with a partition.

        Args:
            key: The partition.
            name: The name it was attached under.

        Raises:
            StoreError: The partition has no such file, or another one than was published.
        """
        manifest = self.manifest(key)
        published, path = manifest.attached.get(name), self._file(key, manifest.version, name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        if published is None or _sha256(data) != published:
            raise StoreError(f"{path}: not what was published; materialize {key} again")
        return data

    def _file(self, key: PartitionKey, version: str, end: str) -> Place:
        folder, name = self.root / key.task / key.stage, key.subtask
        return folder / name / f"{version}.{end}" if version else folder / f"{name}.{end}"

    def _manifest(self, key: PartitionKey) -> Manifest | None:
        path = self.manifest_path(key)
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise StoreError(f"{path}: corrupt manifest; materialize {key} again") from error

    def _version(self, key: PartitionKey) -> str:
        """The published one; none in a directory, before the first, or where it cannot be told."""
        if not isinstance(self.root, ObjectPath):
            return ""
        try:
            found = self._manifest(key)
        except StoreError:
            return ""
        return found.version if found else ""

    def _clear_versions(self, key: PartitionKey, kept: set[str]) -> None:
        """Removes what was replaced before last, and what writers left that were killed.

        The version just replaced stays for those who are reading it.
        """
        folder = self.root / key.task / key.stage / key.subtask
        for file in listing(folder):
            abandoned = datetime.now(UTC) - file.modified > ABANDONED
            if abandoned and file.name.split(".")[0] not in kept:
                (folder / file.name).unlink(missing_ok=True)


def _new_version() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


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
    path: Place, key: PartitionKey, record: type[RecordT], published: int, sha256: str
) -> Iterator[RecordT]:
    rows, digest = 0, hashlib.sha256()
    try:
        with path.open("rb") as file:
            for rows, line in enumerate(file, start=1):
                digest.update(line)
                yield _parse(line, record, path, rows)
    except FileNotFoundError:
        raise StoreError(f"{path}: gone; materialize {key} again") from None
    if (rows, digest.hexdigest()) != (published, sha256):
        raise StoreError(
            f"{path}: holds {rows} rows that differ from the {published} published; "
            f"materialize {key} again"
        )


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
