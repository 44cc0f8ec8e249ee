"""What went by while a stage wrote a partition: counts, reasons and the first refused rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sdg_assets.checks.classes import ClassBalance
from sdg_assets.checks.losses import Standing
from sdg_assets.checks.outcome import OFFENDERS_SHOWN, Offender
from sdg_assets.records import EnrichedExample, Record, Rejection, Stage
from sdg_assets.thresholds import Thresholds

REFUSED_SHOWN = 3
"""Refused rows that are kept to be shown, of each gate."""


@dataclass
class Tally:
    """Counts a stage's rows; what its checks are evaluated on."""

    stage: Stage
    min_yield: float = 0.1
    thresholds: Thresholds = field(default_factory=Thresholds)
    before: Standing | None = None
    """What the version that is published came to; None if there is none."""
    asked: int | None = None
    """`seeds`: rows that were asked for. If they are there, fewer than before are no loss."""
    accept_smaller: bool = False
    """Whether a person has accepted fewer rows, or none, in place of those published."""
    rows: int = 0
    verified: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    refused: dict[str, list[Rejection]] = field(default_factory=dict)
    """The first refused rows of each gate."""
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Refused rows by (gate, reason)."""
    unverified: list[Offender] = field(default_factory=list)
    """The first rows whose answer the solver's votes do not verify."""
    classes: ClassBalance = field(default_factory=ClassBalance)
    _outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def seen(self) -> int:
        """Rows that went in: accepted and refused."""
        return self.rows + self.rejected.total()

    def count(self, row: Record) -> None:
        """Takes note of an accepted or refused row."""
        self.classes.see(row)
        if isinstance(row, Rejection):
            self.rejected[row.gate] += 1
            self.reasons[row.gate, row.reason] += 1
            if len(first := self.refused.setdefault(row.gate, [])) < REFUSED_SHOWN:
                first.append(row)
            return
        self.rows += 1
        if isinstance(row, EnrichedExample):
            self._outcomes[row.outcome] += 1
            self.verified += row.verified
            if not row.verified and len(self.unverified) < OFFENDERS_SHOWN:
                votes = ", ".join(f"{vote.answer} ×{vote.count}" for vote in row.votes) or "none"
                problem = f"{row.outcome}: {row.question} – {row.answer}; votes: {votes}"
                self.unverified.append(Offender(row=row.id, problem=problem))

    def outcome_counts(self) -> dict[str, int]:
        """Rows by what the solver's votes said of them; empty before `enriched`."""
        return dict(self._outcomes)

    def reasons_of(self, gate: str) -> str:
        """How many rows a gate refused, and for which reasons."""
        reasons = [(r, n) for (g, r), n in self.reasons.most_common() if g == gate][:REFUSED_SHOWN]
        listed = ", ".join(f"{reason} {count}" for reason, count in reasons)
        return f"{gate} refused most, {self.rejected[gate]} ({listed})"

    def offenders_of(self, gate: str) -> list[Offender]:
        """The first rows that a gate refused."""
        return [
            Offender(
                row=str(refused.row.get("id", "")),
                problem=f"{f'{gate}: {refused.reason} {refused.detail}'.strip()} – "
                f"{refused.row.get('question') or refused.row}",
            )
            for refused in self.refused.get(gate, ())
        ]
