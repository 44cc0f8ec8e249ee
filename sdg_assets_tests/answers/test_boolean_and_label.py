"""Labels are recognized in the dataset's words; yes and no in many languages."""

from __future__ import annotations

import pytest

from sdg_assets.records import AnswerKind
from sdg_assets_tests.answers.asking import ask, extracted, same

YES_NO = ["yes", "no"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: yes", "yes"),
        ("Answer: No.", "no"),
        ("Answer: **No**", "no"),
        ("Answer: Yes, because the passage says so.", "yes"),
        ("Answer: No, that is not so.", "no"),
        ("No. The passage says the opposite.\nAnswer: No", "no"),
        ("The answer is a resounding yes.", "yes"),
        ("The answer is no.", "no"),
        ("The answer is false.", "no"),
        ("The answer is: True", "yes"),
        ("So the answer is not yes.", "no"),
        ("Therefore, the statement is false.", "no"),
        ("Answer: yes\nSo my answer is correct.", "yes"),
        ('{"answer": true}', "yes"),
        ('{"answer": "no"}', "no"),
        (r"\boxed{\text{No}}", "no"),
        ("答案:是", "yes"),
        ("答案是否", "no"),
        ("答え: いいえ", "no"),
        ("정답: 예", "yes"),
        ("الإجابة: نعم", "yes"),
        ("उत्तर: नहीं", "no"),
        ("উত্তর: হ্যাঁ", "yes"),
        ("La respuesta es sí.", "yes"),
        ("La réponse est non.", "no"),
        ("Die Antwort ist nein.", "no"),
        ("Ответ: да", "yes"),
        ("Answer: yes or no", None),
        ("Answer: yes/no", None),
        ("There is no doubt about this.", None),
        ("No one knows.", None),
        ("It depends.", None),
        ("", None),
    ],
)
def test_yes_and_no_are_understood_in_many_words(text: str, expected: str | None) -> None:
    assert extracted(text, ask(AnswerKind.BOOLEAN, "yes", YES_NO)) == expected


@pytest.mark.parametrize(
    ("choices", "text", "expected"),
    [
        (["True", "False"], "Answer: no", "False"),
        (["False", "True"], "Answer: yes", "True"),
        (["correct", "incorrect"], "The statement is incorrect.\nAnswer: incorrect", "incorrect"),
        (["no", "yes"], "Answer: A", "no"),
        (["はい", "いいえ"], "答え: いいえ", "いいえ"),
        (["是", "否"], "答案是否。", "否"),
        (["Да", "Нет"], "Ответ: нет", "Нет"),
        (["plausible", "implausible"], "Answer: yes", None),
        (["plausible", "implausible"], "Answer: implausible", "implausible"),
    ],
)
def test_a_truth_value_is_given_in_the_words_of_the_dataset(
    choices: list[str], text: str, expected: str | None
) -> None:
    assert extracted(text, ask(AnswerKind.BOOLEAN, choices[0], choices)) == expected


NLI = ["entailment", "neutral", "contradiction"]


@pytest.mark.parametrize(
    ("choices", "text", "expected"),
    [
        (NLI, "Answer: entailment", "entailment"),
        (NLI, "Answer: Entailment.", "entailment"),
        (NLI, "The answer is neutral, not a contradiction.", "neutral"),
        (
            NLI,
            "The relation is neither entailment nor neutral.\nAnswer: contradiction",
            "contradiction",
        ),
        (NLI, "Answer: not entailment", None),
        (NLI, "Answer: entailment or neutral", None),
        (["entailment", "not_entailment"], "Answer: not entailment", "not_entailment"),
        (["entailment", "not_entailment"], "Answer: not_entailment", "not_entailment"),
        (
            ["entailment", "not_entailment"],
            "Answer: not-entailment, as nobody said so",
            "not_entailment",
        ),
        (["entailment", "not_entailment"], "Answer: entailment", "entailment"),
        (["acceptable", "unacceptable"], "Answer: unacceptable", "unacceptable"),
        (["acceptable", "unacceptable"], "The answer is: not acceptable", "unacceptable"),
        (["equivalent", "not equivalent"], "The answer is not equivalent.", "not equivalent"),
        (["World", "Sports", "Business", "Sci/Tech"], "Answer: sci/tech", "Sci/Tech"),
        (["World", "Sports", "Business", "Sci/Tech"], "Answer: **Sports** news", "Sports"),
        (["yes", "no", "maybe"], "Answer: maybe", "maybe"),
        (["yes", "no", "maybe"], "The answer would be no.", "no"),
        (["1 star", "2 stars", "5 stars"], "Answer: 2 stars", "2 stars"),
        (["矛盾", "中立", "含意"], "答えは中立です。", "中立"),
        (["positivo", "negativo"], "La respuesta es negativo.", "negativo"),
    ],
)
def test_a_label_is_recognized_in_the_words_of_the_dataset(
    choices: list[str], text: str, expected: str | None
) -> None:
    assert extracted(text, ask(AnswerKind.LABEL, choices[0], choices)) == expected


def test_choices_that_differ_only_in_case_are_different() -> None:
    genes = ask(AnswerKind.MULTIPLE_CHOICE, "Aa", ["Aa", "aa"])

    assert not same("Aa", "aa", genes)
    assert same("Aa", "Aa", genes)
