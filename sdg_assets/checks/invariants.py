"""The checks that a partition's rows pass a gate. Each is derived from the gate's `GATE`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdg_assets.checks.outcome import OFFENDERS_SHOWN, CheckOutcome, Offender
from sdg_assets.checks.tally import Tally
from sdg_assets.checks.unread import SeedThresholds, unread_rows
from sdg_assets.errors import PermanentError
from sdg_assets.gates import Batch, Gate, GateSpec, Point, SetGate, all_gates
from sdg_assets.gates.base import Reporting
from sdg_assets.records import Example, Refusal, Rejection
from sdg_assets.stages.stage import STAGES

if TYPE_CHECKING:
    from sdg_assets.signatures.table import Signatures


class GateChecks:
    """Tests the accepted rows of a stage with the gates once more, and counts the failures."""

    def __init__(self, tally: Tally, heldout: Gate | None) -> None:
        """Builds the gates of the stage's checks.

        Args:
            tally: The counts of the stage's rows.
            heldout: The contamination gate. Without it, its check fails and says that nothing was
                checked.
        """
        self._tally = tally
        self._heldout = heldout
        self._specs = {
            spec.check_name: spec for spec in all_gates() if tally.stage in spec.checked_in
        }
        self._counted = {s.name: name for name, s in self._specs.items() if self._is_counted(s)}
        self._gates = {
            name: gate for name, spec in self._specs.items() if (gate := self._gate(spec))
        }
        self._sets: dict[str, SetGate] = {
            name: spec.build_set((), tally.thresholds.of(spec.thresholds))
            for name, spec in self._specs.items()
            if spec.build_set and not spec.recheck
        }
        self._broken: Counter[str] = Counter()
        self._offenders: dict[str, list[Offender]] = {}
        self._findings: dict[str, Counter[str]] = {name: Counter() for name in self._specs}
        self._tests_sets = any(spec.build_set for spec in self._specs.values())
        self._ids: list[str] = []

    def see_refused(self, row: Rejection) -> None:
        """Counts a row that the stage itself refused."""
        if name := self._counted.get(row.gate):
            refusal = Refusal(row.gate, row.reason, row.detail)
            self._note(name, {0: refusal}, [str(row.row.get("id", ""))])

    def see(self, rows: Sequence[Example]) -> None:
        """Tests a batch of accepted rows.

        Raises:
            PermanentError: A gate does not work on the record type of the stage's rows.
        """
        batch, ids = Batch(rows), [row.id for row in rows]
        for name, gate in self._gates.items():
            if rows and not isinstance(rows[0], self._specs[name].reads):
                raise PermanentError(
                    f"gate {gate.name}: it cannot be checked in {self._tally.stage}, whose rows "
                    f"are not of type {self._specs[name].reads.__name__}"
                )
            refusals = gate.refusals(batch)
            self._note(name, refusals, ids)
            if self._specs[name].reporting:
                for refusal in refusals.values():
                    self._findings[name].update(refusal.scores)
        for over_set in self._sets.values():
            over_set.add(rows)
        if self._tests_sets:  # else ids of millions of rows would be kept for nothing
            self._ids += ids

    def close(self, signatures: Signatures | None) -> None:
        """Runs the gates that test the rows as a set. Called once, after the last row.

        Args:
            signatures: The rows' signatures, if they will be published with the rows.
        """
        for name, over_set in self._sets.items():
            self._note(name, over_set.refusals(), self._ids)
        for name, spec in self._specs.items():
            if spec.recheck:
                self._note(name, self._rechecked(spec, signatures), self._ids)

    def outcome(self, name: str) -> CheckOutcome:
        """The outcome of a check for a partition that has rows.

        Args:
            name: The check's name.
        """
        spec, rows = self._specs[name], self._tally.rows
        if spec.needs_heldout and self._heldout is None:
            return CheckOutcome(
                name=name, passed=False, summary="not checked: no held-out hashes were given"
            )
        if spec.reporting:
            return self._reported(name, spec.reporting)
        if spec.name in self._counted:
            return self._of_seeds(name, spec)
        if broken := self._broken[name]:
            return CheckOutcome(
                name=name,
                passed=False,
                blocking=True,
                summary=f"{broken} of {rows} rows break it; the partition is not published. "
                "Fix the mapping or the gate and materialize it again",
                numbers={"broken": broken, "rows": rows},
                offenders=self._offenders[name],
            )
        unread = unread_rows(self._tally, name) if spec.counts_unread else None
        return unread or CheckOutcome(
            name=name,
            passed=True,
            summary=f"holds for all {rows} rows",
            numbers={"rows": rows},
        )

    def _is_counted(self, spec: GateSpec[Any]) -> bool:
        """Whether the stage itself applies the gate, so that its accepted rows passed it."""
        is_applied = STAGES[self._tally.stage].maps_seeds and Point.SEED in spec.points
        return is_applied and not spec.reporting

    def _gate(self, spec: GateSpec[Any]) -> Gate | None:
        if spec.reporting:
            return spec.reporting.finds
        if spec.name in self._counted or spec.build_set:
            return None
        if spec.build:
            return spec.build(self._tally.thresholds.of(spec.thresholds))
        return self._heldout

    def _rechecked(
        self, spec: GateSpec[Any], signatures: Signatures | None
    ) -> Mapping[int, Refusal]:
        """Tests the signatures that are about to be published, without hashing the rows again."""
        signed = signatures.frame["id"].to_list() if signatures else []
        if spec.recheck and signatures and signed == self._ids:
            return spec.recheck(signatures, self._tally.thresholds.of(spec.thresholds))
        signed += [""] * (len(self._ids) - len(signed))
        return {
            place: Refusal(spec.name, "not the row that was signed")
            for place, row in enumerate(self._ids)
            if signed[place] != row
        }

    def _note(self, name: str, refusals: Mapping[int, Refusal], ids: Sequence[str]) -> None:
        self._broken[name] += len(refusals)
        offenders = self._offenders.setdefault(name, [])
        for place in sorted(refusals)[: OFFENDERS_SHOWN - len(offenders)]:
            problem = f"{refusals[place].reason} {refusals[place].detail}".strip()
            offenders.append(Offender(row=ids[place], problem=problem))

    def _reported(self, name: str, reporting: Reporting[Any]) -> CheckOutcome:
        count, rows = self._broken[name], self._tally.rows
        return CheckOutcome(
            name=name,
            passed=not count,
            summary=f"{count} of {rows} rows {reporting.says}"
            + (f": {reporting.advice}" if count else ""),
            numbers={"found": count, "rows": rows, **self._findings[name]},
            offenders=self._offenders.get(name, []),
        )

    def _of_seeds(self, name: str, spec: GateSpec[Any]) -> CheckOutcome:
        """Compares the number of the dataset's rows that the gate refused with `broken_seeds`."""
        refused = self._broken[name]
        limit = self._tally.thresholds.of(SeedThresholds).broken_seeds
        mapped = self._tally.rows + sum(self._broken[check] for check in self._counted.values())
        outcome = CheckOutcome(
            name=name,
            passed=True,
            summary=f"holds for all {self._tally.rows} rows",
            numbers={"refused": refused, "rows": mapped},
            offenders=self._offenders.get(name, []),
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
        unread = unread_rows(self._tally, name) if spec.counts_unread else None
        if unread is None or (unread.passed and refused):
            return outcome
        return unread.model_copy(update={"offenders": unread.offenders or outcome.offenders})
