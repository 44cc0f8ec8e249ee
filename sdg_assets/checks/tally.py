"""Counts the rows of a partition while a stage writes it, with reasons and sample refused rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sdg_assets.checks.classes import ClassBalance
from sdg_assets.checks.losses import Standing
from sdg_assets.checks.outcome import OFFENDERS_SHOWN, Offender
from sdg_assets.records import EnrichedExample, Record, Rejection, Stage
from sdg_assets.thresholds import Thresholds

REFUSED_SHOWN = 3
"""How many refused rows are kept per gate, to be shown."""


@dataclass
class Tally:
    """Counts of a partition's rows, on which the stage's checks are evaluated."""

    stage: Stage
    min_yield: float = 0.1
    """The smallest share of accepted rows that passes the check `yield`."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    before: Standing | None = None
    """The counts of the published version; None if there is none."""
    requested: int | None = None
    """`seeds` only: number of requested rows. If all of them were read, fewer rows than before
    are not a loss."""
    accept_smaller: bool = False
    """Whether a person has accepted that fewer rows, or none, replace the published ones."""
    unfinished: int = 0
    """Rows that are neither accepted nor refused, because a budget of tokens was used up."""
    rows: int = 0
    """Accepted rows."""
    verified: int = 0
    """Accepted rows whose answer the solver's votes verify."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Refused rows by gate."""
    refused: dict[str, list[Rejection]] = field(default_factory=dict)
    """The first refused rows of each gate."""
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Refused rows by (gate, reason)."""
    unverified: list[Offender] = field(default_factory=list)
    """The first rows whose answer the solver's votes do not verify."""
    classes: ClassBalance = field(default_factory=ClassBalance)
    pass_rates: Counter[float] = field(default_factory=Counter)
    """Accepted rows by the probe's pass rate, without rows that have none."""
    _outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def seen(self) -> int:
        """Input rows: accepted and refused."""
        return self.rows + self.rejected.total()

    def count(self, row: Record) -> None:
        """Counts an accepted or refused row."""
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
            if row.pass_rate is not None:
                self.pass_rates[row.pass_rate] += 1
            if not row.verified and len(self.unverified) < OFFENDERS_SHOWN:
                votes = ", ".join(f"{vote.answer} ×{vote.count}" for vote in row.votes) or "none"
                problem = f"{row.outcome}: {row.question} – {row.answer}; votes: {votes}"
                self.unverified.append(Offender(row=row.id, problem=problem))

    @property
    def pass_rate(self) -> float | None:
        """The mean of the pass rates; None if no row has one."""
        rows = self.pass_rates.total()
        return sum(rate * n for rate, n in self.pass_rates.items()) / rows if rows else None

    def outcome_counts(self) -> dict[str, int]:
        """Outcome of the solver's votes → number of rows; empty before `enriched`."""
        return dict(self._outcomes)

    def reasons_of(self, gate: str) -> str:
        """How many rows a gate refused and for which reasons, as text."""
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
