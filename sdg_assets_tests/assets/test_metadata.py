from __future__ import annotations

import dagster as dg

from sdg_assets.assets.changes import Counts, funnel_table
from sdg_assets.assets.metadata import (
    Failing,
    check_metadata,
    contamination_metadata,
    partition_metadata,
)
from sdg_assets.checks.inspection import Inspection
from sdg_assets.checks.outcome import CheckOutcome, Offender
from sdg_assets.records import Record, Rejection, Stage
from sdg_assets_tests.support.records import enriched, seed


def metadata_of(*rows: Record, stage: str = "filtered") -> dict[str, object]:
    inspection = Inspection(Stage(stage))
    for row in rows:
        inspection.see(row)
    samples = [row for row in rows if not isinstance(row, Rejection)]
    shown_metadata = partition_metadata(inspection, samples, None, "/store/file")
    return {name: getattr(value, "value", value) for name, value in shown_metadata.items()}


def test_the_funnel_names_the_largest_loss_first() -> None:
    rejected = [Rejection(gate=g, reason="r", row={}) for g in ("format", "judge", "judge")]

    shown_metadata = metadata_of(enriched(), *rejected)

    assert str(shown_metadata["funnel"]).splitlines() == [
        "| rows | count |",
        "|---|---|",
        "| in | 4 |",
        "| accepted | 1 |",
        "| judge | 2 |",
        "| format | 1 |",
        "| yield | 25.0% |",
        "",
        "The first materialization: there is no change to show.",
    ]
    assert (shown_metadata["rejected_by_judge"], shown_metadata["rejected_by_format"]) == (2, 1)


def test_the_funnel_shows_the_change_against_the_version_before() -> None:
    now = Counts(812, {"judge": 88, "format": 100})
    before = Counts(775, {"judge": 125, "language": 10})

    assert funnel_table(now, before).splitlines()[2:] == [
        "| in | 1,000 | +90 |",
        "| accepted | 812 | +37 |",
        "| format | 100 | +100 |",
        "| judge | 88 | -37 |",
        "| language | 0 | -10 |",
        "| yield | 81.2% | -4.0 points |",
    ]


def test_a_sample_shows_question_choices_answer_and_votes() -> None:
    sample = str(metadata_of(enriched(context="A passage."))["samples"])

    for part in ("A passage.", "capital of France", "- Rome", "**Answer:** Paris", "Paris ×3"):
        assert part in sample


def test_raw_seeds_are_no_samples() -> None:
    assert metadata_of(seed(0, text="secret"), stage="seeds")["samples"] == "no rows"


def test_three_refused_rows_of_each_gate_stand_beside_the_accepted_ones() -> None:
    votes = [
        Rejection(
            gate="verification",
            reason="no majority",
            detail="2 of 5",
            row={"question": f"Question {n}?", "choices": ["a", "b"], "answer": "a", "id": "x"},
        )
        for n in range(5)
    ]
    draft = Rejection(gate="generation", reason="unparsable", row={"completion": "Sorry | no"})

    refused_samples = str(metadata_of(enriched(), draft, *votes)["refused_samples"])

    assert refused_samples.index("### verification: 5 rows") < refused_samples.index(
        "### generation: 1 rows"
    )
    assert [n for n in range(5) if f"Question {n}?" in refused_samples] == [0, 1, 2]
    assert "**no majority** 2 of 5" in refused_samples
    assert "- choices: ['a', 'b']" in refused_samples
    assert "{'completion': 'Sorry \\| no'}" in refused_samples


def test_where_nothing_was_refused_nothing_is_shown() -> None:
    assert "refused_samples" not in metadata_of(enriched())


def test_the_partitions_that_fail_a_check_are_counted_and_linked() -> None:
    key = dg.AssetKey(["quiz", "filtered"])
    failing = Failing(key, ["a", "b", "c", "d"], 20)
    text = str(failing.metadata()["failing_partitions"].value)

    assert text.startswith("4 of 20 partitions fail:")
    assert "- [d](/assets/quiz/filtered?view=partitions&partition=d)" in text
    assert failing.description("1 of 9 rows accepted") == (
        "1 of 9 rows accepted. 4 of 20 partitions fail this check: a, b, c, …"
    )
    nothing = Failing(key, [], 20)
    assert (nothing.metadata(), nothing.description("fine")) == ({}, "fine")


def test_a_contamination_table_without_rows_is_not_shown() -> None:
    record = {"refused": 0, "suspicious": 0, "against": {}, "without": [], "benchmarks": {}}

    assert "contamination" not in contamination_metadata(record)


def test_text_from_rows_cannot_break_the_table() -> None:
    outcome = CheckOutcome(
        name="schema",
        passed=False,
        summary="broken",
        offenders=[Offender(row="r1", problem="a | b\nc" + "x" * 900)],
    )

    table = str(check_metadata(outcome)["offending_rows"].value)

    assert len(table.splitlines()) == 3
    assert table.splitlines()[2].startswith("| r1 | a \\| b cxxx")
    assert len(table) < 400
