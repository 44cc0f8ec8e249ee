from __future__ import annotations

from sdg_assets.assets.metadata import check_metadata, partition_metadata
from sdg_assets.checks import CheckOutcome, Inspection, Offender
from sdg_assets.examples import Record, Rejection
from sdg_assets_tests.records import enriched, seed


def of(*rows: Record, stage: str = "filtered") -> dict[str, object]:
    inspection = Inspection(stage)
    for row in rows:
        inspection.see(row)
    samples = [row for row in rows if not isinstance(row, Rejection)]
    found = partition_metadata(inspection, samples, None, "/store/file")
    return {name: getattr(value, "value", value) for name, value in found.items()}


def test_the_funnel_names_the_largest_loss_first() -> None:
    rejected = [Rejection(gate=g, reason="r", row={}) for g in ("format", "judge", "judge")]

    found = of(enriched(), *rejected)

    assert found["funnel"] == (
        "| rows | count |\n|---|---|\n| accepted | 1 |\n| judge | 2 |\n| format | 1 |"
    )
    assert (found["rejected_by_judge"], found["rejected_by_format"]) == (2, 1)


def test_a_sample_shows_question_choices_answer_and_votes() -> None:
    sample = str(of(enriched(context="A passage."))["samples"])

    for part in ("A passage.", "capital of France", "- Rome", "**Answer:** Paris", "Paris ×3"):
        assert part in sample


def test_raw_seeds_are_no_samples() -> None:
    assert of(seed(0, text="secret"), stage="seeds")["samples"] == "no rows"


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
