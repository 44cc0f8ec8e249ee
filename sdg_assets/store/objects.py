"""S3-compatible object storage, with the few methods of `pathlib.Path` that the store needs.

The client is obstore, the Python binding of Apache Arrow's `object_store` crate. Reasons: every
write is atomic, multipart uploads included (an fsspec file commits the half that was written when
its `with` block raises); listings are never cached; retries are bounded and back off; obstore is
one wheel without dependencies, while s3fs needs a pinned botocore.

Key, endpoint and region come from the variables that every S3 client reads (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`), or from a pod's
web identity. The key needs permission to get, put, delete and list. The server's own messages are
not shown, because S3 repeats the access key in some of them.
"""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from sdg_assets.addresses import BUCKET_URL
from sdg_assets.errors import PermanentError, SdgError, TransientError

if TYPE_CHECKING:
    from obstore.store import S3Store

READ_BYTES = 4 << 20
RETRIES = 6
RETRY_SECONDS = 90
REQUEST_SECONDS = 60
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
# Variables from which a process can get an access key. Without any of them only the metadata
# service of a cloud machine is left.
IDENTITIES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
# Path that the client requests from the metadata service when it finds no key elsewhere.
METADATA_SERVICE = "latest/api/token"
WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}


@dataclass(frozen=True)
class Listed:
    """An object or a file in a listing."""

    name: str
    """Path relative to the listed folder."""
    size: int
    """Size in bytes."""
    modified: datetime


@dataclass(frozen=True)
class ObjectPath:
    """An object, or a folder, i.e. a prefix of keys. For the errors raised see `translated`."""

    bucket: str
    key: str
    _client: S3Store = field(repr=False, compare=False)

    @classmethod
    def at(cls, url: str) -> ObjectPath:
        """The object or folder at an address.

        Args:
            url: `s3://bucket` or `s3://bucket/prefix`.

        Raises:
            PermanentError: The address, or the endpoint in the environment, is not valid.
        """
        match = BUCKET_URL.fullmatch(url)
        if not match:
            raise PermanentError("SDG_STORE: not s3://bucket/prefix")
        return cls(match["bucket"], (match["key"] or "").strip("/"), _client(match["bucket"]))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(self.bucket, f"{self.key}/{name}".lstrip("/"), self._client)

    @property
    def name(self) -> str:
        """The part of the key after its last `/`."""
        return PurePosixPath(self.key).name

    @property
    def parent(self) -> ObjectPath:
        """The folder that contains it."""
        return self._sibling(PurePosixPath(self.key).parent)

    def with_suffix(self, suffix: str) -> ObjectPath:
        """Like `Path.with_suffix`."""
        return self._sibling(PurePosixPath(self.key).with_suffix(suffix))

    def exists(self) -> bool:
        """Whether the object exists."""
        import obstore

        try:
            # GET, not HEAD: a HEAD response has no body that tells a missing bucket from a missing
            # object.
            with self._translated_errors("read"):
                obstore.get(self._client, self.key)
        except FileNotFoundError:
            return False
        return True

    def read_bytes(self) -> bytes:
        """The content of the object.

        Raises:
            FileNotFoundError: The object does not exist.
        """
        import obstore

        with self._translated_errors("read"):
            return bytes(obstore.get(self._client, self.key).bytes())

    def open(self, _mode: str = "rb") -> BinaryIO:
        """A stream that buffers `READ_BYTES` and keeps no connection open between reads.

        Raises:
            FileNotFoundError: The object does not exist.
        """
        import obstore

        with self._translated_errors("read"):
            size = obstore.head(self._client, self.key)["size"]
        return io.BufferedReader(_Ranges(self, size), READ_BYTES)

    def read_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` (inclusive) to `end` (exclusive)."""
        import obstore

        with self._translated_errors("read"):
            return bytes(obstore.get_range(self._client, self.key, start=start, end=end))

    def write_bytes(self, data: bytes) -> int:
        """Replaces the object atomically; returns the number of bytes written."""
        self._put(data)
        return len(data)

    def upload(self, file: Path | IO[bytes]) -> None:
        """Replaces the object atomically by a local file, uploaded in parts if it is large.

        Args:
            file: A path, or an open file, which is read from its beginning.
        """
        if not isinstance(file, Path):
            file.seek(0)
        self._put(file)

    def unlink(self, missing_ok: bool = True) -> None:
        """Removes the object. A missing object is no error: S3 does not report it."""
        import obstore

        with self._translated_errors("write"):
            obstore.delete(self._client, self.key)

    def listing(self) -> Iterator[Listed]:
        """Every object below this folder, in any order."""
        import obstore

        start = len(self.key) + 1 if self.key else 0
        with self._translated_errors("list"):
            for batch in obstore.list(self._client, self.key or None, chunk_size=1000):
                for entry in batch:
                    yield Listed(entry["path"][start:], entry["size"], entry["last_modified"])

    def _put(self, content: bytes | Path | IO[bytes]) -> None:
        import obstore

        with self._translated_errors("write"):
            obstore.put(self._client, self.key, content)

    def _sibling(self, key: PurePosixPath) -> ObjectPath:
        return ObjectPath(self.bucket, "" if key == PurePosixPath() else str(key), self._client)

    @contextmanager
    def _translated_errors(self, action: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            message = str(error)
            if action == "read" and _code(message) != "NoSuchBucket":
                raise FileNotFoundError(errno.ENOENT, "no such object", str(self)) from None
            raise translated(self, action, message) from None
        except BaseError as error:
            raise translated(self, action, str(error)) from None


def translated(place: ObjectPath, action: str, message: str) -> SdgError:
    """Turns an error of the object store into one that says what to do.

    Args:
        place: The object or folder that was read, written or listed.
        action: "read", "write" or "list".
        message: The client's message, from which only HTTP status and error code are kept.

    Returns:
        A `PermanentError`, naming the bucket and the variable to set, if a rerun would fail again;
        else a `TransientError`. The client has already retried then.
    """
    status, code = _status(message), _code(message)
    cause = code or (f"HTTP {status}" if status else "no answer")
    if code == "NoSuchBucket" or (status == 404 and action != "read"):
        return PermanentError(f"{place}: no bucket {place.bucket!r}; create it or set SDG_STORE")
    if code in WRONG_REGION or "redirect" in message[:400]:
        return PermanentError(
            f"{place}: bucket {place.bucket!r} is in another region ({cause}); set AWS_REGION"
        )
    if status in (401, 403):
        return PermanentError(
            f"{place}: not allowed to {action} in bucket {place.bucket!r} ({cause}); set {KEYS} to "
            "a key that has this permission"
        )
    if METADATA_SERVICE in message and not any(name in os.environ for name in IDENTITIES):
        return PermanentError(f"{place}: no key for bucket {place.bucket!r}; set {KEYS}")
    if status and 400 <= status < 500 and status not in (408, 429):
        return PermanentError(
            f"{place}: the object store refused to {action} it ({cause}); check AWS_ENDPOINT_URL"
        )
    return TransientError(
        f"{place}: could not {action} it after retries ({cause}); is the object store running, and "
        "is AWS_ENDPOINT_URL its address?"
    )


def _status(message: str) -> int | None:
    match = re.search(r"status code: (\d{3})", message)
    return int(match[1]) if match else None


def _code(message: str) -> str:
    match = re.search(r"<Code>(\w{1,60})</Code>", message)
    return match[1] if match else ""


def _client(bucket: str) -> S3Store:
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    if endpoint and not re.fullmatch(r"https?://[^\s/@]+/?\S*", endpoint):
        raise PermanentError(f"s3://{bucket}: AWS_ENDPOINT_URL is not http(s)://host:port")
    options: dict[str, Any] = {
        "client_options": {
            # Unencrypted HTTP only if the operator's endpoint starts with http://.
            "allow_http": endpoint.startswith("http://"),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        },
        "retry_config": {
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
        },
        **({"endpoint": endpoint} if endpoint else {}),
    }
    try:
        return S3Store(bucket, **options)
    except (BaseError, ValueError):
        raise PermanentError(
            f"s3://{bucket}: the client could not be set up; check AWS_ENDPOINT_URL and AWS_REGION"
        ) from None


class _Ranges(io.RawIOBase):
    """Reads an object in ranges: a reader that pauses for hours needs no open connection."""

    def __init__(self, place: ObjectPath, size: int) -> None:
        self._place = place
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 – typeshed's WriteableBuffer
        end = min(self._position + len(buffer), self._size)
        if end == self._position:
            return 0
        data = self._place.read_range(self._position, end)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
