"""Checksums in the lines of a completion log, so that a flipped bit on a disk is noticed.

A line stays valid JSON. Its last member, `sha256`, is the first 16 hex digits of the SHA-256 of the
line without that member.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

from pydantic import ValidationError

from sdg_assets.errors import StoreError
from sdg_assets.teacher.requests import Completion

HEX_DIGITS = 16
NAME = b',"sha256":"'
TAIL = len(NAME) + HEX_DIGITS + len(b'"}\n')
# Every line begins with this, and it occurs nowhere else: quotes inside a text are escaped.
START = b'{"request_id":"'


def sealed(completion: Completion) -> bytes:
    """The completion's line, newline included."""
    content = completion.model_dump_json().encode()
    return content[:-1] + _tail(content)


def unsealed(line: bytes, where: object) -> Completion | None:
    """The completion in a line; None if the line is damaged.

    Args:
        line: The line with its newline.
        where: File and line number, for the error.

    Raises:
        StoreError: The line is undamaged, but this version of the package cannot read it.
    """
    content = line[:-TAIL] + b"}"
    if line[-TAIL:] != _tail(content):
        return None
    try:
        return Completion.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(
            f"{where}: not a completion of this version; move the file away to ask the teacher "
            "again, or use the version that wrote it"
        ) from error


def recovered(line: bytes, where: object) -> list[Completion]:
    """Whole completions in a damaged line: a damaged newline joins two lines.

    Args:
        line: The damaged line.
        where: File and line number, for errors.

    Raises:
        StoreError: As for `unsealed`.
    """
    starts = []
    start = line.find(START)
    while start >= 0:
        starts.append(start)
        start = line.find(START, start + 1)
    pieces = [line[begin:end] for begin, end in pairwise([*starts, len(line)])]
    completions = [unsealed(piece[:-1] + b"\n", where) for piece in pieces]
    return [completion for completion in completions if completion]


def _tail(content: bytes) -> bytes:
    return NAME + hashlib.sha256(content).hexdigest()[:HEX_DIGITS].encode() + b'"}\n'
