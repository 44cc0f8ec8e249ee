"""The store: where stage files lie, how they get there whole, and how they are read back.

Layout: `<store>/<task>/<stage>/<subtask>.jsonl` holds the accepted rows, `<subtask>.rejected.jsonl`
the refused ones, `<subtask>.manifest.json` what was published. Files are written beside their place
and renamed; the manifest is renamed last, so a reader that checks it never sees half a partition.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from sdg_assets.errors import StoreError
from sdg_assets.examples import Record, Rejection

RecordT = TypeVar("RecordT", bound=Record)


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


@dataclass
class PartitionWriter:
    """Collects a partition's rows; nothing is visible until the `with` block ends well."""

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
    """Stage files under one directory."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, key: PartitionKey) -> Path:
        """The file of a partition's accepted rows."""
        return self.root / key.task / key.stage / f"{key.subtask}.jsonl"

    def rejected_path(self, key: PartitionKey) -> Path:
        """The file of a partition's refused rows."""
        return self.path(key).with_suffix(".rejected.jsonl")

    def attachment_path(self, key: PartitionKey, name: str) -> Path:
        """The file of an attachment, e.g. `<subtask>.signatures.parquet`."""
        return self.path(key).with_suffix(f".{name}")

    def completions_dir(self, task: str, subtask: str) -> Path:
        """Where a subtask's completion logs lie. They outlive every re-run of its stages."""
        return self.root / task / "completions" / subtask

    def exists(self, key: PartitionKey) -> bool:
        """Whether the partition was published."""
        return self._manifest_path(key).exists()

    @contextmanager
    def write(self, key: PartitionKey) -> Iterator[PartitionWriter]:
        """Writes a partition as a whole: published if the block ends, left as it was if it raises.

        Yields:
            The writer that takes accepted and rejected rows.
        """
        path, rejected_path = self.path(key), self.rejected_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp, rejected_tmp = _beside(path), _beside(rejected_path)
        try:
            with tmp.open("wb") as accepted, rejected_tmp.open("wb") as rejected:
                writer = PartitionWriter(accepted, rejected)
                yield writer
                for file in (accepted, rejected):
                    file.flush()
                    os.fsync(file.fileno())
            manifest = Manifest(
                rows=writer.rows,
                sha256=writer.sha256,
                rejected=writer.rejected,
                rejected_sha256=writer.rejected_sha256,
                written_at=datetime.now(UTC),
                attached={name: _sha256(data) for name, data in writer.attachments.items()},
                info=writer.info,
            )
            for name, data in writer.attachments.items():
                write_atomic(self.attachment_path(key, name), data)
            rejected_tmp.replace(rejected_path)
            tmp.replace(path)
            write_atomic(self._manifest_path(key), manifest.model_dump_json(indent=1).encode())
        finally:
            tmp.unlink(missing_ok=True)
            rejected_tmp.unlink(missing_ok=True)

    def manifest(self, key: PartitionKey) -> Manifest:
        """What was published for the partition.

        Raises:
            StoreError: Nothing was, or the manifest is corrupt.
        """
        path = self._manifest_path(key)
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise StoreError(f"{key}: not in the store ({path}); materialize it first") from None
        except ValidationError as error:
            raise StoreError(f"{path}: corrupt manifest; materialize {key} again") from error

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
        yield from _verified(self.path(key), key, record, published.rows, published.sha256)

    def read_rejected(self, key: PartitionKey) -> Iterator[Rejection]:
        """Streams a partition's refused rows, verified as `read` does.

        Args:
            key: The partition.

        Raises:
            StoreError: As for `read`.
        """
        published, path = self.manifest(key), self.rejected_path(key)
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
        published, path = self.manifest(key).attached.get(name), self.attachment_path(key, name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        if published is None or _sha256(data) != published:
            raise StoreError(f"{path}: not what was published; materialize {key} again")
        return data

    def _manifest_path(self, key: PartitionKey) -> Path:
        return self.path(key).with_suffix(".manifest.json")


def write_atomic(path: Path, data: bytes) -> None:
    """Puts a whole file in place, or leaves what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = _beside(path)
    try:
        with tmp.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _beside(path: Path) -> Path:
    # Process ids repeat: in every container the first process is 1.
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


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
    path: Path, key: PartitionKey, record: type[RecordT], published: int, sha256: str
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


def _parse(line: bytes, record: type[RecordT], path: Path, number: int) -> RecordT:
    try:
        return record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "line"
        raise StoreError(
            f"{path}:{number}: not a {record.__name__} ({where}: {first['msg']}); "
            "materialize the partition again"
        ) from error
