"""What is checked of a partition as a whole: invariants (errors) and yields (warnings).

A stage shows every row to an `Inspection` while it writes. An invariant that does not hold stops
the partition before it is published; a threshold is a warning that a person looks at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

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
# What `normalized` refuses of a dataset's rows itself, up to the threshold `broken_seeds`.
SEED_GATES = (schema.NAME, format.NAME, language.NAME)
MIN_PARSED = 0.5
MIN_AGREED = 0.2

STAGE_CHECKS: dict[str, tuple[str, ...]] = {
    "seeds": (),
    "normalized": ("schema", "format", "language", "personal_data"),
    "generated": ("schema", "format", "language", "personal_data"),
    "enriched": ("schema", "format", "language", "answer_verification"),
    "filtered": (
        "schema", "format", "language", "personal_data", "no_contamination",
        "no_duplicates", "licences", "yield",
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
    "yield": "enough rows were accepted",
    "heldout_complete": "every held-out split was there, with rows, to be hashed",
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
    _pending: list[Example] = field(default_factory=list)
    _added: list[str] = field(default_factory=list)

    def see(self, row: Record) -> None:
        """Takes note of an accepted or refused row."""
        if isinstance(row, Rejection):
            self.rejected[row.gate] += 1
            if self.stage == "normalized" and row.gate in SEED_GATES:
                verdict = Refusal(row.gate, row.reason, row.detail)
                self._note(row.gate, {0: verdict}, [str(row.row.get("id", ""))])
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
        if self.stage == "normalized":
            invariants = {}  # its rows have just been through these gates
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
        if self.stage == "normalized" and name in SEED_GATES:
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
        if name == "schema" and self.stage == "generated":
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
        return unmapped.model_copy(update={"offenders": outcome.offenders})

    def _unusable(self, gate: str, allowed: float) -> CheckOutcome:
        """How many rows never became an example, against the share that may."""
        failed, seen = self.rejected[gate], self.rows + self.rejected.total()
        return CheckOutcome(
            name=schema.NAME,
            passed=failed <= allowed * seen and seen > 0,
            summary=f"{failed} of {seen} rows refused by {gate}; see the rejected file",
            numbers={f"{gate}_refused": failed, "rows": seen},
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
