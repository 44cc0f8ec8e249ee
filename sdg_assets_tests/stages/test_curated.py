from __future__ import annotations

import pytest

from sdg_assets.examples import (
    AnswerKind,
    CommercialUse,
    CuratedExample,
    EnrichedExample,
    Rejection,
    TeacherStamp,
)
from sdg_assets.stages.curated import curate, render_texts
from sdg_assets_tests.records import STAMP, enriched, source

YES: dict[str, CommercialUse] = {"quiz": "yes"}
TEACHERS: dict[str, CommercialUse] = {STAMP.model: "yes"}


def one(row: EnrichedExample) -> CuratedExample:
    (curated,) = curate([row], YES, TEACHERS)
    assert isinstance(curated, CuratedExample)
    return curated


def test_a_row_carries_its_licence_and_its_whole_provenance() -> None:
    row = enriched(source=source(license="CC-BY-SA-4.0"))

    curated = one(row)

    assert curated.license == "CC-BY-SA-4.0"
    assert dict(row).items() <= dict(curated).items()


@pytest.mark.parametrize(
    ("seeds", "writer", "solver", "expected"),
    [
        ("yes", "yes", "yes", "yes"),
        ("no", "yes", "yes", "no"),
        ("yes", "no", "yes", "no"),
        ("yes", "yes", "no", "no"),
        ("yes", "unclear", "yes", "unclear"),
        (None, "yes", "yes", "unclear"),
        ("yes", "yes", None, "unclear"),
    ],
)
def test_commercial_use_is_the_strictest_of_seed_writer_and_solver(
    seeds: CommercialUse | None,
    writer: CommercialUse | None,
    solver: CommercialUse | None,
    expected: str,
) -> None:
    row = enriched(
        teacher=TeacherStamp(model="org/writer", revision="1", license="MIT"),
        solver=TeacherStamp(model="org/solver", revision="1", license="MIT"),
    )
    seed_use = {"quiz": seeds} if seeds else {}
    teacher_use = {
        model: use for model, use in (("org/writer", writer), ("org/solver", solver)) if use
    }

    (curated,) = curate([row], seed_use, teacher_use)

    assert isinstance(curated, CuratedExample)
    assert curated.commercial_use == expected


def test_two_partitions_that_wrote_the_same_give_one_row() -> None:
    rows = [enriched(subtask="arc_easy"), enriched(subtask="arc_challenge")]

    kept, refused = curate(rows, YES, TEACHERS)

    assert isinstance(kept, CuratedExample)
    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.detail) == ("duplicates", rows[0].id)


def test_the_three_variants_of_a_choice_question() -> None:
    row = enriched(
        context="A short passage.",
        choices=["Rome", "Paris"],
        answer_index=1,
        reasoning="France is governed from there.\nAnswer: Paris",
        knowledge="Paris lies on the Seine.",
    )

    texts = render_texts(row)

    asked = "A short passage.\n\nWhat is the capital of France?\n\n- Rome\n- Paris"
    solved = "France is governed from there.\nAnswer: Paris"
    assert texts == {
        "answer_only": f"{asked}\n\nAnswer: Paris",
        "with_reasoning": f"{asked}\n\n{solved}",
        "with_context": f"Paris lies on the Seine.\n\n{asked}\n\n{solved}",
    }


def test_a_variant_whose_part_is_missing_is_left_out() -> None:
    assert set(render_texts(enriched(reasoning="", knowledge=""))) == {"answer_only"}
    assert set(render_texts(enriched(reasoning=""))) == {"answer_only", "with_context"}
    assert set(render_texts(enriched(knowledge=""))) == {"answer_only", "with_reasoning"}


def test_a_trace_that_does_not_end_in_the_answer_has_it_put_behind() -> None:
    texts = render_texts(enriched(reasoning="It is the city on the Seine."))

    assert texts["with_reasoning"].endswith("It is the city on the Seine.\n\nAnswer: Paris")


def test_a_program_is_shown_with_its_tests() -> None:
    row = enriched(
        answer_kind=AnswerKind.CODE,
        question="Write f, which doubles.",
        answer="def f(x):\n    return 2 * x",
        tests=["assert f(1) == 2"],
        reasoning="",
        knowledge="",
    )

    assert render_texts(row)["answer_only"] == (
        "Write f, which doubles.\n\nassert f(1) == 2\n\nAnswer: def f(x):\n    return 2 * x"
    )
