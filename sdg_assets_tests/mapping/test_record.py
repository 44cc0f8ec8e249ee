from __future__ import annotations

from typing import Any

import pytest

from sdg_assets.catalog import RecordMapping
from sdg_assets.catalog.templates import compile_template
from sdg_assets.errors import CatalogError, MappingError
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import AnswerKind, Content


def mapped(
    row: dict[str, Any], kind: AnswerKind = AnswerKind.SHORT_TEXT, **record: Any
) -> list[Content]:
    mapping = RowMapping(
        RecordMapping(**{"question": "{{q}}", "answer": "{{a}}", **record}), kind, "quiz/quiz"
    )
    return list(mapping(row))


def choice(row: dict[str, Any], **record: Any) -> Content:
    record = {"choices": "{{c}}", "answer": None, "answer_index": "{{a}}", **record}
    (fields,) = mapped({"q": "Which?", **row}, AnswerKind.MULTIPLE_CHOICE, **record)
    return fields


@pytest.mark.parametrize("answer", ["007", "1e5", "True", "[1]", "", "None"])
def test_text_is_never_read_as_another_type(answer: str) -> None:
    if not answer:
        with pytest.raises(MappingError, match=r"record\.answer renders to nothing"):
            mapped({"q": "?", "a": answer})
        return
    assert mapped({"q": "?", "a": answer})[0].answer == answer


def test_one_expression_keeps_its_type_and_anything_else_is_text() -> None:
    row = {"a": [1, 2], "b": {"c": 3}}
    render = {
        t: compile_template(t, "x")(row) for t in ("{{a}}", "{{ b.c }}", "{{-a-}}", "{{b.c}}!")
    }
    assert render == {"{{a}}": [1, 2], "{{ b.c }}": 3, "{{-a-}}": [1, 2], "{{b.c}}!": "3!"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, r"record\.question: null inside a text; write default\('', true\)"),
        (float("nan"), r"record\.question: NaN inside a text"),
        (["a", "b"], r"record\.question: list inside a text; choose its parts, or `join` them"),
        ({"a": 1}, r"record\.question: dict inside a text"),
        (b"a", r"record\.question: bytes inside a text"),
    ],
)
def test_a_value_without_a_wording_is_never_part_of_a_text(value: object, says: str) -> None:
    for question in ("{{title}}. {{q}}", "{% if q %}{{title}}{% endif %}"):
        with pytest.raises(MappingError, match=says):
            mapped({"q": "Which?", "a": "Elbe", "title": value}, question=question)


def test_a_null_that_may_be_left_out_is_no_text() -> None:
    question = "{{title | default('', true)}} {{q}}"

    assert (
        mapped({"q": "Which?", "a": "1", "title": None}, question=question)[0].question == "Which?"
    )
    assert mapped({"q": "Which?", "a": "1", "c": None}, context="{{c}}")[0].context == ""


def test_nan_alone_is_no_text_either() -> None:
    with pytest.raises(MappingError, match=r"record\.answer: text expected, found NaN"):
        mapped({"q": "Which?", "a": float("nan")})


def test_choices_and_index() -> None:
    fields = choice({"c": ["red", "blue"], "a": "1"})
    assert (fields.choices, fields.answer, fields.answer_index) == (["red", "blue"], "blue", 1)


def test_choices_from_columns() -> None:
    fields = choice({"x": "red", "y": "blue", "a": 0}, choices=["{{x}}", "{{y}}"])
    assert (fields.choices, fields.answer) == (["red", "blue"], "red")


def test_a_template_with_statements_is_text() -> None:
    record: dict[str, Any] = {
        "question": "{% if n > 1 %}many{% else %}one{% endif %}, {{n}}",
        "answer": "{{n}}",
    }
    assert mapped({"n": 2}, **record)[0].question == "many, 2"


def test_fields_do_not_see_each_other() -> None:
    (fields,) = mapped({"question": "raw", "q": "?", "a": "yes"}, context="{{question}}")
    assert fields.context == "raw"


@pytest.mark.parametrize(
    ("row", "record", "says"),
    [
        ({"a": "x"}, {}, "record.question: 'q' is undefined"),
        ({"q": "?", "a": None}, {"answer": "{{a.b}}"}, "record.answer: "),
        ({"q": " ", "a": "x"}, {}, "record.question renders to nothing"),
        ({"q": ["?"], "a": "x"}, {}, "record.question: text expected, found list"),
        ({"q": "?", "a": []}, {}, "record.answer renders to an empty list"),
        ({"q": "?", "a": "x"}, {"aliases": "{{a}}"}, "record.aliases: a list expected, found str"),
        ({"q": "?", "a": "x"}, {"where": "{{z}}"}, "record.where: "),
        ({"q": "?", "a": "x"}, {"each": "{{z}}"}, "record.each: "),
    ],
)
def test_a_row_that_does_not_fit_names_the_field(
    row: dict[str, Any], record: dict[str, Any], says: str
) -> None:
    with pytest.raises(MappingError) as error:
        mapped(row, **record)
    assert str(error.value).startswith(says)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"c": ["red", "blue"], "a": 2}, "2 is outside the 2 choices"),
        ({"c": ["red", "blue"], "a": "B"}, "an integer expected, found 'B'"),
        ({"c": ["red", "blue"], "a": True}, "an integer expected, found True"),
        ({"c": ["red"], "a": 0}, "multiple_choice needs two choices or more"),
        ({"c": "red", "a": 0}, "record.choices: a list expected, found str"),
    ],
)
def test_a_wrong_choice_is_refused(row: dict[str, Any], says: str) -> None:
    with pytest.raises(MappingError, match=says):
        choice(row)


def test_an_answer_that_is_no_choice_is_refused() -> None:
    with pytest.raises(MappingError, match="answer 'green' is not among the choices"):
        choice({"c": ["red", "blue"], "a": "green"}, answer="{{a}}", answer_index=None)


def test_malformed_jinja_is_the_catalogs_fault() -> None:
    with pytest.raises(CatalogError, match=r"quiz/quiz: record\.question: .* in '\{\{q'"):
        mapped({}, question="{{q")


def test_several_answers_are_aliases_of_the_first() -> None:
    (fields,) = mapped({"q": "?", "a": ["Paris", "paris", "Paris"]}, aliases="{{['PARIS']}}")
    assert (fields.answer, fields.aliases) == ("Paris", ["paris", "PARIS"])


@pytest.mark.parametrize(("value", "answer"), [(True, "yes"), (False, "no")])
def test_a_boolean_has_its_two_choices(value: bool, answer: str) -> None:
    (fields,) = mapped({"q": "?", "a": value}, AnswerKind.BOOLEAN)
    assert (fields.answer, fields.choices) == (answer, ["yes", "no"])


def test_each_item_is_an_example_and_where_drops_some() -> None:
    row = {"turns": [{"q": "1?", "a": "x"}, {"q": "2?", "a": ""}, {"q": "3?", "a": "z"}], "d": "D"}
    record: dict[str, Any] = {
        "each": "{{turns}}",
        "where": "{{item.a != ''}}",
        "context": "{{d}}",
        "question": "{{index}}: {{item.q}}",
        "answer": "{{item.a}}",
    }
    found = [(f.context, f.question, f.answer) for f in mapped(row, **record)]
    assert found == [("D", "0: 1?", "x"), ("D", "2: 3?", "z")]


def test_shuffled_choices_keep_their_answer_and_do_not_always_end_with_it() -> None:
    rows = [{"q": f"Which {i}?", "c": ["w1", "w2", "w3", f"right {i}"], "a": 3} for i in range(40)]
    found = [choice(row, shuffle=True) for row in rows]
    assert found == [choice(row, shuffle=True) for row in rows]
    assert {fields.answer_index for fields in found} == {0, 1, 2, 3}
    for i, fields in enumerate(found):
        assert fields.answer == f"right {i}" == fields.choices[fields.answer_index or 0]


def test_columns_that_are_no_identifiers_are_reached_through_row() -> None:
    (fields,) = mapped({"q": "?", "Correct Answer": "42"}, answer="{{row['Correct Answer']}}")
    assert fields.answer == "42"


def test_code_needs_tests_where_they_are_mapped() -> None:
    with pytest.raises(MappingError, match=r"record\.tests renders to nothing"):
        mapped({"q": "?", "a": "x", "t": []}, AnswerKind.CODE, tests="{{t}}")


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"so \boxed{1} and $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"\fbox{a\{b} x", r"a\{b"),
        (r"$\boxed{\left\{1,2\right\}}$", r"\left\{1,2\right\}"),
        (r"thus $\boxed 3$.", "3"),
        (r"\boxed {x}", "x"),
    ],
)
def test_last_boxed(text: str, boxed: str) -> None:
    assert compile_template("{{t | last_boxed}}", "x")({"t": text}) == boxed


@pytest.mark.parametrize(
    ("text", "says"), [("none", "no \\boxed or \\fbox"), (r"\boxed{a", "not balanced")]
)
def test_last_boxed_that_is_not_there_rejects_the_row(text: str, says: str) -> None:
    with pytest.raises(MappingError) as error:
        mapped({"q": "?", "t": text}, answer="{{t | last_boxed}}")
    assert says in str(error.value)


def test_regular_expressions_as_filters() -> None:
    row = {"t": "a1 b22\nc333"}
    templates = {
        r"{{t | regex_findall('[0-9]+')}}": ["1", "22", "333"],
        r"{{t | regex_search('b(.*)c', 1)}}": "22\n",
        r"{{t | regex_replace('[0-9]')}}": "a b\nc",
        r"{{t | regex_replace('[0-9]', '#', 1)}}": "a# b22\nc333",
    }
    for template, expected in templates.items():
        assert compile_template(template, "x")(row) == expected
    with pytest.raises(MappingError, match="regex_search: 'z' is not in"):
        compile_template("{{t | regex_search('z')}}", "x")(row)


def test_a_template_cannot_reach_the_interpreter() -> None:
    with pytest.raises(MappingError, match="SecurityError"):
        mapped({"q": "?", "a": "x"}, answer="{{a.__class__.__mro__}}")


def test_a_blank_option_is_dropped_and_the_answer_stays_the_right_one() -> None:
    record = RecordMapping(question="{{q}}", choices="{{c}}", answer_index="{{i}}")
    mapping = RowMapping(record, AnswerKind.MULTIPLE_CHOICE, "task/subtask")

    (fields,) = mapping({"q": "Which?", "c": ["", "red", None, "blue"], "i": 3})

    assert (fields.choices, fields.answer_index, fields.answer) == (["red", "blue"], 1, "blue")


@pytest.mark.parametrize(
    "question",
    [
        "{{ word | regex_search('(a+)+$') }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    ],
)
def test_a_row_on_which_a_template_never_ends_is_refused(
    question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdg_assets.mapping.record.ROW_SECONDS", 0.05)
    mapping = RowMapping(RecordMapping(question=question, answer="x"), AnswerKind.SHORT_TEXT, "t/s")

    for _ in range(3):
        with pytest.raises(MappingError, match=r"the templates take more than 0\.05 s"):
            list(mapping({"word": "a" * 40 + "!"}))
    with pytest.raises(CatalogError, match=r"t/s: record: the templates take more .* backtrack"):
        list(mapping({"word": "a" * 40 + "!"}))


def test_a_power_in_a_template_is_bounded() -> None:
    render = compile_template("{{ 2 ** n }}", "x")

    assert render({"n": 10}) == 1024
    with pytest.raises(Exception, match="exponent 10000000000 is over 64"):
        render({"n": 10**10})


@pytest.mark.parametrize("label", ["²", "①", "--1", "", "1.0"])
def test_an_index_that_is_not_an_integer_is_refused(label: str) -> None:
    with pytest.raises(MappingError, match="answer_index: an integer expected"):
        choice({"c": ["red", "blue"], "a": label})


def test_items_that_are_not_a_list_are_refused() -> None:
    record = RecordMapping(each="{{turns}}", question="{{item}}", answer="a")
    mapping = RowMapping(record, AnswerKind.SHORT_TEXT, "quiz/quiz")

    with pytest.raises(MappingError, match=r"record\.each: a list expected, found NoneType"):
        list(mapping({"turns": None}))


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("m : i do n't know , sir . f : well ?", "m: i don't know, sir. f: well?"),
        ("m : i 'm gon na pay $ 750 for it .", "m: i'm gonna pay $750 for it."),
        ("f : `` great '' , he said . that 's 5 % off", 'f: "great", he said. that\'s 5% off'),
        (
            "m : the students ' books ( all ) ca n't be here",
            "m: the students' books (all) can't be here",
        ),
    ],
)
def test_treebank_tokens_become_text(tokens: str, text: str) -> None:
    record = RecordMapping(question="{{q | detokenized}}", answer="a")

    (fields,) = RowMapping(record, AnswerKind.SHORT_TEXT, "quiz/quiz")({"q": tokens})

    assert fields.question == text
