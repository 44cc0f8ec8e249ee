"""How much the questions of a task differ from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from sdg_assets.answers.wording import normalized, tokens

NEAR = 0.5
"""Jaccard similarity from which on two questions count as near each other."""


@dataclass(frozen=True)
class Diversity:
    """Diversity figures of a sample of questions, each from 0 to 1."""

    distinct_1: float
    """Distinct words over all words; 1: no word repeats."""
    distinct_2: float
    """The same for word bigrams."""
    distinct_3: float
    """The same for word trigrams."""
    self_similarity: float
    """Mean similarity of a question to its nearest neighbour; 1: every question has a copy."""
    near: float
    """Share of questions whose nearest neighbour is at least `NEAR` similar."""


def measure(questions: Sequence[str]) -> Diversity:
    """Measures a sample of questions.

    Args:
        questions: Questions of one task. Every pair is compared, so pass about a hundred.

    Returns:
        distinct-n by Li et al. (2016): distinct n-grams over all n-grams, with words as
        `answers.wording` splits them. Nearest neighbours by Jaccard similarity of word bigrams.
    """
    words = [[m[0] for m in tokens(normalized(question))] for question in questions]
    grams = [set(pairwise(w)) or {(" ".join(w), "")} for w in words]
    nearest = [
        max((_jaccard(a, b) for j, b in enumerate(grams) if i != j), default=0.0)
        for i, a in enumerate(grams)
    ]
    near = sum(similarity >= NEAR for similarity in nearest) / len(nearest) if nearest else 0.0
    return Diversity(
        distinct_1=_distinct(words, 1),
        distinct_2=_distinct(words, 2),
        distinct_3=_distinct(words, 3),
        self_similarity=fmean(nearest) if nearest else 0.0,
        near=near,
    )


def _distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def _jaccard(left: set[tuple[str, str]], right: set[tuple[str, str]]) -> float:
    return len(left & right) / len(left | right)
