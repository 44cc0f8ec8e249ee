"""Notes of people on rows: a verdict and a reason, kept beside the partition, never inside it.

    <store>/<task>/notes/<subtask>/<reviewer>.jsonl

Each reviewer has a file of their own, which only grows: a later note on a row replaces an earlier
one when notes are counted, and both stay. A row is known by its id, a hash of its content, so a
note holds for the row in every stage and release. A bucket cannot append, so there the reviewer's
file is written anew with one line more.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, ValidationError

from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.records import Record
from sdg_assets.store.disk import clear_errors
from sdg_assets.store.partitions import Store
from sdg_assets.store.places import Place, listing, sync_folder
from sdg_assets.store.rows import line_of

FOLDER = "notes"
SUFFIX = ".jsonl"
REVIEWER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
Verdict = Literal["good", "bad"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_writing = threading.Lock()


class Note(Record):
    """What a person found when they read a row."""

    row: str = Field(description="id of the row; a hash of its content for a row without an id")
    stage: str = Field(description="stage in which it was read, or `curated` for a release")
    version: str = Field(description="version of the partition, or id of the release")
    verdict: Verdict = Field(description="whether a model should train on the row")
    why: str = Field(default="", max_length=2000, description="the reviewer's words")
    reviewer: str = Field(
        pattern=rf"^{REVIEWER.pattern}$",
        description="name of the reviewer, which is also the file's name",
    )
    at: datetime = Field(description="when the note was written")


def add_note(store: Store, task: str, subtask: str, note: Note) -> Place:
    """Appends a note to its reviewer's file.

    Args:
        store: The store.
        task: The seed task of the row.
        subtask: Its subtask.
        note: The note.

    Returns:
        The reviewer's file.

    Raises:
        StoreError: The disk is full, or may not be written.
    """
    place = notes_folder(store, task, subtask) / f"{note.reviewer}{SUFFIX}"
    line = line_of(note)
    with _writing:
        if not isinstance(place, Path):
            place.write_bytes(_bytes_of(place) + line)
            return place
        with clear_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            # One write of a file opened for appending: two processes cannot mix their lines.
            descriptor = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(place.parent)
    return place


def notes_of(store: Store, task: str, subtask: str) -> list[Note]:
    """All notes on the rows of a subtask, in the order in which they were written.

    Raises:
        StoreError: A line is no note.
    """
    folder = notes_folder(store, task, subtask)
    files = [file.name for file in listing(folder) if file.name.endswith(SUFFIX)]
    notes = [note for name in sorted(files) for note in _notes(folder / name)]
    return sorted(notes, key=lambda note: note.at)


def standing(notes: Iterable[Note]) -> dict[tuple[str, str], Note]:
    """(row, reviewer) → the reviewer's last note on the row."""
    return {(note.row, note.reviewer): note for note in notes}


def reviewer_named(name: str) -> str:
    """A reviewer's name, checked.

    Raises:
        PermanentError: It cannot be a file's name.
    """
    if not REVIEWER.fullmatch(name):
        raise PermanentError(
            "reviewer: give a name of 1 to 40 letters, digits, - and _, as it names a file"
        )
    return name


def notes_folder(store: Store, task: str, subtask: str) -> Place:
    """The folder of the notes on a subtask's rows."""
    return store.root / task / FOLDER / subtask


def _notes(place: Place) -> Iterator[Note]:
    for number, line in enumerate(_bytes_of(place).splitlines(), start=1):
        try:
            yield Note.model_validate_json(line)
        except ValidationError as error:
            raise StoreError(
                f"{place}:{number}: is no note of this version; mend or delete the line"
            ) from error


def _bytes_of(place: Place) -> bytes:
    try:
        with clear_errors(str(place)):
            return place.read_bytes()
    except FileNotFoundError:
        return b""
