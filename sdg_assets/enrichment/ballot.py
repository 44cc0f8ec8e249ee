"""One vote on a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from sdg_assets.records import Example, VoteFault
from sdg_assets.teacher.requests import Completion

VOTE_FAULTS: Mapping[str, VoteFault] = {
    fault.replace("_", " "): fault for fault in get_args(VoteFault)
}
"""The words of a fault, as in `teacher.requests.FAULTS` → the fault."""


@dataclass(frozen=True)
class Ballot:
    """One vote: the solver's completion, the answer in it, and the question as presented to it."""

    answer: str | None
    completion: Completion
    presented: Example
    fault: VoteFault | None = None
    """Why it has no answer that counts; None if it is whole, be it with or without an answer."""
