"""How the solver and the judge are used."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from sdg_assets.records import ReasoningSource
from sdg_assets.teacher.lengths import LENGTHS
from sdg_assets.teacher.requests import Sampling, TeacherIdentity
from sdg_assets.teacher.sampling import sampling_of

if TYPE_CHECKING:
    from sdg_assets.passages.index import PassageIndex


@dataclass(frozen=True)
class SolverKnobs:
    """The number of votes, the majority that decides, and the optional texts of the solver."""

    votes: int = 3
    adaptive: bool = True
    """Whether voting stops once it is decided; otherwise every row gets all votes."""
    majority: float = 0.5
    temperature: float | None = None
    """None: as the solver's card recommends, else 0.7."""
    max_tokens: int | None = None
    """Most tokens of a vote; None: by the solver's class, see `teacher.lengths`."""
    thinking: str = ""
    """Thinking mode of the solver; empty: the model's default."""
    reasoning: ReasoningSource = "answer"
    keep_thoughts: bool = False
    accept_corrections: bool = False
    correction_share: float = 0.8
    """Share of the planned votes needed to overrule the writer, if corrections are accepted."""
    with_knowledge: bool = True
    probe_answers: int = 4
    """Answers of the probe to each verified row, if there is a probe."""
    knowledge_max_tokens: int | None = None
    """Most tokens of a background; None: by the solver's class."""
    passages: PassageIndex | None = field(default=None, repr=False, compare=False)
    """What backgrounds are written from; None: from the solver's memory."""

    def sampling(
        self, solver: TeacherIdentity, sample: int, max_tokens: int | None = None
    ) -> Sampling:
        """How the solver's tokens are sampled.

        Args:
            solver: The solver.
            sample: Number of the vote, or of the attempt.
            max_tokens: Longest answer; None: that of a vote.
        """
        longest = max_tokens or self.max_tokens or LENGTHS[solver.teacher_class].vote
        return sampling_of(
            solver,
            thinking=self.thinking,
            temperature=self.temperature,
            otherwise=_usual(longest),
            sample=sample,
        )


@lru_cache(maxsize=64)  # the same object each time: `sampling_of` compares it with others
def _usual(max_tokens: int) -> Sampling:
    return Sampling(temperature=0.7, max_tokens=max_tokens)
