"""What a row is recognised by without its text: hashes of its wording, its answer, its numbers.

Hashes are xxHash3 of normalized tokens, combined by fixed arithmetic: the same on every machine and
in every release, so that they can be stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_intdigest

from sdg_assets.answers.wording import UNSPACED, normalized
from sdg_assets.examples import AnswerKind, Content, Example

if TYPE_CHECKING:
    import numpy as np

    Hashes = np.ndarray[Any, np.dtype[np.uint64]]
    Places = np.ndarray[Any, np.dtype[np.int64]]

# Words in a run, for short texts, others, and scripts whose tokens are characters. Longer runs
# break at every edited word: of 13-grams, a quarter survives an edit of every tenth word.
SHORT_RUN, WORD_RUN, CHARACTER_RUN = 2, 3, 5
RUNS = (SHORT_RUN, WORD_RUN, CHARACTER_RUN)
SHORT_TEXT = 16
LONG_ANSWER = 30
# Labels and yes or no are a task's own frame, not options of one question.
_FRAMED = frozenset({AnswerKind.BOOLEAN, AnswerKind.LABEL})
_CHARACTER = re.compile(f"[{UNSPACED}]")
_NEITHER_LETTER_NOR_DIGIT = re.compile(r"[\W_]+")
_KNOWN_TOKENS = 500_000
_MULTIPLIER = 0x9E3779B97F4A7C15


class Part(IntEnum):
    """Where in a row a run of words stands."""

    QUESTION = 0
    CHOICES = 1
    CONTEXT = 2


@dataclass(frozen=True)
class Fingerprint:
    """One row. A hash of 0 stands for what it does not have."""

    item: int
    """Context, question and choices, whatever their order."""
    wording: int
    """The question, word for word."""
    question: int
    """The question's letters and digits: copies lose spaces, hyphens and signs."""
    context: int
    """The context's letters and digits."""
    choices: int
    """The set of choices; 0 for yes or no and for labels."""
    answers: tuple[int, ...]
    """The answer, then its aliases."""
    numbers: frozenset[int]
    """The numbers in the question."""
    letters: int
    """Letters and digits of the question."""
    context_words: int
    run: int
    """The length of the runs of words by which its question is compared, see RUNS."""
    context_run: int


@dataclass(frozen=True)
class Runs:
    """All runs of words of a batch of rows: parallel arrays, each run once a row.

    `part` is the first part of the row that the run stands in, `length` its words.
    """

    hashes: Hashes
    row: Places
    part: Places
    length: Places


class Hasher:
    """Fingerprints rows, remembering the hashes of words that it has seen."""

    def __init__(self) -> None:
        self._words: dict[str, int] = {}

    def fingerprints(self, rows: Sequence[Content | Example]) -> tuple[list[Fingerprint], Runs]:
        """The fingerprint of each row, and the runs of all of them.

        Args:
            rows: Any rows. The answer kind of an `Example` tells whether its choices are its own.
        """
        import numpy as np

        if len(self._words) > _KNOWN_TOKENS:
            self._words.clear()
        prints: list[Fingerprint] = []
        words: list[int] = []
        segments: list[tuple[int, int, int, int]] = []
        for place, row in enumerate(rows):
            question, context = normalized(row.question), _normalized(row.context)
            framed = isinstance(row, Example) and row.answer_kind in _FRAMED
            choices = [] if framed else [normalized(choice) for choice in row.choices]
            for part, text in (
                (Part.QUESTION, question),
                *((Part.CHOICES, choice) for choice in choices),
                (Part.CONTEXT, context),
            ):
                if text:
                    found = self._hashes(text.split())
                    segments.append((place, part, len(found), _hash(text)))
                    words += found
            prints.append(_fingerprint(row, question, context, choices))
        return prints, _runs(np.array(words, dtype=np.uint64), segments)

    def _hashes(self, words: list[str]) -> list[int]:
        known = self._words
        try:
            return [known[word] for word in words]
        except KeyError:
            for word in words:
                if word not in known:
                    known[word] = _hash(word)
            return [known[word] for word in words]


def _fingerprint(
    row: Content | Example, question: str, context: str, choices: list[str]
) -> Fingerprint:
    words = question.split()
    spelled = "\n".join(sorted(choices))
    characters = sum(1 for word in words if len(word) == 1 and _CHARACTER.match(word))
    of_characters = characters * 2 > len(words)
    short, long = (WORD_RUN, CHARACTER_RUN) if of_characters else (SHORT_RUN, WORD_RUN)
    return Fingerprint(
        item=_hash(f"{context}\n{question}\n{spelled}"),
        wording=_hash(question),
        question=_hash(bare := _bare(question)),
        context=_hash(_bare(context)),
        choices=_hash(spelled),
        answers=tuple(_answer(text) for text in (row.answer, *row.aliases) if text),
        numbers=frozenset(_hash(word) for word in words if any(c.isdigit() for c in word)),
        letters=len(bare),
        context_words=context.count(" ") + bool(context),
        run=short if len(words) < SHORT_TEXT else long,
        context_run=long,
    )


def _answer(text: str) -> int:
    """0 for a long answer, which nobody writes twice in the same words."""
    plain = normalized(text)
    return _hash(plain) if plain.count(" ") < LONG_ANSWER else 0


def _bare(text: str) -> str:
    return _NEITHER_LETTER_NOR_DIGIT.sub("", text)


def _normalized(text: str) -> str:
    return normalized(text) if text else ""


def _hash(text: str) -> int:
    return xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) if text else 0


def _runs(words: Hashes, segments: list[tuple[int, int, int, int]]) -> Runs:
    """All runs of each length in RUNS; a segment shorter than that is one run."""
    import numpy as np

    table = np.array(segments, dtype=np.uint64).reshape(-1, 4)
    row, part, length = (table[:, column].astype(np.int64) for column in range(3))
    segment = np.repeat(np.arange(len(table)), length)
    found: list[tuple[Hashes, Places, Places]] = []
    for run in RUNS:
        mixed = np.zeros(max(len(words) - run + 1, 0), dtype=np.uint64)
        for offset in range(run):
            mixed = mixed * np.uint64(_MULTIPLIER) + words[offset : offset + len(mixed)]
        inside = segment[: len(mixed)] == segment[run - 1 : run - 1 + len(mixed)]
        whole = length < run
        hashes = np.concatenate([mixed[inside], table[whole, 3]])
        owner = np.concatenate([segment[: len(mixed)][inside], np.flatnonzero(whole)])
        found.append((_scattered(hashes, run), owner, np.full(len(hashes), run, dtype=np.int64)))
    hashes, owner, lengths = (np.concatenate(columns) for columns in zip(*found, strict=True))
    # The same run twice in a row counts once, where it stands first.
    order = np.lexsort((part[owner], hashes, row[owner]))
    hashes, owner, lengths = hashes[order], owner[order], lengths[order]
    first = np.ones(len(hashes), dtype=bool)
    first[1:] = (hashes[1:] != hashes[:-1]) | (row[owner][1:] != row[owner][:-1])
    owner = owner[first]
    return Runs(hashes[first], row[owner], part[owner], lengths[first])


def _scattered(hashes: Hashes, run: int) -> Hashes:
    """Splitmix64's finish, so that equal words in runs of other lengths give other hashes."""
    import numpy as np

    mixed = hashes + np.uint64(run)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)
