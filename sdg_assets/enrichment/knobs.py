"""How the solver and the judge are used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SolverKnobs:
    """The number of votes, the majority that decides, and the optional texts of the solver."""

    votes: int = 3
    adaptive: bool = True
    """Whether voting stops once it is decided; otherwise every row gets all votes."""
    majority: float = 0.5
    temperature: float = 0.7
    max_tokens: int | None = None
    """Most tokens of a vote; None: by the solver's class, see `teacher.lengths`."""
    accept_corrections: bool = False
    correction_share: float = 0.8
    """Share of the planned votes needed to overrule the writer, if corrections are accepted."""
    with_knowledge: bool = True
    knowledge_max_tokens: int | None = None
    """Most tokens of a background; None: by the solver's class."""
