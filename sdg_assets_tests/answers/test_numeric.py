"""Numbers and formulae: found in prose, and compared across notations."""

from __future__ import annotations

import pytest

from sdg_assets.records import AnswerKind
from sdg_assets_tests.answers.asking import ask, extracted, same, solves

TWELVE = ask(AnswerKind.NUMERIC, "12")


@pytest.mark.parametrize(
    "text",
    [
        "Answer: 12",
        "**Answer:** 12",
        "Answer: **12**",
        "Answer: 12.",
        "Answer: 12.0",
        "Answer: 12 apples",
        "Answer: $12",
        "Answer: $12.00",
        "Answer: \\$12",
        "Answer: 12 dollars",
        "Answer: €12",
        "Answer: 12 €",
        "Answer: 12 km/h",
        "Answer: 12 \\text{ cm}",
        "Answer: $12$",
        "Answer: $12\\text{ cm}^2$",
        "Answer: 12 o'clock",
        "Answer: 12°",
        "Answer: $12^\\circ$",
        "Answer: +12",
        "Answer: twelve",
        "Answer: Twelve apples.",
        "Answer: １２",
        "Answer: ١٢",
        "Answer: १२",
        "Answer: ১২",
        "Answer: ๑๒",
        "Answer: x = 12",
        "Answer: 3 * 4 = 12",
        "Answer: 3 x 4 = 12 apples",
        "Answer: 24/2",
        "Answer: \\frac{24}{2}",
        "Answer: 1.2 × 10^1",
        "Answer: 1.2e1",
        "Answer: about 12",
        "The answer is 12, because 3 * 4 is 12.",
        "The answer is 12 because she had 3 bags of 4.",
        "She has 3 bags of 4 apples, so the answer is 12.",
        "3 + 4 = 7 and 7 + 5 = 12.\n\nAnswer: 12",
        r"$\boxed{12}$",
        r"Thus we get \boxed{12 \text{ apples}}.",
        r"The final answer is \(\boxed{12}\).",
        "The answer is:\n$$12$$",
        "The answer is:\n\\[\n12\n\\]",
        "#### 12",
        '{"answer": 12}',
        '{"final_answer": "12 apples"}',
        "<answer>12</answer>",
        "She has 3 bags.\nSo she has 12 apples.",
        "12 is the final answer.",
        "The answer is 11. Wait, I forgot one. The answer is 12.",
        "The answer is not 11 but 12.",
        "答案是12。",
        "答案是 12 个苹果",
        "所以答案为:12",
        "答えは12です。",
        "答え:12個",
        "정답은 12입니다.",
        "الإجابة: ١٢",
        "उत्तर: १२",
        "उत्तर 12 है।",
        "উত্তর: ১২",
        "La respuesta es 12.",
        "La réponse est 12.",
        "Die Antwort ist 12.",
        "Ответ: 12",
        "Jibu ni 12.",
        "คำตอบคือ 12",
        "సమాధానం: 12",
    ],
)
def test_twelve_is_twelve_however_it_is_written(text: str) -> None:
    assert solves(text, TWELVE) is True


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I do not know.",
        "Answer: 12 or 13",
        "Answer: 12, 13",
        "Answer: 10-12",
        "Answer: between 11 and 13",
        "x = 12, y = 13 is the answer",
        "Answer: x = 12, y = 13",
        "The answer is not 12.",
        "She has 3 bags with 12 apples.",
        "The answer is unclear.",
        "Answer: 3,12",
        "Answer: 12, -2 + 3i, -2 - 3i",
        "Answer: (12, 13)",
        "The answer is 12. Hold on, that is wrong.",
    ],
)
def test_a_text_that_does_not_settle_on_one_number_has_no_answer(text: str) -> None:
    assert extracted(text, TWELVE) is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1000", "1,000"),
        ("1000", "1 000"),
        ("1000", "1\u202f000"),
        ("1000", "1'000"),
        ("1000", "1{,}000"),
        ("1000", "1,\\!000"),
        ("1000", "1,000.00"),
        ("1000.5", "1.000,50"),
        ("1000000", "1.000.000"),
        ("100000", "1,00,000"),
        ("12345678", "1,23,45,678"),
        ("1000", "10^3"),
        ("1000", "10³"),
        ("1500", "1.5 \\times 10^{3}"),
        ("3000000", "3 million"),
        ("0.75", "3/4"),
        ("0.75", "¾"),
        ("0.75", "\\frac{3}{4}"),
        ("0.75", "\\dfrac34"),
        ("0.75", "75%"),
        ("0.75", "75\\%"),
        ("3/4", "6/8"),
        ("1.5", "1 1/2"),
        ("1.5", "1½"),
        ("1.5", "1\\frac{1}{2}"),
        ("1.5", "\\frac{3}{2}"),
        ("-5", "−5"),
        ("-5", "- 5"),
        ("-5", "minus five"),
        ("-3/4", "-\\frac{3}{4}"),
        ("0.5", ".5"),
        ("0.5", "0,5"),
        ("3.50", "€3.50"),
        ("21", "twenty-one"),
        ("105", "one hundred and five"),
        ("12 km", "12 kilometers"),
        ("12 km/h", "12 km per hour"),
        ("12 cm^2", "12 square centimeters"),
        ("12 dollars", "$12"),
        ("12 \\text{ cm}", "12"),
        ("90^\\circ", "90"),
        ("\\frac{\\pi}{2}", "\\pi/2"),
        ("\\sqrt{8}", "2\\sqrt{2}"),
        ("\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt{2}}{2}"),
        ("x^2-1", "(x-1)(x+1)"),
        ("(1,2)", "\\left(1, 2\\right)"),
        ("(\\frac12, 3)", "(0.5, 3)"),
        ("\\{1,2\\}", "\\{2, 1\\}"),
        ("1,-2", "-2, 1"),
        ("1,-2", "1 \\text{ or } -2"),
        ("[0,1)", "[0, 1)"),
        ("(-\\infty, 2) \\cup (3, \\infty)", "(3,\\infty)\\cup(-\\infty,2)"),
        ("(-\\infty,3)", "x<3"),
        ("y=2x+1", "2x+1"),
        ("x \\in [1,2]", "[1,2]"),
        ("\\text{Monday}", "Monday"),
        ("\\text{(B)}", "B"),
        ("6 - 5i", "6-5i"),
        ("2^{10}", "1024"),
        ("3x + 2", "2 + 3x"),
        ("\\pm 2", "2, -2"),
        ("1011_2", "1011_{2}"),
        ("10^{10^{10}}", "10^{10^{10}}"),
        ("5!", "120"),
        ("5!", "$5!$"),
        ("f^{\\prime}(x)", "f'(x)"),
        ("Monday!", "Monday"),
    ],
)
def test_equal_values_are_the_same(left: str, right: str) -> None:
    assert same(left, right, ask(AnswerKind.NUMERIC, left))
    assert same(right, left, ask(AnswerKind.NUMERIC, left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("12", "13"),
        ("12", "-12"),
        ("12", "1.2"),
        ("45%", "45"),
        ("1.000", "1000"),
        ("3.33", "10/3"),
        ("12 km", "12 m"),
        ("12 cm^2", "12 cm"),
        ("12 dollars", "12 cents"),
        ("3 million", "3"),
        ("3/4", "4/3"),
        ("1/2", "1/3"),
        ("\\frac{\\pi}{2}", "\\frac{\\pi}{3}"),
        ("\\sqrt{2}", "2"),
        ("\\sqrt{2}", "1.41"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("(1,2)", "\\{1,2\\}"),
        ("[0,1)", "(0,1]"),
        ("\\{1,2\\}", "\\{1,3\\}"),
        ("1,2", "1,2,3"),
        ("x<3", "x>3"),
        ("x<3", "x\\le 3"),
        ("x+1", "x-1"),
        ("\\text{Monday}", "\\text{Sunday}"),
        ("\\text{east}", "\\text{west}"),
        ("\\text{(B)}", "\\text{(C)}"),
        ("1+2i", "1-2i"),
        ("1011_2", "1011_3"),
        ("5:30", "1:06"),
        ("3:4", "4:3"),
        ("2^{10}", "2^{11}"),
        ("10^{10^{10}}", "10^{10^{11}}"),
        ("9^{99999999}", "9^{99999998}"),
        ("99999999!", "99999998!"),
        ("5!", "5"),
        ("10!", "10"),
        ("n!", "n"),
        ("(n+1)!", "n+1"),
        ("3!!", "3!"),
        ("> 5", "5"),
        ("x > 5", "5"),
        ("x'", "x"),
        ("f''(x)", "f'(x)"),
    ],
)
def test_different_values_are_not_the_same(left: str, right: str) -> None:
    assert not same(left, right, ask(AnswerKind.NUMERIC, left))
    assert not same(right, left, ask(AnswerKind.NUMERIC, left))


@pytest.mark.parametrize(
    ("question", "left", "right", "expected"),
    [
        ("What percentage is red?", "45", "45%", True),
        ("What percent is red?", "45\\%", "45", True),
        ("How many % are red?", "45", "0.45", False),
        ("What is the probability?", "0.45", "45%", True),
        ("What is the probability?", "45", "45%", False),
        ("¿Qué porcentaje es rojo?", "45", "45 %", True),
    ],
)
def test_a_percentage_is_its_number_only_where_one_is_asked_for(
    question: str, left: str, right: str, expected: bool
) -> None:
    assert same(left, right, ask(AnswerKind.NUMERIC, left, question=question)) is expected


@pytest.mark.parametrize(
    ("language", "left", "right", "expected"),
    [
        ("de", "1.000", "1000", True),
        ("de", "12,5", "12.5", True),
        ("fr", "1 000,5", "1000.5", True),
        ("de", "1,000", "1000", False),
        ("en", "1,000", "1000", True),
        ("en", "12,5", "12.5", False),
        ("es", "1.234.567", "1234567", True),
    ],
)
def test_a_lone_separator_is_read_by_the_language(
    language: str, left: str, right: str, expected: bool
) -> None:
    assert same(left, right, ask(AnswerKind.NUMERIC, right, language=language)) is expected


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("42", "The answer is 42!", "42"),
        ("42", "**42!**", "42"),
        ("42", "So she has 42! Great.", "42"),
        ("5", "The answer is $5!$", "5!"),
        ("5", "The answer is $5!$.", "5!"),
        ("5", "The answer is:\n$$\n5!\n$$", "5!"),
        ("5", "Thus \\boxed{5!}", "5!"),
        ("5!", "Answer: 5!", "5!"),
        ("n!", "Answer: n!.", "n!"),
        ("> 5", "Answer: > 5", "> 5"),
        ("5", "Answer:\n> 5", "5"),
    ],
)
def test_a_factorial_is_no_exclamation_and_a_relation_no_quotation(
    answer: str, text: str, expected: str
) -> None:
    assert extracted(text, ask(AnswerKind.NUMERIC, answer)) == expected


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("\\frac{\\pi}{2}", "The answer is $\\frac{\\pi}{2}$.", True),
        ("\\frac{\\pi}{2}", "So we have $x = \\boxed{\\dfrac{\\pi}{2}}$", True),
        ("\\frac{\\pi}{2}", "Answer: π/2", True),
        ("\\frac{\\pi}{2}", "Answer: $\\frac{\\pi}{3}$", False),
        ("2\\sqrt{3}", "Answer: 2√3", True),
        ("(2, 3)", "The point is $(2,3)$.", True),
        ("5, -5", "The answer is $5$ or $-5$.", True),
        ("x^2+1", "The answer is x^2 + 1 because the rest cancels.", True),
        ("\\text{Monday}", "The answer is Monday.", True),
        ("0.5", "The answer is \\boxed{\\frac{1}{2}}", True),
        ("3", "\\boxed{\\sqrt{9}}", True),
        ("12 \\text{ cm}", "Answer: 12 cm", True),
        ("12 \\text{ cm}", "Answer: 12", True),
        ("12 \\text{ cm}", "Answer: 12 m", False),
        ("\\$12.50", "Answer: $12.50", True),
        ("25\\%", "Answer: 25%", True),
        ("(-\\infty, 3]", "Answer: $(-\\infty, 3]$", True),
        ("(-\\infty, 3]", "Answer: $(-\\infty, 3)$", False),
        (
            "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
            "\\boxed{\\begin{pmatrix}1\\\\2\\end{pmatrix}}",
            True,
        ),
        (
            "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
            "\\boxed{\\begin{pmatrix}2\\\\1\\end{pmatrix}}",
            False,
        ),
    ],
)
def test_formulae_are_found_and_compared(answer: str, text: str, expected: bool) -> None:
    assert solves(text, ask(AnswerKind.NUMERIC, answer)) is expected
