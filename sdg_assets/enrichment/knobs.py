"""How the solver is asked, and how the judge is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

JudgeApi = Literal["rubric", "reward", "score"]


@dataclass(frozen=True)
class SolverKnobs:
    """How often the solver answers, what counts as a majority, and what is written besides."""

    votes: int = 3
    adaptive: bool = True
    """Whether voting stops once it is decided; otherwise every row has the whole vote table."""
    majority: float = 0.5
    temperature: float = 0.7
    max_tokens: int = 512
    accept_corrections: bool = False
    correction_share: float = 0.8
    """Share of the planned votes that may overrule the writer, where corrections are accepted."""
    with_knowledge: bool = True
    knowledge_max_tokens: int = 256
