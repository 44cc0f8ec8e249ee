"""Short texts, spans and prose."""

from __future__ import annotations

import pytest

from sdg_assets.answers import answer_format
from sdg_assets.records import AnswerKind
from sdg_assets_tests.answers.asking import ask, extracted, same

PARIS = ask(AnswerKind.SHORT_TEXT, "Paris")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: Paris", "Paris"),
        ("**Answer:** **Paris**.", "Paris"),
        ("Answer: “Paris”", "Paris"),
        ("The answer is Paris, which is the capital of France.", "Paris"),
        ("The answer is Paris because it is the capital.", "Paris"),
        ("The answer is Paris. It is the capital of France.", "Paris"),
        ("Answer: Paris, France", "Paris, France"),
        ("Answer: St. Louis", "St. Louis"),
        ("Answer: J. K. Rowling", "J. K. Rowling"),
        ("Answer: now or never", "now or never"),
        ("The answer is Paris, not Rome.", "Paris"),
        ("Answer: Ciampino – Pastine Airport", "Ciampino – Pastine Airport"),
        ("Answer: 11. November 1918", "11. November 1918"),
        ("It is the capital of France.\n\nParis", "Paris"),
        (r"\boxed{\text{Paris}}", "Paris"),
        ('{"answer": "Paris"}', "Paris"),
        ("The answer is Rome. No, wait. The answer is Paris.", "Paris"),
        ("答案是巴黎。", "巴黎"),
        ("答えは東京です。", "東京"),
        ("정답은 서울입니다.", "서울"),
        ("उत्तर: दिल्ली", "दिल्ली"),
        ("La respuesta es Madrid.", "Madrid"),
        ("Answer: I don't know", None),
        ("Answer: not enough information", None),
        ("France is a country in Western Europe and its capital is a large city.", None),
        ("", None),
    ],
)
def test_a_short_answer_is_taken_without_its_explanation(text: str, expected: str | None) -> None:
    assert extracted(text, PARIS) == expected


@pytest.mark.parametrize(
    "answer",
    ["Washington, D.C.", "the U.S.", "6 p.m.", "44 B.C.", "Liverpool F.C.", "z.B.", "п.п.с."],
)
@pytest.mark.parametrize("text", ["Answer: {}", "The answer is {}", "Answer: **{}**", "So, {}"])
def test_an_abbreviation_keeps_its_last_stop(answer: str, text: str) -> None:
    example = ask(AnswerKind.SHORT_TEXT, answer)

    assert extracted(text.format(answer), example) == answer
    assert same(answer.removesuffix("."), answer, example), "a vote that a sentence end cut"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: Plan A or B.", "Plan A or B"),
        ("Answer: Malcolm X.", "Malcolm X"),
        ("Answer: Apple Inc.", "Apple Inc"),
        ("Answer: D.C., not Rome", "D.C."),
    ],
)
def test_a_stop_after_a_word_or_one_initial_ends_a_sentence(text: str, expected: str) -> None:
    assert extracted(text, PARIS) == expected


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Paris", "paris."),
        ("The Beatles", "Beatles"),
        ("U.S.", "US"),
        ("well-known", "well known"),
        ("Newton’s law", "Newton's law"),
        ("1,000", "1000"),
        ("twelve", "12"),
        ("twelve apples", "12 apples"),
        ("$12 million", "12 million dollars"),
        ("45%", "45 percent"),
        ("March 5, 2021", "2021-03-05"),
        ("March 5, 2021", "5 March 2021"),
        ("March 5, 2021", "5th of March, 2021"),
        ("March 5, 2021", "Mar. 5, 2021"),
        ("March 5, 2021", "Friday, March 5, 2021"),
        ("March 5, 2021", "5.3.2021"),
        ("March 5, 2021", "2021年3月5日"),
        ("March 5, 2021", "2021년 3월 5일"),
        ("March 5, 2021", "5 de marzo de 2021"),
        ("March 5, 2021", "5 mars 2021"),
        ("March 5, 2021", "5. März 2021"),
        ("March 5, 2021", "5 марта 2021 года"),
        ("March 5, 2021", "5 मार्च 2021"),
        ("March 25, 2021", "3/25/2021"),
        ("March 25, 2021", "25/03/2021"),
        ("March 2021", "2021 March"),
        ("March 5", "5th March"),
        ("1998", "in 1998"),
        ("Mercury", "Mercury (planet)"),
        ("２０２１", "2021"),
        ("٢٠٢١", "2021"),
        ("مُحَمَّد", "محمد"),
        ("東京 都", "東京都"),
        ("H₂O", "H2O"),
        ("New-York", "New York"),
        ("and/or", "and or"),
        ("AC/DC", "AC-DC"),
        ("yes!", "yes"),
        ("2–1", "2-1"),
        ("5-7-5", "5/7/5"),
        ("1939/40", "1939-40"),
        ("the letter 'a'", "the letter a"),
        ("rock ’n’ roll", "rock n roll"),
        ("A∪B.", "A ∪ B"),
        ("Cl−", "cl-"),
        ("O- (negative)", "O-"),
        ("a·b", "a*b"),
    ],
)
def test_wordings_of_one_answer_are_the_same(left: str, right: str) -> None:
    assert same(left, right, ask(AnswerKind.SHORT_TEXT, left))
    assert same(right, left, ask(AnswerKind.SHORT_TEXT, left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Paris", "Rome"),
        ("1.5", "15"),
        ("-5", "5"),
        ("March 5, 2021", "March 6, 2021"),
        ("March 5, 2021", "May 3, 2021"),
        ("March 5, 2021", "03/05/2021"),
        ("March 5, 2021", "March 5"),
        ("12 years", "12 months"),
        ("12", "twenty"),
        ("Mercury (planet)", "Mercury (element)"),
        ("until 1998", "1998"),
        ("C++", "C"),
        ("東京", "京都"),
        ("से", "सा"),
        ("दिल्ली", "दिल"),
        ("O-", "O"),
        ("A-", "A."),
        ("Cl−", "Cl"),
        ("SO4 2-", "SO4 2"),
        ("3-2", "3/2"),
        ("a/b", "a*b"),
        ("(a+b)/c", "(a+b)-c"),
        ("p∧q", "p∨q"),
        ("¬p", "p"),
        ("~p", "p"),
        ("¬(p∧q)", "¬p∧q"),
        ("A∪B", "A∩B"),
        ("a ⊂ b", "a ⊃ b"),
        ("f'(x)", "f(x)"),
        ("x′", "x"),
    ],
)
def test_different_answers_stay_apart(left: str, right: str) -> None:
    assert not same(left, right, ask(AnswerKind.SHORT_TEXT, left))
    assert not same(right, left, ask(AnswerKind.SHORT_TEXT, left))


def test_two_aliases_of_the_answer_are_the_same() -> None:
    example = ask(AnswerKind.SHORT_TEXT, "New York City", aliases=["NYC", "Big Apple"])

    assert same("NYC", "the big apple", example)
    assert not same("NYC", "Boston", example)


@pytest.mark.parametrize(
    ("language", "left", "right"),
    [
        ("de", "die Donau", "Donau"),
        ("es", "el río Ebro", "río Ebro"),
        ("fr", "l’eau", "eau"),
        ("fr", "la Seine", "Seine"),
        ("ar", "القاهرة", "قاهرة"),
    ],
)
def test_articles_of_the_language_are_ignored(language: str, left: str, right: str) -> None:
    assert same(left, right, ask(AnswerKind.SHORT_TEXT, left, language=language))


CONTEXT = (
    "In 1889 the tower was built in Paris, the capital of France, by Gustave Eiffel (1832-1923)."
)
SEAT = ask(AnswerKind.SPAN, "Washington, D.C.", context="He lives in Washington, D.C. since May.")
SPAN = ask(AnswerKind.SPAN, "Gustave Eiffel", context=CONTEXT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: Gustave Eiffel", "Gustave Eiffel"),
        ("Answer: Gustave Eiffel, who was an engineer", "Gustave Eiffel"),
        ("Answer: Paris, the capital of France", "Paris, the capital of France"),
        ("Answer: Paris (a city)", "Paris"),
        ("The answer is 1889 – the year of the fair.", "1889"),
        ("Answer: “Gustave Eiffel”.", "Gustave Eiffel"),
    ],
)
def test_a_span_is_the_longest_beginning_that_stands_in_its_context(
    text: str, expected: str
) -> None:
    assert extracted(text, SPAN) == expected


@pytest.mark.parametrize("rest", ["", " It lies on a river.", " (a city)", ", not Rome"])
def test_a_span_keeps_the_last_stop_of_an_abbreviation(rest: str) -> None:
    assert extracted(f"Answer: Washington, D.C.{rest}", SEAT) == "Washington, D.C."


def test_a_span_that_is_not_in_its_context_is_malformed() -> None:
    check = answer_format(AnswerKind.SPAN).check

    assert check(SPAN) is None
    assert check(ask(AnswerKind.SPAN, "London", context=CONTEXT)) == "answer is not in context"
    assert check(ask(AnswerKind.SPAN, "pari", context=CONTEXT)) == "answer is not in context"


PROSE = ask(
    AnswerKind.FREE_FORM,
    "Water boils at 100 degrees as its vapour pressure equals that of the air.",
)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("Water boils at 100 degrees: its vapour pressure equals that of the air.", True),
        ("Water boils at 90 degrees because its vapour pressure equals that of the air.", False),
        ("The tower was built in Paris.", False),
        ("", False),
    ],
)
def test_prose_agrees_when_it_shares_its_words_and_numbers(other: str, expected: bool) -> None:
    assert same(PROSE.answer, other, PROSE) is expected


@pytest.mark.parametrize(
    "text",
    [
        "Many people think that bats are blind. Actually, they see well.",
        "Take one tablet after dinner.\nWait six hours between doses.",
        "Water is, actually, a poor conductor.",
    ],
)
def test_prose_is_not_cut_at_a_word_that_may_correct_an_answer(text: str) -> None:
    assert extracted(text, PROSE) == text
    assert extracted(f"Ice? Wait, no.</think>\n\n\n{text}", PROSE) == text


def test_prose_is_taken_whole_behind_its_heading() -> None:
    text = "Let me think.\n\n**Answer:** The answer is simple.\nWater boils."

    assert extracted(text, PROSE) == "The answer is simple.\nWater boils."
    assert extracted("Water boils.\nThe answer is simple.", PROSE) == (
        "Water boils.\nThe answer is simple."
    )
