"""Rows as hashed shingles, and the two keys by which their duplicates are looked up.

A row has three parts: its question, its passage and its choices. The parts are kept apart, because
different questions may share a whole passage, a stem ("Which of these is a mammal?") or their
choices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sdg_assets.answers.wording import UNSPACED, normalized
from sdg_assets.records import Example
from sdg_assets.signatures.primitives import hash32, xxh3_64_digest

PARTS = ("question", "context", "choices")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"[-+.]?\d\S*")
_MOST_TOKENS = 1 << 20


@dataclass(frozen=True)
class Shingled:
    """Rows as hashes.

    Attributes:
        hashes: Shingles of all parts of all rows, one part after the other: uint32.
        owners: The part that each shingle belongs to, row * 3 + position in `PARTS`, ascending:
            int64.
        exact: Equal for rows with the same folded question, context and choices: uint64.
        keys: Equal for rows with the same answer and the same numbers in the question: uint64.
        weak: 1 for rows whose answer carries little information: uint8.
    """

    hashes: NDArray[np.uint32]
    owners: NDArray[np.int64]
    exact: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    weak: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.keys)


def exact_text(row: Example) -> str:
    """A text that is equal for rows that ask the same, apart from typography and choice order.

    The answer is left out: the same question with two answers is a contradiction, not two rows.
    """
    context = _plain(row.context, row.language) if row.context else ""
    question = _plain(row.question, row.language)
    return "\n".join([context, question, *_choices(tuple(row.choices), row.language)])


def hashed(texts: Iterable[str]) -> NDArray[np.uint64]:
    """A 64-bit hash of each text; the probability of a collision among five million is 1e-6."""
    digests = b"".join(xxh3_64_digest(_bytes(text)) for text in texts)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def shingled(rows: Sequence[Example]) -> Shingled:
    """Folds, cuts and hashes rows.

    The shingles are words; in scripts without spaces, pairs of characters. A row with a weak answer
    also has pairs of neighbouring shingles: only the order of words distinguishes "convert a list
    to a tuple" from "convert a tuple to a list". Choices are used if they were written for the row;
    given choices, as of a label or a boolean, belong to the task.

    Args:
        rows: Any number of rows; the result for a row depends only on that row.
    """
    texts: list[str] = []
    exact: list[str] = []
    keys: list[str] = []
    policies = [row.answer_kind.policy for row in rows]
    for row, policy in zip(rows, policies, strict=True):
        text = exact_text(row)
        context, question, *choices = text.split("\n")
        exact.append(text)
        texts += (question, context, " ".join(choices) if policy.choices_are_written else "")
        answer = "" if policy.is_worded_freely else _plain(row.answer, row.language)
        kind = "weak" if policy.is_weak_evidence else ""
        numbers = _NUMBER.findall(question) if _DIGIT.search(question) else ()
        keys.append("\n".join([kind, answer, *numbers]))
    weak = np.array([policy.is_weak_evidence for policy in policies], np.uint8)
    return Shingled(
        *_with_pairs(*_words(texts), weak),
        hashed(exact),
        hashed(keys),
        weak,
    )


def _words(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The hash of every shingle, and the position of its text."""
    import polars as pl

    texts = [
        text if text.isascii() else _bytes(_cut(text)).decode(errors="replace") for text in texts
    ]
    tokens = pl.Series(texts, dtype=pl.String).str.split(" ")
    owners = np.repeat(np.arange(len(texts)), tokens.list.len().to_numpy().astype(np.int64))
    encoded = tokens.explode(empty_as_null=False).to_arrow().dictionary_encode()
    if len(_VOCABULARY) > _MOST_TOKENS:
        _VOCABULARY.clear()
    distinct = encoded.dictionary.to_pylist()
    hashes = np.fromiter(map(_VOCABULARY.__getitem__, distinct), np.uint32, len(distinct))
    places = encoded.indices.to_numpy()
    is_token = np.array([token != "" for token in distinct], bool)[places]
    return hashes[places][is_token], owners[is_token]


def _with_pairs(
    hashes: NDArray[np.uint32], owners: NDArray[np.int64], weak: NDArray[np.uint8]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Adds a shingle for each pair of neighbours in a part of a weak row."""
    paired = np.flatnonzero((owners[1:] == owners[:-1]) & (weak[owners[1:] // len(PARTS)] == 1))
    pairs = hashes[paired] * np.uint32(0x9E3779B1) ^ hashes[paired + 1] * np.uint32(0x85EBCA77)
    owners = np.concatenate([owners, owners[paired]])
    order = np.argsort(owners, kind="stable")
    return np.concatenate([hashes, pairs])[order], owners[order]


def _cut(text: str) -> str:
    """Joins each character of a script without spaces with the one before it; words stay.

    A single character carries little information: ten make up a third of any Japanese text.
    """
    tokens, previous = [], ""
    for token in text.split(" "):
        unspaced = _UNSPACED.match(token) is not None
        tokens.append(previous + token if unspaced else token)
        previous = token if unspaced else ""
    return " ".join(tokens)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=1 << 14)
def _choices(choices: tuple[str, ...], language: str) -> list[str]:
    return sorted(_plain(choice, language) for choice in choices)


@lru_cache(maxsize=1 << 12)
def _plain(text: str, language: str) -> str:
    # A text of punctuation only comes back unchanged, with its line breaks.
    return normalized(text, language).replace("\n", " ")


class _Vocabulary(dict[str, int]):
    """Token → hash, computed once: a language has few words."""

    def __missing__(self, token: str) -> int:
        self[token] = token_hash = hash32(_bytes(token))
        return token_hash


_VOCABULARY = _Vocabulary()
