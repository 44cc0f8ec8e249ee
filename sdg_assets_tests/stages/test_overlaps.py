from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.errors import SeedSourceError
from sdg_assets.records import Content
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.overlaps import SeededElsewhere, row_keys, seeded_elsewhere
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets_tests.support.builders import Rows, write_catalog

LONG = "Which of these animals lays eggs and feeds its young with milk?"
ROW = Content(question=LONG, answer="platypus", choices=["platypus", "hen", "cow"])


def seeded(*rows: Content) -> SeededElsewhere:
    return SeededElsewhere([("arc", (key for row in rows for key in row_keys(row)))])


@pytest.mark.parametrize(
    "question",
    [
        "  which of these ANIMALS lays eggs, and feeds its young with milk",
        "Which of these animals lays eggs\u00a0and feeds its young with milk？",
    ],
)
def test_case_punctuation_and_the_order_of_options_do_not_matter(question: str) -> None:
    other = Content(question=question, answer="Cow", choices=["Cow.", "Hen", "Platypus"])

    assert seeded(ROW)(other) == "arc"


def test_a_long_question_is_the_same_with_other_options() -> None:
    assert seeded(ROW)(Content(question=LONG, answer="a", choices=["a) platypus", "b"])) == "arc"


def test_a_short_question_is_the_same_only_with_the_same_options() -> None:
    title = Content(question="What is the best title?", answer="Bees", choices=["Bees", "Ants"])

    assert seeded(title)(title) == "arc"
    other = Content(question="What is the best title?", answer="Cars", choices=["Cars", "Trains"])
    assert seeded(title)(other) is None


def test_a_passage_counts_wherever_it_stands() -> None:
    apart = Content(context="Bees dance.", question="Who dances?", answer="a", choices=["a", "b"])
    fused = Content(question="Bees dance. Who dances?", answer="b", choices=["b", "a"])

    assert seeded(apart)(fused) == "arc"
    assert seeded(apart)(Content(question="Who dances?", answer="a", choices=["a", "b"])) is None


def test_a_row_of_an_overlapped_task_is_seeded_there(tmp_path: Path) -> None:
    catalog = load_catalog(
        write_catalog(
            tmp_path,
            {"overlaps": ["arc", "race", "gone", "absent"]},
            {"task": "arc", "dataset": "org/arc", "subtasks": {"arc": {}}},
            {"task": "race", "dataset": "org/race", "subtasks": {"race": {}}},
            {
                "task": "gone",
                "dataset": "org/gone",
                "subtasks": {"gone": {}},
                "enabled": False,
                "why": "off",
            },
            {"task": "absent", "dataset": "org/absent", "subtasks": {"absent": {}}},
        )
    )

    def rows(*questions: str) -> list[dict[str, object]]:
        return [{"question": q, "choices": ["red", "blue"], "label": 0} for q in questions]

    source = Rows(
        {
            "org/quiz": rows("In arc?", "In race?", "In gone?", "Here only?"),
            "org/arc": [*rows("in ARC"), {"question": "broken"}],
            "org/race": rows("In race?!"),
            "org/gone": rows("In gone?"),
        }
    )
    spec = catalog.subtask("quiz", "quiz")
    elsewhere = seeded_elsewhere(catalog.task("quiz"), catalog, source)

    reasons = [
        getattr(row, "reason", "")
        for row in normalize(spec, collect_seeds(spec, source), elsewhere)
    ]

    assert reasons == ["seeded by arc", "seeded by race", "", ""]


def test_an_overlapped_task_that_cannot_be_read_is_an_error_and_not_treated_as_absent(
    tmp_path: Path,
) -> None:
    class Gated(Rows):
        def splits(self, spec: SubtaskSpec) -> list[str]:
            raise SeedSourceError(f"{spec.where}: gated on the Hub. Accept its licence")

    arc = {"task": "arc", "dataset": "org/arc", "subtasks": {"arc": {}}}
    catalog = load_catalog(write_catalog(tmp_path, {"overlaps": ["arc"]}, arc))

    with pytest.raises(SeedSourceError) as caught:
        seeded_elsewhere(catalog.task("quiz"), catalog, Gated())

    assert str(caught.value).startswith("quiz overlaps arc, whose seeds cannot be read")
    assert "gated on the Hub. Accept its licence" in str(caught.value)
    assert str(caught.value).endswith("Or switch arc off in the catalog (enabled: false)")


def test_nothing_overlaps_nothing() -> None:
    assert SeededElsewhere([])(ROW) is None
