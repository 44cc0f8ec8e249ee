"""How different the questions of a task are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from sdg_assets.answers.wording import normalized, tokens

NEAR = 0.5


@dataclass(frozen=True)
class Diversity:
    """Figures over a sample of questions, each from 0 (all alike) to 1 but `self_similarity`."""

    distinct_1: float
    distinct_2: float
    distinct_3: float
    self_similarity: float
    """Mean likeness of a question to the one that is nearest to it, 0 to 1."""
    near: float
    """Share of questions that have another within `NEAR`."""


def measure(questions: Sequence[str]) -> Diversity:
    """Measures a sample of questions.

    Args:
        questions: Of one task; every pair is compared, so a hundred or so.

    Returns:
        distinct-n as Li et al. (2016) define it: distinct n-grams over all n-grams, in words as
        `answers.wording` sees them; and nearest neighbours by Jaccard similarity of word bigrams.
    """
    words = [[m[0] for m in tokens(normalized(question))] for question in questions]
    grams = [set(pairwise(w)) or {(" ".join(w), "")} for w in words]
    nearest = [
        max((_jaccard(a, b) for j, b in enumerate(grams) if i != j), default=0.0)
        for i, a in enumerate(grams)
    ]
    near = sum(likeness >= NEAR for likeness in nearest) / len(nearest) if nearest else 0.0
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
