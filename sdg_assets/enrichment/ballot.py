"""One vote on a question."""

from __future__ import annotations

from dataclasses import dataclass

from sdg_assets.records import Example, VoteFault
from sdg_assets.teacher.requests import Completion


@dataclass(frozen=True)
class Ballot:
    """One vote: the solver's completion, the answer in it, and the question as presented to it."""

    answer: str | None
    completion: Completion
    presented: Example
    fault: VoteFault | None = None
    """Why it has no answer that counts; None if it is whole, be it with or without an answer."""
