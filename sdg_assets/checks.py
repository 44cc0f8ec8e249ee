"""What is checked of a partition as a whole: invariants (errors) and yields (warnings).

A stage shows every row to an `Inspection` while it writes. An invariant that does not hold stops
the partition before it is published; a threshold is a warning that a person looks at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from sdg_assets.class_balance import ClassBalance
from sdg_assets.examples import EnrichedExample, Example, Record, Rejection
from sdg_assets.gates import (
    Batch,
    Gate,
    Refusal,
    format,  # noqa: A004
    language,
    licence,
    personal_data,
    schema,
)
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.gates.duplicates import NAME as DUPLICATES
from sdg_assets.gates.duplicates import copies_among
from sdg_assets.signatures.table import Signatures
from sdg_assets.thresholds import Thresholds

OFFENDERS_SHOWN = 10
MAPPING_FAILURES_ALLOWED = 0.02
# Real datasets have odd rows (an option twice in 1.2% of commonsense_qa). More than this and it is
# the mapping that is odd.
ODD_SEEDS_ALLOWED = 0.05
MIN_PARSED = 0.5
MIN_AGREED = 0.2

STAGE_CHECKS: dict[str, tuple[str, ...]] = {
    "seeds": (),
    "normalized": ("schema", "format", "language", "personal_data", "class_balance"),
    "generated": ("schema", "format", "language", "personal_data"),
    "enriched": ("schema", "format", "language", "answer_verification"),
    "filtered": (
        "schema", "format", "language", "personal_data", "no_contamination",
        "no_duplicates", "licences", "class_balance", "yield",
    ),
    "heldout": ("heldout_complete",),
}  # fmt: skip
ALL_CHECKS = {
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
    "heldout_complete": "every held-out split was there to be hashed",
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


@dataclass
class Inspection:
    """Sees a stage's rows go by and says at the end how its checks went."""

    stage: str
    min_yield: float = 0.1
    thresholds: Thresholds = field(default_factory=Thresholds)
    heldout: Gate | None = None
    """The contamination gate; without it the check says that it checked nothing."""
    rows: int = 0
    verified: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
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
            return
        self.rows += 1
        if not isinstance(row, Example):
            return
        if isinstance(row, EnrichedExample):
            self._outcomes[row.outcome] += 1
            self.verified += row.verified
        self._pending.append(row)
        if len(self._pending) >= ROWS_PER_BATCH:
            self._inspect()

    def outcome_counts(self) -> dict[str, int]:
        """Rows by what the solver's votes said of them; empty before `enriched`."""
        return dict(self._outcomes)

    def outcomes(self, signatures: Signatures | None = None) -> list[CheckOutcome]:
        """One outcome for each check of the stage.

        Args:
            signatures: Of the rows seen, where they are to be published with them.
        """
        self._inspect()
        if "no_duplicates" in STAGE_CHECKS[self.stage]:
            self._note("no_duplicates", self._copies(signatures), self._added)
        return [self._outcome(name) for name in STAGE_CHECKS[self.stage]]

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
        batch = Batch(rows)
        for name in STAGE_CHECKS[self.stage]:
            if name in invariants:
                self._note(name, invariants[name].refusals(batch), [row.id for row in rows])
        if "personal_data" in STAGE_CHECKS[self.stage]:
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

    def _outcome(self, name: str) -> CheckOutcome:
        if name == "yield":
            return self._threshold(
                name, self.rows, self.min_yield, "accepted", "look at the funnel's largest gate"
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
                "use a stronger solver, or look at the votes of rejected rows",
                self.rows,
            )
        if name == "no_contamination" and self.heldout is None:
            return CheckOutcome(
                name=name, passed=False, summary="not checked: no held-out hashes were given"
            )
        allowed_odd = ODD_SEEDS_ALLOWED * self.rows if self.stage == "normalized" else 0
        if (broken := self._counts[name]) > allowed_odd:
            return CheckOutcome(
                name=name,
                passed=False,
                blocking=True,
                summary=f"{broken} of {self.rows} rows break it; the partition is not published. "
                "Fix the mapping or the gate and materialize it again",
                numbers={"broken": broken, "rows": self.rows},
                offenders=self._broken[name],
            )
        if broken:
            return CheckOutcome(
                name=name,
                passed=True,
                summary=f"{broken} of {self.rows} seeds are odd; they are not written after",
                numbers={"odd": broken, "rows": self.rows},
                offenders=self._broken[name],
            )
        if name == "schema" and self.stage in ("normalized", "generated"):
            gate = "mapping" if self.stage == "normalized" else "generation"
            allowed = MAPPING_FAILURES_ALLOWED if gate == "mapping" else 1 - MIN_PARSED
            failed, seen = self.rejected[gate], self.rows + self.rejected.total()
            return CheckOutcome(
                name=name,
                passed=failed <= allowed * seen and seen > 0,
                summary=f"{failed} of {seen} rows refused by {gate}; see the rejected file",
                numbers={f"{gate}_refused": failed, "rows": seen},
            )
        return CheckOutcome(
            name=name,
            passed=True,
            summary=f"holds for all {self.rows} rows",
            numbers={"rows": self.rows},
        )

    def _class_balance(self, name: str) -> CheckOutcome:
        """An error in `normalized`, a warning in `filtered`.

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
            blocking=self.stage == "normalized",
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

    def _threshold(
        self, name: str, count: int, share: float, verb: str, advice: str, of: int | None = None
    ) -> CheckOutcome:
        seen = self.rows + self.rejected.total() if of is None else of
        passed = seen > 0 and count >= share * seen
        return CheckOutcome(
            name=name,
            passed=passed,
            summary=f"{count} of {seen} rows {verb}" + ("" if passed else f": {advice}"),
            numbers={verb: count, "rows": seen, "share": count / seen if seen else 0.0},
        )


def broken_invariants(outcomes: Iterable[CheckOutcome]) -> list[CheckOutcome]:
    """The failed checks that keep a partition from being published."""
    return [outcome for outcome in outcomes if outcome.blocking and not outcome.passed]
