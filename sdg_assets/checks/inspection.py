"""What is checked of a partition as a whole: invariants (errors) and yields (warnings).

A stage shows every row to an `Inspection` while it writes. An invariant that does not hold stops
the partition before it is published; a threshold is a warning that a person looks at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import BaseModel

from sdg_assets.checks.class_balance import ClassBalance
from sdg_assets.checks.losses import Standing, compare
from sdg_assets.gates import (
    Batch,
    Gate,
    format,  # noqa: A004
    language,
    licence,
    personal_data,
    schema,
)
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.gates.duplicates import NAME as DUPLICATES
from sdg_assets.gates.duplicates import copies_among
from sdg_assets.records import EnrichedExample, Example, Record, Refusal, Rejection, Stage
from sdg_assets.signatures.table import Signatures
from sdg_assets.stages.stage import STAGES, StageSpec
from sdg_assets.thresholds import Thresholds

OFFENDERS_SHOWN = 10
REFUSED_SHOWN = 3
"""Refused rows that are kept to be shown, of each gate."""
# What `normalized` refuses of a dataset's rows itself, up to the threshold `broken_seeds`.
SEED_GATES = (schema.NAME, format.NAME, language.NAME)
MIN_PARSED = 0.5
MIN_AGREED = 0.2

ALL_CHECKS = {
    "rows": "there are rows, and not far fewer than in the version that they replace",
    "schema": "rows are well-formed: question, answer and choices are there and agree",
    "format": "rows read like training text: no bare labels, debris, broken or repeated text",
    "language": "rows are written in their task's language",
    "personal_data": "no e-mail addresses, phone numbers, account numbers or keys",
    "answer_verification": "blind majorities agree with the writer often enough",
    "no_contamination": "no row stands in a held-out split or a protected benchmark",
    "no_duplicates": "no two rows ask the same",
    "licences": "every row says under which licence it stands",
    "class_balance": "refusals take no answer far more often than the others",
    "yield": "enough rows were accepted",
    "heldout_complete": "every held-out split was there, with rows, to be hashed",
    "fresh_inputs": "no partition of the release is stale. Blocks nothing",
}


class Offender(BaseModel):
    """A row that broke an invariant."""

    row: str
    problem: str


class CheckOutcome(BaseModel):
    """How a check went for one partition."""

    name: str
    passed: bool
    blocking: bool = False
    summary: str
    numbers: dict[str, float] = {}
    offenders: list[Offender] = []
    reasons: dict[str, tuple[int, int]] = {}
    """Why rows were lost → rows now, rows in the version before."""
    kept_at: str = ""
    """File of the rows refused by an attempt that was not published; empty if it was."""


@dataclass
class Inspection:
    """Sees a stage's rows go by and says at the end how its checks went."""

    stage: Stage
    min_yield: float = 0.1
    thresholds: Thresholds = field(default_factory=Thresholds)
    heldout: Gate | None = None
    """The contamination gate; without it the check says that it checked nothing."""
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
    _reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    _unverified: list[Offender] = field(default_factory=list)
    _outcomes: Counter[str] = field(default_factory=Counter)
    _broken: dict[str, list[Offender]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _personal_data: Counter[str] = field(default_factory=Counter)
    _classes: ClassBalance = field(default_factory=ClassBalance)
    _pending: list[Example] = field(default_factory=list)
    _added: list[str] = field(default_factory=list)

    def see(self, row: Record) -> None:
        """Takes note of an accepted or refused row."""
        self._classes.see(row)
        if isinstance(row, Rejection):
            self.rejected[row.gate] += 1
            self._reasons[row.gate, row.reason] += 1
            if len(shown := self.refused.setdefault(row.gate, [])) < REFUSED_SHOWN:
                shown.append(row)
            if self._spec.maps_seeds and row.gate in SEED_GATES:
                verdict = Refusal(row.gate, row.reason, row.detail)
                self._note(row.gate, {0: verdict}, [str(row.row.get("id", ""))])
            return
        self.rows += 1
        if not isinstance(row, Example):
            return
        if isinstance(row, EnrichedExample):
            self._outcomes[row.outcome] += 1
            self.verified += row.verified
            if not row.verified and len(self._unverified) < OFFENDERS_SHOWN:
                votes = ", ".join(f"{vote.answer} ×{vote.count}" for vote in row.votes) or "none"
                problem = f"{row.outcome}: {row.question} – {row.answer}; votes: {votes}"
                self._unverified.append(Offender(row=row.id, problem=problem))
        self._pending.append(row)
        if len(self._pending) >= ROWS_PER_BATCH:
            self._inspect()

    @property
    def _spec(self) -> StageSpec:
        return STAGES[self.stage]

    def outcome_counts(self) -> dict[str, int]:
        """Rows by what the solver's votes said of them; empty before `enriched`."""
        return dict(self._outcomes)

    def outcomes(self, signatures: Signatures | None = None) -> list[CheckOutcome]:
        """One outcome for each check of the stage.

        Args:
            signatures: Of the rows seen, where they are to be published with them.
        """
        self._inspect()
        if "no_duplicates" in self._spec.checks:
            self._note("no_duplicates", self._copies(signatures), self._added)
        return [self._outcome(name) for name in self._spec.checks]

    def _inspect(self) -> None:
        rows, self._pending = self._pending, []
        invariants: dict[str, Gate] = {
            "schema": schema.GATE,
            "format": format.gate(self.thresholds),
            "language": language.gate(self.thresholds),
            "licences": licence.GATE,
        }
        if self.heldout:
            invariants["no_contamination"] = self.heldout
        if self._spec.maps_seeds:
            invariants = {}  # its rows have just been through these gates
        batch = Batch(rows)
        for name in self._spec.checks:
            if name in invariants:
                self._note(name, invariants[name].refusals(batch), [row.id for row in rows])
        if "personal_data" in self._spec.checks:
            found = personal_data.found(batch)
            for refusal in found.values():
                self._personal_data.update(refusal.scores)
            self._note("personal_data", found, [row.id for row in rows])
        self._added += [row.id for row in rows]

    def _copies(self, signatures: Signatures | None) -> dict[int, Refusal]:
        """Copies among what is about to be published; nothing is hashed a second time."""
        signed = signatures.frame["id"].to_list() if signatures else []
        if signatures and signed == self._added:
            return copies_among(signatures, self.thresholds)
        signed += [""] * (len(self._added) - len(signed))
        return {
            place: Refusal(DUPLICATES, "not the row that was signed")
            for place, row in enumerate(self._added)
            if signed[place] != row
        }

    def _note(self, name: str, refusals: Mapping[int, Refusal], ids: Sequence[str]) -> None:
        self._counts[name] += len(refusals)
        offenders = self._broken.setdefault(name, [])
        for place in sorted(refusals)[: OFFENDERS_SHOWN - len(offenders)]:
            problem = f"{refusals[place].reason} {refusals[place].detail}".strip()
            offenders.append(Offender(row=ids[place], problem=problem))

    def _rows_outcome(self) -> CheckOutcome:
        reasons = {f"{gate}: {reason}": n for (gate, reason), n in self._reasons.items()}
        now = Standing.of(self.stage, self.rows, reasons, self.verified, self.outcome_counts())
        if not self._spec.inputs and self.before and not self._has_what_was_asked:
            # What went in is the dataset's split, which does not shrink for a good reason.
            now = replace(now, seen=max(now.seen, self.before.seen))
        share = self.thresholds.lost_share
        compared = compare(self.before, now, share, accepted=self.accept_smaller)
        return CheckOutcome(name="rows", blocking=not compared.passed, **vars(compared))

    @property
    def _has_what_was_asked(self) -> bool:
        return self.asked is not None and self.rows >= self.asked

    def _outcome(self, name: str) -> CheckOutcome:
        if name == "rows":
            return self._rows_outcome()
        if not self.rows and name not in ("yield", "answer_verification"):
            return CheckOutcome(name=name, passed=False, summary="not checked: there are no rows")
        if name == "yield":
            largest = next(iter(self.rejected.most_common(1)), ("", 0))[0]
            return self._threshold(
                name,
                self.rows,
                self.min_yield,
                "accepted",
                self._said_of(largest) if largest else "no row came in",
                offenders=self._offenders_of(largest),
            )
        if name == "personal_data":
            return self._report(name)
        if name == "class_balance":
            return self._class_balance(name)
        if name == "answer_verification":
            return self._threshold(
                name,
                self.verified,
                MIN_AGREED,
                "verified",
                "use a stronger solver, or look at the votes of the rows below",
                self.rows,
                self._unverified,
            )
        if name == "no_contamination" and self.heldout is None:
            return CheckOutcome(
                name=name, passed=False, summary="not checked: no held-out hashes were given"
            )
        if self._spec.maps_seeds and name in SEED_GATES:
            return self._seeds_outcome(name)
        if broken := self._counts[name]:
            return CheckOutcome(
                name=name,
                passed=False,
                blocking=True,
                summary=f"{broken} of {self.rows} rows break it; the partition is not published. "
                "Fix the mapping or the gate and materialize it again",
                numbers={"broken": broken, "rows": self.rows},
                offenders=self._broken[name],
            )
        if name == "schema" and self._spec.writes_examples:
            return self._unusable("generation", 1 - MIN_PARSED)
        return CheckOutcome(
            name=name,
            passed=True,
            summary=f"holds for all {self.rows} rows",
            numbers={"rows": self.rows},
        )

    def _seeds_outcome(self, name: str) -> CheckOutcome:
        """How many rows of the dataset a gate of `normalized` refused, against the limit."""
        refused, limit = self._counts[name], self.thresholds.broken_seeds
        mapped = self.rows + sum(self._counts[gate] for gate in SEED_GATES)
        outcome = CheckOutcome(
            name=name,
            passed=True,
            summary=f"holds for all {self.rows} rows",
            numbers={"refused": refused, "rows": mapped},
            offenders=self._broken.get(name, []),
        )
        if refused > limit * mapped:
            summary = (
                f"{refused} of {mapped} seeds break it, more than broken_seeds={limit:g} allows; "
                "the partition is not published. Fix the mapping; if the dataset itself is broken, "
                "move the limit in the task's YAML (`gates:`) and say why (`gates_because:`)"
            )
            return outcome.model_copy(
                update={"passed": False, "blocking": True, "summary": summary}
            )
        if refused:
            summary = f"{refused} of {mapped} seeds break it; see the rejected file"
            outcome = outcome.model_copy(update={"summary": summary})
        if name != schema.NAME:
            return outcome
        unmapped = self._unusable("mapping", self.thresholds.mapping_failures)
        if unmapped.passed and refused:
            return outcome
        return unmapped.model_copy(update={"offenders": unmapped.offenders or outcome.offenders})

    def _unusable(self, gate: str, allowed: float) -> CheckOutcome:
        """How many rows never became an example, against the share that may."""
        failed, seen = self.rejected[gate], self.rows + self.rejected.total()
        return CheckOutcome(
            name=schema.NAME,
            passed=failed <= allowed * seen and seen > 0,
            summary=f"{failed} of {seen} rows refused by {gate}; see the rejected file",
            numbers={f"{gate}_refused": failed, "rows": seen},
            offenders=self._offenders_of(gate),
        )

    def _class_balance(self, name: str) -> CheckOutcome:
        """An error where seeds are mapped (`normalized`), a warning elsewhere (`filtered`).

        Seeds are refused because they repeat something, which has nothing to do with their answer:
        a class that vanishes there is a gate's mistake, and every later stage would be one-sided.
        What a writer and a solver make of a class may well be worse than the rest.
        """
        loss = self._classes.worst()
        if loss is None or loss.excess <= self.thresholds.class_loss:
            return CheckOutcome(name=name, passed=True, summary="refusals are spread evenly")
        return CheckOutcome(
            name=name,
            passed=False,
            blocking=self._spec.maps_seeds,
            summary=f"{loss}. Look at the rejected rows and the gate that refused them; if they "
            "are rightly refused, raise the threshold `class_loss` in the task's YAML",
            numbers={
                "lost": loss.lost,
                "rows": loss.rows,
                "others_lost": loss.others_lost,
                "others": loss.others,
            },
        )

    def _report(self, name: str) -> CheckOutcome:
        found = self._counts[name]
        return CheckOutcome(
            name=name,
            passed=not found,
            summary=f"{found} of {self.rows} rows hold personal data"
            + (": set the threshold `personal_data: refuse` to refuse them" if found else ""),
            numbers={"found": found, "rows": self.rows, **self._personal_data},
            offenders=self._broken.get(name, []),
        )

    def _said_of(self, gate: str) -> str:
        """How many rows a gate refused, and for which reasons."""
        reasons = [(r, n) for (g, r), n in self._reasons.most_common() if g == gate][:REFUSED_SHOWN]
        listed = ", ".join(f"{reason} {count}" for reason, count in reasons)
        return f"{gate} refused most, {self.rejected[gate]} ({listed})"

    def _offenders_of(self, gate: str) -> list[Offender]:
        """The first rows that a gate refused."""
        return [
            Offender(
                row=str(refused.row.get("id", "")),
                problem=f"{f'{gate}: {refused.reason} {refused.detail}'.strip()} – "
                f"{refused.row.get('question') or refused.row}",
            )
            for refused in self.refused.get(gate, ())
        ]

    def _threshold(
        self,
        name: str,
        count: int,
        share: float,
        verb: str,
        advice: str,
        of: int | None = None,
        offenders: Sequence[Offender] = (),
    ) -> CheckOutcome:
        seen = self.rows + self.rejected.total() if of is None else of
        passed = seen > 0 and count >= share * seen
        return CheckOutcome(
            name=name,
            passed=passed,
            summary=f"{count} of {seen} rows {verb}" + ("" if passed else f": {advice}"),
            numbers={verb: count, "rows": seen, "share": count / seen if seen else 0.0},
            offenders=[] if passed else list(offenders),
        )


def broken_invariants(outcomes: Iterable[CheckOutcome]) -> list[CheckOutcome]:
    """The failed checks that keep a partition from being published."""
    return [outcome for outcome in outcomes if outcome.blocking and not outcome.passed]
