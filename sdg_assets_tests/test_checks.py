from __future__ import annotations

from typing import Any

import pytest

from sdg_assets.checks import (
    ALL_CHECKS,
    OFFENDERS_SHOWN,
    STAGE_CHECKS,
    CheckOutcome,
    Inspection,
    broken_invariants,
)
from sdg_assets.examples import Example, Record, Rejection
from sdg_assets.signatures.minhash import frame_of
from sdg_assets.signatures.table import sign
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.heldout import held_out, nothing_held_out
from sdg_assets_tests.records import enriched, example, generated, numeric, seed, source


def rejection(gate: str, reason: str = "because") -> Rejection:
    return Rejection(gate=gate, reason=reason, row={})


def inspected(stage: str, *rows: Record, **settings: Any) -> dict[str, CheckOutcome]:
    inspection = Inspection(stage, **settings)
    for row in rows:
        inspection.see(row)
    signatures = sign([row for row in rows if isinstance(row, Example)], frame_of([]))
    return {outcome.name: outcome for outcome in inspection.outcomes(signatures)}


def test_every_check_of_every_stage_is_described() -> None:
    assert {name for names in STAGE_CHECKS.values() for name in names} == set(ALL_CHECKS)


@pytest.mark.parametrize("stage", STAGE_CHECKS)
def test_a_stage_evaluates_each_of_its_checks(stage: str) -> None:
    assert tuple(inspected(stage, enriched())) == STAGE_CHECKS[stage]


def test_seeds_have_nothing_to_check() -> None:
    assert inspected("seeds", seed(0, question="?")) == {}


def test_sound_rows_pass_everything() -> None:
    outcomes = inspected(
        "filtered",
        enriched(),
        enriched(question="Where is the Louvre?"),
        heldout=nothing_held_out(),
    )

    assert all(outcome.passed for outcome in outcomes.values())
    assert broken_invariants(outcomes.values()) == []


@pytest.mark.parametrize(
    ("check", "row"),
    [
        ("schema", enriched(answer_index=1, answer="Paris")),
        ("format", enriched(choices=["A", "B"])),
        ("licences", enriched(source=source(license=""))),
    ],
)
def test_one_bad_row_breaks_its_invariant(check: str, row: Record) -> None:
    outcomes = inspected("filtered", enriched(question="Where is the Louvre?"), row)

    assert [o.name for o in broken_invariants(outcomes.values())] == [check]
    assert outcomes[check].summary.startswith(
        "1 of 2 rows break it; the partition is not published"
    )


def test_a_row_that_stands_twice_breaks_the_invariant() -> None:
    outcomes = inspected("filtered", enriched(), enriched())

    assert [o.name for o in broken_invariants(outcomes.values())] == ["no_duplicates"]


def test_offenders_are_named_up_to_a_number_but_all_counted() -> None:
    rows = [example(id=f"row-{n}", answer=" ") for n in range(OFFENDERS_SHOWN + 5)]

    broken = inspected("generated", *rows)["schema"]

    assert broken.numbers == {"broken": 15, "rows": 15}
    assert [o.row for o in broken.offenders] == [f"row-{n}" for n in range(OFFENDERS_SHOWN)]
    assert broken.offenders[0].problem == "empty answer"


def test_a_few_rows_that_do_not_map_are_tolerated_and_more_are_a_warning() -> None:
    rows = [numeric(f"What is {n} plus {n}?") for n in range(99)]

    assert inspected("normalized", *rows, rejection("mapping"))["schema"].passed
    warned = inspected("normalized", *rows[:9], rejection("mapping"))["schema"]
    assert not warned.passed
    assert not warned.blocking
    assert warned.summary == "1 of 10 rows refused by mapping; see the rejected file"


def broken_seeds(count: int, gate: str = "format") -> list[Record]:
    return [
        Rejection(gate=gate, reason="broken text", row={"id": f"row-{n}"}) for n in range(count)
    ]


@pytest.mark.parametrize("gate", ["schema", "format", "language"])
def test_some_broken_seeds_are_lost_and_more_than_the_limit_stop_the_partition(gate: str) -> None:
    rows = [numeric(f"What is {n} plus {n}?") for n in range(95)]

    few = inspected("normalized", *rows, *broken_seeds(5, gate))[gate]
    assert few.passed
    assert few.summary == "5 of 100 seeds break it; see the rejected file"
    assert [o.row for o in few.offenders] == [f"row-{n}" for n in range(5)]
    many = inspected("normalized", *rows[:94], *broken_seeds(6, gate))[gate]
    assert (many.passed, many.blocking) == (False, True)
    assert many.summary.startswith("6 of 100 seeds break it, more than broken_seeds=0.05 allows")
    assert many.offenders[0].problem == "broken text"


def test_the_limit_of_broken_seeds_is_the_tasks_own() -> None:
    rows = [numeric(f"What is {n} plus {n}?") for n in range(9)]
    moved = Thresholds(broken_seeds=0.12)

    assert inspected("normalized", *rows, *broken_seeds(1), thresholds=moved)["format"].passed
    assert not inspected("normalized", *rows, *broken_seeds(2), thresholds=moved)["format"].passed


def test_broken_seeds_do_not_hide_rows_that_do_not_map() -> None:
    rows = [numeric(f"What is {n} plus {n}?") for n in range(40)]
    unmapped = [rejection("mapping")] * 5

    outcome = inspected("normalized", *rows, *broken_seeds(1, "schema"), *unmapped)["schema"]

    assert (outcome.passed, outcome.blocking) == (False, False)
    assert outcome.summary == "5 of 46 rows refused by mapping; see the rejected file"
    allowed = Thresholds(mapping_failures=0.2)
    assert inspected("normalized", *rows, *unmapped, thresholds=allowed)["schema"].passed


def test_a_repeated_seed_is_no_mapping_failure() -> None:
    assert inspected("normalized", numeric(), rejection("duplicates"))["schema"].passed


def test_a_writer_that_is_seldom_understood_is_a_warning() -> None:
    assert inspected("generated", generated(), rejection("generation"))["schema"].passed
    warned = inspected("generated", generated(), *[rejection("generation")] * 2)["schema"]
    assert (warned.passed, warned.blocking) == (False, False)


def test_a_solver_that_seldom_agrees_is_a_warning() -> None:
    disputed = [enriched(id=str(n), outcome="no_majority") for n in range(9)]

    warned = inspected("enriched", enriched(), *disputed)["answer_verification"]
    assert (warned.passed, warned.blocking) == (False, False)
    assert warned.summary.startswith("1 of 10 rows verified: use a stronger solver")
    assert inspected("enriched", enriched(), *disputed[:4])["answer_verification"].passed


def test_a_small_yield_is_a_warning() -> None:
    refused = [rejection("verification")] * 3

    assert inspected("filtered", enriched(), *refused, min_yield=0.25)["yield"].passed
    warned = inspected("filtered", enriched(), *refused, min_yield=0.3)["yield"]
    assert (warned.passed, warned.blocking) == (False, False)
    assert warned.numbers == {"accepted": 1, "rows": 4, "share": 0.25}


@pytest.mark.parametrize(
    ("stage", "check"),
    [
        ("normalized", "schema"),
        ("generated", "schema"),
        ("enriched", "answer_verification"),
        ("filtered", "yield"),
    ],
)
def test_no_rows_at_all_is_never_a_silent_success(stage: str, check: str) -> None:
    assert not inspected(stage)[check].passed


def test_a_row_that_stands_in_a_held_out_split_breaks_an_invariant() -> None:
    leaked = enriched()

    outcome = inspected("filtered", leaked, heldout=held_out(leaked))["no_contamination"]

    assert (outcome.passed, outcome.blocking) == (False, True)
    assert [offender.row for offender in outcome.offenders] == [leaked.id]


def test_rows_that_were_not_checked_for_leaks_are_not_said_to_be_clean() -> None:
    outcome = inspected("filtered", enriched())["no_contamination"]

    assert not outcome.passed
    assert outcome.summary.startswith("not checked")
