"""Converts rows to lines of JSON and back; reading verifies that the file is the published one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import BinaryIO, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.records import Record
from sdg_assets.store.disk import clear_errors
from sdg_assets.store.places import Place

RecordT = TypeVar("RecordT", bound=Record)


def line_of(row: Record) -> bytes:
    """A row as a line of JSON in UTF-8, newline included."""
    try:
        text = row.model_dump_json()
    except PydanticSerializationError:
        # A lone surrogate, which JSON datasets may contain and UTF-8 cannot encode. U+FFFD replaces
        # it so that the row is kept; the format gate looks for that character.
        text = json.dumps(row.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.encode("utf-8") + b"\n"


def verified_rows(
    file: BinaryIO, path: Place, key: object, record: type[RecordT], published: int, sha256: str
) -> Iterator[RecordT]:
    """Streams the rows of a file; after the last row it verifies that they are as published.

    Args:
        file: The open file; it is closed at the end.
        path: Location of the file, for messages.
        key: The partition, for messages.
        record: The rows' class.
        published: Number of published rows.
        sha256: SHA-256 of the published content, in hex.

    Raises:
        StoreError: A line is corrupt, or the content differs from the published content.
        TransientError: The file, in a bucket, was deleted while it was read.
    """
    rows, digest = 0, hashlib.sha256()
    with file:
        for rows, line in enumerate(_lines(file, path), start=1):
            digest.update(line)
            yield _parse(line, record, path, rows)
    if (rows, digest.hexdigest()) != (published, sha256):
        raise StoreError(
            f"{path}: holds {rows} rows that differ from the {published} published; "
            f"materialize {key} again"
        )


def _lines(file: BinaryIO, path: Place) -> Iterator[bytes]:
    try:
        with clear_errors(str(path)):
            yield from file
    except FileNotFoundError:
        # Happens only in a bucket: in a directory an open file stays readable after its deletion.
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
