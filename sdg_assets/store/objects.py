"""S3-compatible object storage, behind the few methods of `pathlib.Path` that a store needs.

The client is obstore, the Python binding of Apache Arrow's `object_store` crate. What decided: a
write is visible whole or not at all, multipart ones too (an fsspec file commits the half that was
written when its `with` block raises); listings are never cached; retries are bounded and back off;
it is one wheel without dependencies, where s3fs brings a pinned botocore.

Key, endpoint and region come from the variables every S3 client reads (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`), or from a pod's
web identity; the key must be allowed to get, put, delete and list. A server's own words are not
passed on: S3 repeats the access key in some of them.
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

# The bucket names that AWS allows; a key and secret in the address cannot pass for one.
READ_BYTES = 4 << 20
RETRIES = 6
RETRY_SECONDS = 90
REQUEST_SECONDS = 60
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
# Where a process may get a key from without being given one.
IDENTITIES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
# Asked for a key, as a last resort, on a machine in the cloud.
METADATA_SERVICE = "latest/api/token"
WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}


@dataclass(frozen=True)
class Listed:
    """An object, or a file, as a listing knows it."""

    name: str
    """Relative to what was listed."""
    size: int
    modified: datetime


@dataclass(frozen=True)
class ObjectPath:
    """An object, or the folder that a key's `/` suggests. Errors are as `translated` says."""

    bucket: str
    key: str
    _client: S3Store = field(repr=False, compare=False)

    @classmethod
    def at(cls, url: str) -> ObjectPath:
        """The place an address names.

        Args:
            url: `s3://bucket` or `s3://bucket/prefix`.

        Raises:
            PermanentError: It is no such address, or the environment's endpoint is none.
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
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def parent(self) -> ObjectPath:
        """The folder around it."""
        return self._sibling(PurePosixPath(self.key).parent)

    def with_suffix(self, suffix: str) -> ObjectPath:
        """As of `Path`."""
        return self._sibling(PurePosixPath(self.key).with_suffix(suffix))

    def exists(self) -> bool:
        """Whether there is such an object."""
        import obstore

        try:
            # Not HEAD: its answer has no body, so a missing bucket looks like a missing object.
            with self._spoken("read"):
                obstore.get(self._client, self.key)
        except FileNotFoundError:
            return False
        return True

    def read_bytes(self) -> bytes:
        """The whole object.

        Raises:
            FileNotFoundError: There is none.
        """
        import obstore

        with self._spoken("read"):
            return bytes(obstore.get(self._client, self.key).bytes())

    def open(self, _mode: str = "rb") -> BinaryIO:
        """The object as a stream that holds a few megabytes and no connection between reads.

        Raises:
            FileNotFoundError: There is none.
        """
        import obstore

        with self._spoken("read"):
            size = obstore.head(self._client, self.key)["size"]
        return io.BufferedReader(_Ranges(self, size), READ_BYTES)

    def read_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, which is not among them."""
        import obstore

        with self._spoken("read"):
            return bytes(obstore.get_range(self._client, self.key, start=start, end=end))

    def write_bytes(self, data: bytes) -> int:
        """Puts the whole object in place, or leaves what was there."""
        self._put(data)
        return len(data)

    def upload(self, file: Path | IO[bytes]) -> None:
        """Puts a local file, or all of an open one, in place as a whole; large ones in parts."""
        if not isinstance(file, Path):
            file.seek(0)
        self._put(file)

    def unlink(self, missing_ok: bool = True) -> None:
        """Removes the object; S3 does not tell whether there was one."""
        import obstore

        with self._spoken("write"):
            obstore.delete(self._client, self.key)

    def listing(self) -> Iterator[Listed]:
        """Every object below this folder, in no promised order."""
        import obstore

        start = len(self.key) + 1 if self.key else 0
        with self._spoken("list"):
            for batch in obstore.list(self._client, self.key or None, chunk_size=1000):
                for found in batch:
                    yield Listed(found["path"][start:], found["size"], found["last_modified"])

    def _put(self, content: bytes | Path | IO[bytes]) -> None:
        import obstore

        with self._spoken("write"):
            obstore.put(self._client, self.key, content)

    def _sibling(self, key: PurePosixPath) -> ObjectPath:
        return ObjectPath(self.bucket, "" if key == PurePosixPath() else str(key), self._client)

    @contextmanager
    def _spoken(self, doing: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            told = str(error)
            if doing == "read" and _code(told) != "NoSuchBucket":
                raise FileNotFoundError(errno.ENOENT, "no such object", str(self)) from None
            raise translated(self, doing, told) from None
        except BaseError as error:
            raise translated(self, doing, str(error)) from None


def translated(place: ObjectPath, doing: str, told: str) -> SdgError:
    """What to do about an error of the object store.

    Args:
        place: What was read, written or listed.
        doing: "read", "write" or "list".
        told: The client's message, from which only status and error code are kept.

    Returns:
        A `PermanentError` for what a rerun cannot change, naming the bucket and the variable; else
        a `TransientError`: the client has retried by then.
    """
    status, code = _status(told), _code(told)
    said = code or (f"HTTP {status}" if status else "no answer")
    if code == "NoSuchBucket" or (status == 404 and doing != "read"):
        return PermanentError(f"{place}: no bucket {place.bucket!r}; create it or set SDG_STORE")
    if code in WRONG_REGION or "redirect" in told[:400]:
        return PermanentError(
            f"{place}: bucket {place.bucket!r} lies elsewhere ({said}); set AWS_REGION"
        )
    if status in (401, 403):
        return PermanentError(
            f"{place}: not allowed to {doing} in bucket {place.bucket!r} ({said}); {KEYS} must "
            "be of a key that may"
        )
    if METADATA_SERVICE in told and not any(name in os.environ for name in IDENTITIES):
        return PermanentError(f"{place}: no key for bucket {place.bucket!r}; set {KEYS}")
    if status and 400 <= status < 500 and status not in (408, 429):
        return PermanentError(f"{place}: refused to {doing} it ({said}); see AWS_ENDPOINT_URL")
    return TransientError(
        f"{place}: could not {doing} it after retries ({said}); is the object store up, and "
        "AWS_ENDPOINT_URL its address?"
    )


def _status(told: str) -> int | None:
    match = re.search(r"status code: (\d{3})", told)
    return int(match[1]) if match else None


def _code(told: str) -> str:
    match = re.search(r"<Code>(\w{1,60})</Code>", told)
    return match[1] if match else ""


def _client(bucket: str) -> S3Store:
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    if endpoint and not re.fullmatch(r"https?://[^\s/@]+/?\S*", endpoint):
        raise PermanentError(f"s3://{bucket}: AWS_ENDPOINT_URL is not http(s)://host:port")
    options: dict[str, Any] = {
        "client_options": {
            # Plain HTTP only where the operator's own endpoint says so.
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
            f"s3://{bucket}: the client refuses the environment; see AWS_ENDPOINT_URL, AWS_REGION"
        ) from None


class _Ranges(io.RawIOBase):
    """An object read by ranges: a reader that pauses for hours holds no connection open."""

    def __init__(self, place: ObjectPath, size: int) -> None:
        self._place = place
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 – typeshed's WriteableBuffer
        end = min(self._at + len(buffer), self._size)
        if end == self._at:
            return 0
        data = self._place.read_range(self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
