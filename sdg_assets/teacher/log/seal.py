"""A line of a completion log with its checksum, so that a flipped bit on a disk is noticed.

The line stays JSON: its last member is the start of the SHA-256 of the line as it is without it.
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
# How every line begins, and what stands nowhere else: inside a text, quotes are escaped.
START = b'{"request_id":"'


def sealed(completion: Completion) -> bytes:
    """The completion's line, newline included."""
    content = completion.model_dump_json().encode()
    return content[:-1] + _tail(content)


def unsealed(line: bytes, where: object) -> Completion | None:
    """The completion that a line holds; None if the line is not as it was written.

    Args:
        line: With its newline.
        where: File and line number, for the error.

    Raises:
        StoreError: The line is as it was written, but this version cannot read it.
    """
    content = line[:-TAIL] + b"}"
    if line[-TAIL:] != _tail(content):
        return None
    try:
        return Completion.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(
            f"{where}: not a completion of this version; move the file away to ask the teacher "
            "afresh, or go back to the version that wrote it"
        ) from error


def recovered(line: bytes, where: object) -> list[Completion]:
    """Whole completions in a damaged line: a newline that was flipped joins two lines.

    Args:
        line: The damaged line.
        where: As for `unsealed`.
    """
    starts = []
    at = line.find(START)
    while at >= 0:
        starts.append(at)
        at = line.find(START, at + 1)
    pieces = [line[begin:end] for begin, end in pairwise([*starts, len(line)])]
    whole = [unsealed(piece[:-1] + b"\n", where) for piece in pieces]
    return [completion for completion in whole if completion]


def _tail(content: bytes) -> bytes:
    return NAME + hashlib.sha256(content).hexdigest()[:HEX_DIGITS].encode() + b'"}\n'
