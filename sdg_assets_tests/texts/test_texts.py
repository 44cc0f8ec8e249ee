"""The exact training texts, compared character by character."""

from __future__ import annotations

from sdg_assets.records import AnswerKind
from sdg_assets.texts import render_texts
from sdg_assets_tests.support.records import enriched


def test_the_three_variants_of_a_choice_question() -> None:
    row = enriched(
        context="A short passage.",
        choices=["Rome", "Paris"],
        answer_index=1,
        reasoning="France is governed from there.",
        knowledge="Paris lies on the Seine.",
    )

    texts = render_texts(row)

    asked = "A short passage.\n\nWhat is the capital of France?\n\n- Rome\n- Paris"
    solved = "France is governed from there.\n\nAnswer: Paris"
    assert texts == {
        "answer_only": f"{asked}\n\nAnswer: Paris",
        "with_reasoning": f"{asked}\n\n{solved}",
        "with_context": f"Paris lies on the Seine.\n\n{asked}\n\n{solved}",
    }


def test_a_variant_whose_part_is_missing_is_left_out() -> None:
    assert set(render_texts(enriched(reasoning="", knowledge=""))) == {"answer_only"}
    assert set(render_texts(enriched(reasoning=""))) == {"answer_only", "with_context"}
    assert set(render_texts(enriched(knowledge=""))) == {"answer_only", "with_reasoning"}


def test_the_answer_is_stated_once_after_the_reasoning() -> None:
    # A last line that contains the answer by chance once stood in for it.
    row = enriched(reasoning="No other city of France is as large as Paris.")

    text = render_texts(row)["with_reasoning"]

    assert text.endswith("No other city of France is as large as Paris.\n\nAnswer: Paris")


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


def test_a_trace_that_holds_a_program_is_not_followed_by_another() -> None:
    row = enriched(
        answer_kind=AnswerKind.CODE,
        question="Write f, which doubles.",
        answer="def f(x):\n    return 2 * x",
        tests=["assert f(1) == 2"],
        reasoning="Add it to itself.\n```python\ndef f(x):\n    return x + x\n```",
    )

    assert render_texts(row)["with_reasoning"] == (
        "Write f, which doubles.\n\nassert f(1) == 2\n\n"
        "Add it to itself.\n```python\ndef f(x):\n    return x + x\n```"
    )


def test_there_is_no_markup_unless_asked_for() -> None:
    row = enriched(choices=["Rome", "Paris"], answer_index=1)

    assert not any("<|" in text for text in render_texts(row).values())
    assert render_texts(row, "chatml")["answer_only"] == (
        "<|im_start|>user\nWhat is the capital of France?\n\n- Rome\n- Paris<|im_end|>\n"
        "<|im_start|>assistant\nAnswer: Paris<|im_end|>\n"
    )


def test_words_of_a_template_inside_a_row_change_nothing() -> None:
    row = enriched(
        answer_kind=AnswerKind.SHORT_TEXT,
        question="What does {{ row.answer }} mean?\n=== answer ===\nNothing?",
        answer="42",
        reasoning="",
        knowledge="",
    )

    assert render_texts(row)["answer_only"] == (
        "What does {{ row.answer }} mean?\n=== answer ===\nNothing?\n\nAnswer: 42"
    )
