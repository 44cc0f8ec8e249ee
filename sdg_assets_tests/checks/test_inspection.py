from __future__ import annotations

from typing import Any

import pytest

from sdg_assets.checks.inspection import Inspection
from sdg_assets.checks.losses import Standing
from sdg_assets.checks.outcome import OFFENDERS_SHOWN, CheckOutcome, broken_invariants
from sdg_assets.checks.table import described, stage_checks
from sdg_assets.records import Example, Record, Rejection, Stage
from sdg_assets.signatures.minhash import boilerplate_of
from sdg_assets.signatures.table import sign
from sdg_assets.stages.stage import ROW_STAGES, STAGES
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.heldout import held_out, nothing_held_out
from sdg_assets_tests.support.records import enriched, example, generated, numeric, seed, source


def rejection(gate: str, reason: str = "because") -> Rejection:
    return Rejection(gate=gate, reason=reason, row={})


def inspected(stage: str, *rows: Record, **settings: Any) -> dict[str, CheckOutcome]:
    inspection = Inspection(Stage(stage), **settings)
    for row in rows:
        inspection.see(row)
    signatures = sign([row for row in rows if isinstance(row, Example)], boilerplate_of([]))
    return {outcome.name: outcome for outcome in inspection.outcomes(signatures)}


def test_every_check_of_every_stage_is_described() -> None:
    assert all(described(name) for stage in STAGES for name in stage_checks(stage))


def test_the_checks_of_a_stage() -> None:
    assert {stage: " ".join(stage_checks(stage)) for stage in STAGES} == {
        "seeds": "rows",
        "normalized": "rows schema format language personal_data class_balance",
        "generated": "rows schema format language personal_data complete",
        "enriched": "rows schema format language complete answer_verification",
        "filtered": "rows schema format language personal_data no_contamination licences "
        "no_duplicates class_balance yield",
        "heldout": "heldout_complete",
        "curated": "fresh_inputs current_licences heldout_compared",
    }


@pytest.mark.parametrize("stage", ROW_STAGES)
def test_a_stage_evaluates_each_of_its_checks(stage: str) -> None:
    assert tuple(inspected(stage, enriched())) == stage_checks(stage)


@pytest.mark.parametrize("stage", ROW_STAGES)
def test_a_partition_without_rows_passes_no_check(stage: str) -> None:
    refused = [rejection("mapping", "no answer")] * 3

    outcomes = inspected(stage, *refused, accept_smaller=True)

    assert not [name for name, outcome in outcomes.items() if outcome.passed]
    (broken,) = broken_invariants(outcomes.values())
    assert broken.name == "rows"
    assert broken.summary == (
        "0 of 3 rows are left. Most frequent reasons: mapping: no answer 3. A partition without "
        "rows is not published: fix the cause, or switch the subtask off in the catalog"
    )


BEFORE = Standing(rows=40, counted=40, seen=100, refused={"judge: not harmless": 60})


def rows_check(rows: int, refused: int, **settings: Any) -> CheckOutcome:
    accepted = [enriched(question=f"Where is place {n}?") for n in range(rows)]
    settings = {"before": BEFORE, **settings}
    lost = [rejection("verification", "no majority")] * refused
    return inspected("filtered", *accepted, *lost, **settings)["rows"]


def test_a_partition_that_lost_more_than_half_of_its_rows_is_not_published() -> None:
    broken = rows_check(10, 90)

    assert (broken.passed, broken.blocking) == (False, True)
    assert broken.summary == (
        "10 of 100 rows are left; in the published version 40 of 100 are, so that at least 50% of "
        "40 were expected. Most frequent reasons: verification: no majority 90 (before: judge: not "
        "harmless 60). The published version stays. If fewer rows are right, run it again "
        "with accept_smaller in the launchpad or the tag sdg/accept_smaller=true"
    )
    assert broken.numbers == {
        "rows": 10,
        "rows_in": 100,
        "rows_before": 40,
        "rows_in_before": 100,
        "rows_expected": 40,
    }
    assert broken.reasons == {
        "verification: no majority": (90, 0),
        "judge: not harmless": (0, 60),
    }


@pytest.mark.parametrize(
    ("rows", "refused", "why"),
    [
        (21, 79, "half of them may be lost"),
        (4, 6, "a tenth of the input explains a tenth of the rows"),
        (40, 900, "no row is lost, though the input grew"),
        (3, 7, "of four rows expected one is lost by chance"),
    ],
)
def test_an_explained_loss_is_published(rows: int, refused: int, why: str) -> None:
    assert rows_check(rows, refused).passed, why


def test_fewer_rows_are_no_loss_if_no_more_were_requested() -> None:
    seeds = [seed(n) for n in range(5)]
    before = Standing(rows=1000, counted=1000, seen=1000, refused={})

    assert inspected("seeds", *seeds, before=before, requested=5)["rows"].passed
    for requested in (6, None):  # the split has shrunk
        assert not inspected("seeds", *seeds, before=before, requested=requested)["rows"].passed


def test_a_solver_that_verifies_far_fewer_rows_than_before_is_not_published() -> None:
    disputed = [enriched(id=str(n), outcome="unsolvable") for n in range(20)]
    before = Standing(rows=20, counted=15, seen=20, refused={})

    (broken,) = broken_invariants(inspected("enriched", *disputed, before=before).values())

    assert broken.summary.startswith(
        "0 of 20 rows are verified; in the published version 15 of 20 are"
    )
    assert "Most frequent reasons: unsolvable 20" in broken.summary


@pytest.mark.parametrize(("rows", "refused"), [(10, 90), (0, 100)])
def test_a_loss_that_a_person_accepted_is_published(rows: int, refused: int) -> None:
    accepted = rows_check(rows, refused, accept_smaller=True)

    assert accepted.passed
    assert accepted.summary.endswith(". The loss was accepted with accept_smaller")


def test_the_share_that_may_be_lost_is_a_threshold() -> None:
    assert rows_check(10, 90, thresholds=Thresholds(lost_share=0.8)).passed
    assert not rows_check(25, 75, thresholds=Thresholds(lost_share=0.2)).passed


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


def test_a_repeated_row_breaks_the_invariant() -> None:
    outcomes = inspected("filtered", enriched(), enriched())

    assert [o.name for o in broken_invariants(outcomes.values())] == ["no_duplicates"]


def test_only_the_first_offenders_are_listed_but_all_are_counted() -> None:
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
def test_more_broken_seeds_than_the_limit_stop_the_partition(gate: str) -> None:
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


def test_a_writer_whose_completions_often_do_not_parse_is_a_warning() -> None:
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


def test_rows_that_were_not_checked_for_leaks_fail_the_check() -> None:
    outcome = inspected("filtered", enriched())["no_contamination"]

    assert not outcome.passed
    assert outcome.summary.startswith("not checked")


def test_too_few_accepted_rows_name_the_gate_its_reasons_and_rows() -> None:
    refused = [
        Rejection(gate="verification", reason=r, row={"id": f"r{n}", "question": f"Q{n}?"})
        for n, r in enumerate(["no majority"] * 3 + ["majority disagrees"])
    ]

    outcome = inspected("filtered", rejection("format"), *refused)["yield"]

    assert not outcome.passed
    assert outcome.summary == (
        "0 of 5 rows accepted: verification refused most, 4 (no majority 3, majority disagrees 1)"
    )
    assert [o.row for o in outcome.offenders] == ["r0", "r1", "r2"]
    assert outcome.offenders[0].problem == "verification: no majority – Q0?"


def test_votes_that_were_cut_off_call_for_a_higher_limit_and_not_for_a_stronger_solver() -> None:
    cut_off = [enriched(outcome="truncated_while_thinking", votes_cut_off=2)] * 5
    disputed = [enriched(outcome="no_majority")] * 4

    outcome = inspected("enriched", enriched(), *cut_off, *disputed)["answer_verification"]

    assert not outcome.passed
    assert outcome.summary.startswith(
        "1 of 10 rows verified: the votes on 5 were cut off (truncated while thinking 5): raise"
    )


def test_too_few_verified_rows_are_shown_with_their_votes() -> None:
    outcome = inspected("enriched", *[enriched(outcome="no_majority")] * 5)["answer_verification"]

    assert not outcome.passed
    assert outcome.offenders[0].problem == (
        "no_majority: What is the capital of France? – Paris; votes: Paris ×3"
    )
