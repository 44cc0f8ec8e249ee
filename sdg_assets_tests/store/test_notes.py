"""Notes of people on rows: appended beside the partition, counted by their last verdict."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.store.leftovers import clear_leftovers
from sdg_assets.store.notes import Note, add_note, notes_of, reviewer_named
from sdg_assets.store.partitions import Store
from sdg_assets.store.review import counted, reviewed


def note(
    row: str, verdict: Literal["good", "bad"], reviewer: str = "ann", why: str = "", minute: int = 0
) -> Note:
    return Note(
        row=row,
        stage="filtered",
        version="v1",
        verdict=verdict,
        why=why,
        reviewer=reviewer,
        at=datetime(2026, 1, 1, 12, minute, tzinfo=UTC),
    )


def test_each_reviewer_has_a_file_that_only_grows(store: Store) -> None:
    add_note(store, "quiz", "quiz", note("r1", "bad"))
    file = add_note(store, "quiz", "quiz", note("r2", "good", minute=2))
    before = file.read_bytes()
    add_note(store, "quiz", "quiz", note("r1", "good", "ben", minute=1))
    add_note(store, "quiz", "quiz", note("r1", "good", minute=3))

    assert isinstance(file, Path)
    assert file.read_bytes().startswith(before)
    assert [n.reviewer for n in notes_of(store, "quiz", "quiz")] == ["ann", "ben", "ann", "ann"]
    assert {f.name for f in file.parent.iterdir()} == {"ann.jsonl", "ben.jsonl"}


def test_the_last_verdict_of_a_reviewer_counts(store: Store) -> None:
    for given in (
        note("r1", "bad", why="wrong"),
        note("r1", "good", minute=1),
        note("r1", "bad", "ben", "too  easy"),
        note("r2", "bad", "ben", "too easy", minute=1),
        note("r3", "good", minute=2),
    ):
        add_note(store, "quiz", "quiz", given)

    review = reviewed(store, [("quiz", "quiz"), ("quiz", "nothing")])

    assert review.sentence() == (
        "3 rows were read by 2 people: 2 of them (67%) were found bad; reviewers disagree on 1."
    )
    assert review.reasons() == [("too easy", 2)]
    assert counted(notes_of(store, "quiz", "quiz"), {"r3"}).read == 1
    assert reviewed(store, []).sentence().startswith("Nobody has read")


def test_a_cleanup_of_the_store_leaves_notes_alone(store: Store) -> None:
    old = "20260101T000000-00000000"  # looks like a version, which goes when it is old
    assert reviewer_named(old) == old
    file = add_note(store, "quiz", "quiz", note("r1", "bad", old))
    assert isinstance(file, Path)
    os.utime(file, (0, 0))

    clear_leftovers(store)

    assert file.exists()


def test_a_damaged_line_is_named(store: Store) -> None:
    file = add_note(store, "quiz", "quiz", note("r1", "bad"))
    file.write_bytes(file.read_bytes() + b'{"row": 1')

    with pytest.raises(StoreError, match=r"ann\.jsonl:2: is no note"):
        notes_of(store, "quiz", "quiz")


@pytest.mark.parametrize("name", ["", "../ann", "ann.b", "a b", "ünal", "a" * 41, "ann\n"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(PermanentError, match="reviewer"):
        reviewer_named(name)
