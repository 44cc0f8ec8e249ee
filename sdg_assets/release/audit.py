"""The held-out audit of a release: how near its rows come to each benchmark. It holds no text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

AUDIT = "heldout_audit.jsonl"
SHOWN = 20
"""How many benchmarks the card lists."""


@dataclass(frozen=True)
class NearRow:
    """An accepted row that resembles a held-out question."""

    row: str
    """The row's id."""
    score: float
    """The share of the question's n-grams, weighted by rarity, that the row contains."""


@dataclass(frozen=True)
class Compared:
    """A held-out collection that the rows of a release were compared with."""

    name: str
    """`task/subtask`, or a protected benchmark's name."""
    refused: int = 0
    """Rows that were refused because they repeat it, here or in `filtered`."""
    suspicious: int = 0
    """Rows with some overlap that were kept."""
    shared_contexts: int = 0
    """Rows that were kept and have a held-out passage, with another question."""
    compared: int = 0
    """Rows that were compared with it."""
    heldout_rows: int = 0
    """Its own rows."""
    least_score: float = 0.0
    """Lower scores are not computed: fewer near rows than ten mean that no other reaches it."""
    nearest: Sequence[NearRow] = ()
    """The accepted rows with the highest scores."""

    @property
    def is_hit(self) -> bool:
        """Whether a row was refused, or kept with some overlap."""
        return bool(self.refused or self.suspicious)

    @property
    def highest(self) -> float:
        """The score of the nearest accepted row; 0 if none was computed."""
        return self.nearest[0].score if self.nearest else 0.0


def audit_entries(audit: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """The lines of `AUDIT`, one a collection."""
    return (asdict(compared) for compared in audit)


def nearest_of(audit: Sequence[Compared]) -> list[Compared]:
    """The collections that an accepted row comes nearest to, at most `SHOWN`."""
    near = [compared for compared in audit if compared.nearest]
    return sorted(near, key=lambda compared: (-compared.highest, compared.name))[:SHOWN]
