"""From any raw row, a mapping makes an example or raises a `MappingError`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sdg_assets.catalog.entries import RecordMapping
from sdg_assets.errors import MappingError
from sdg_assets.mapping.record import RowMapping, to_fields
from sdg_assets.records import AnswerKind, Content

TEXT = st.text(max_size=40)
WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
KINDS = st.sampled_from(
    [AnswerKind.MULTIPLE_CHOICE, AnswerKind.BOOLEAN, AnswerKind.NUMERIC, AnswerKind.CODE]
)
CHOICES = RowMapping(
    RecordMapping(question="{{question}}", choices="{{choices}}", answer_index="{{label}}"),
    AnswerKind.MULTIPLE_CHOICE,
    "quiz",
)


@given(question=VALUES, choices=VALUES, label=VALUES)
def test_any_row_becomes_an_example_or_a_sentence(question: Any, choices: Any, label: Any) -> None:
    row = {"question": question, "choices": choices, "label": label}
    try:
        contents = list(CHOICES(row))
    except MappingError:
        contents = []
    for content in contents:
        assert content.question
        assert content.answer_index is not None
        assert content.choices[content.answer_index] == content.answer


@given(kind=KINDS, values=st.dictionaries(
    st.sampled_from(["choices", "answer", "answer_index", "aliases", "tests", "context"]), VALUES
), question=VALUES)  # fmt: skip
def test_values_of_any_type_are_taken_or_refused(
    kind: AnswerKind, values: dict[str, Any], question: Any
) -> None:
    try:
        content = to_fields({"question": question, **values}, kind)
    except MappingError:
        return
    assert isinstance(content, Content)
    assert content.answer
    assert content.answer not in content.aliases


@given(st.lists(WORDS, min_size=2, max_size=6, unique=True), st.data())
def test_shuffled_choices_keep_their_answer(choices: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(choices) - 1))
    value = {"question": "Which one?", "choices": choices, "answer_index": index}
    plain = to_fields(value, AnswerKind.MULTIPLE_CHOICE)
    shuffled = to_fields(value, AnswerKind.MULTIPLE_CHOICE, shuffle=True)
    assert shuffled.answer == plain.answer == choices[index]
    assert sorted(shuffled.choices) == sorted(choices)
    assert shuffled == to_fields(value, AnswerKind.MULTIPLE_CHOICE, shuffle=True)
