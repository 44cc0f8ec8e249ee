"""What people found in the rows that they read, counted from their notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from sdg_assets.store.notes import Note, notes_of, standing
from sdg_assets.store.partitions import Store

REASONS_SHOWN = 5


@dataclass(frozen=True)
class Review:
    """Counts over the last note of each reviewer on each row."""

    read: int = 0
    """Rows with a note."""
    bad: int = 0
    """Rows that a reviewer called bad."""
    reviewers: tuple[str, ...] = ()
    disputed: int = 0
    """Rows that one reviewer called good and another bad."""
    why: Counter[str] = field(default_factory=Counter)
    """What reviewers wrote about bad rows → how often."""

    def sentence(self) -> str:
        """The counts as a sentence, for a page."""
        if not self.read:
            return "Nobody has read rows and noted a verdict yet."
        people = len(self.reviewers)
        said = f"{self.read:,} rows were read by {people} {'person' if people == 1 else 'people'}"
        found = f"{self.bad:,} of them ({self.bad / self.read:.0%}) were found bad"
        disputed = f"; reviewers disagree on {self.disputed:,}" if self.disputed else ""
        return f"{said}: {found}{disputed}."

    def counts(self) -> dict[str, object]:
        """The counts as JSON values, for a release's manifest."""
        return {
            "read": self.read,
            "bad": self.bad,
            "disputed": self.disputed,
            "reviewers": len(self.reviewers),
            "why": dict(sorted(self.why.items())),
        }

    def reasons(self) -> list[tuple[str, int]]:
        """The most frequent words about bad rows, with their counts."""
        return sorted(self.why.items(), key=lambda item: (-item[1], item[0]))[:REASONS_SHOWN]


def reviewed(
    store: Store,
    subtasks: Iterable[tuple[str, str]],
    among: Container[str] | None = None,
) -> Review:
    """Counts the notes on the rows of subtasks.

    Args:
        store: The store.
        subtasks: (task, subtask).
        among: The ids of the rows that count; None for all.

    Raises:
        StoreError: A line of notes is damaged.
    """
    notes = [note for task, subtask in subtasks for note in notes_of(store, task, subtask)]
    return counted(notes, among)


def counted(notes: Iterable[Note], among: Container[str] | None = None) -> Review:
    """Counts notes.

    Args:
        notes: In the order in which they were written: a reviewer's last one on a row counts.
        among: The ids of the rows that count; None for all.
    """
    verdicts: dict[str, set[str]] = {}
    reviewers, why = set[str](), Counter[str]()
    for note in standing(notes).values():
        if among is not None and note.row not in among:
            continue
        verdicts.setdefault(note.row, set()).add(note.verdict)
        reviewers.add(note.reviewer)
        if note.verdict == "bad" and note.why.strip():
            why[" ".join(note.why.split())[:200]] += 1
    return Review(
        read=len(verdicts),
        bad=sum("bad" in given for given in verdicts.values()),
        disputed=sum(len(given) > 1 for given in verdicts.values()),
        reviewers=tuple(sorted(reviewers)),
        why=why,
    )
