"""The option that a solver's text names as its answer."""

from __future__ import annotations

import pytest

from sdg_assets.records import AnswerKind
from sdg_assets_tests.answers.asking import ask, extracted

METALS = ["iron", "copper", "lead", "tin"]
COPPER = ask(AnswerKind.MULTIPLE_CHOICE, "copper", METALS)


@pytest.mark.parametrize(
    "text",
    [
        "Answer: copper",
        "Answer: Copper.",
        "**Answer:** copper",
        "**Answer**: copper",
        "Answer: **copper**",
        "*Answer:* `copper`",
        "## Answer\n\ncopper",
        "### Final Answer:\n- copper",
        "The answer is copper.",
        "The correct answer is B.",
        "The correct option is (B) copper",
        "The correct answer is option B: copper.",
        "The best choice is therefore copper.",
        "Final answer: (B)",
        "**Final answer**\n\nB. copper",
        "So it's B.",
        "Therefore, it must be copper.",
        "Hence (B).",
        "So the answer would be B) copper.",
        "B is the correct answer.",
        "Copper conducts best. So copper is the right option.",
        "Option B is correct.",
        r"\boxed{B}",
        r"So we get $\boxed{\text{copper}}$.",
        r"The final answer is $\boxed{\textbf{(B)}}$",
        '{"answer": "copper"}',
        '```json\n{"reasoning": "The answer is iron? No.", "answer": "B"}\n```',
        "<answer>B</answer>",
        "<think>Iron? The answer is iron.</think>\nThe answer is copper.",
        "The answer is iron. Wait, iron rusts. The answer is copper.",
        "The answer is iron... no, wait, it is copper.",
        "The answer is not iron, it is copper.",
        "The answer is not A, it is B.",
        "The answer is copper, not iron.",
        "The answer is copper because iron rusts.",
        "The answer is B, because A rusts and C is soft.",
        "Answer: copper (the others are worse conductors)",
        "Answer: the copper",
        "Answer: b",
        "Answer: (b)",
        "Answer: option 2",
        "Answer: the second option",
        "Copper\n\nExplanation: it conducts better than iron, lead and tin.",
        "iron, lead and tin are worse.\n\ncopper",
        "If the answer is iron, wires would rust. The answer is copper.",
        "Answer: copper\n\nI hope this answer is helpful.",
        "Answer:\n\n> B",
        "The answer: Copper!",
        "I choose (B).",
        "答案是B",
        "答案:B",
        "正确答案是(B)copper。",
        "答え: B",
        "正解はBです。",
        "정답은 B입니다.",
        "정답: B",
        "الإجابة: B",
        "الإجابة الصحيحة هي copper",
        "उत्तर: B",
        "सही उत्तर B है।",
        "উত্তর: B",
        "সঠিক উত্তর হল B",
        "La respuesta es B",
        "La respuesta correcta es copper.",
        "La réponse est B.",
        "La bonne réponse est donc : copper",
        "Die Antwort ist B.",
        "Die richtige Antwort lautet: copper",
        "Ответ: B",
        "Правильный ответ — copper.",
        "A resposta é B",
        "La risposta corretta è copper",
        "Jibu ni B",
        "คำตอบคือ B",
        "Đáp án là B",
        "Cevap: B",
    ],
)
def test_an_option_is_recognized_however_it_is_announced(text: str) -> None:
    assert extracted(text, COPPER) == "copper"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I am not sure.",
        "Answer: copper or iron",
        "Answer: copper and iron",
        "Answer: copper, iron",
        "Answer: copper/iron",
        "Answer: A or B",
        "Answer: A, B",
        "The answer is either iron or copper.",
        "The answer is not iron.",
        "It is not true that copper rusts.",
        "Answer: gold",
        "Answer: F",
        "Answer: A. copper",
        "The answer is iron. Wait, let me think again.",
        "Copper is an element. It was named after Cyprus, and iron was not.",
        "A copper wire and an iron wire.",
        "<think>The answer is copper.</think>",
        "The answer is neither A nor B.",
        "Answer: all of them",
    ],
)
def test_a_text_that_does_not_settle_on_one_option_has_no_answer(text: str) -> None:
    assert extracted(text, COPPER) is None


@pytest.mark.parametrize(
    ("choices", "text", "expected"),
    [
        (["red", "red and blue", "blue"], "Answer: red and blue", "red and blue"),
        (
            ["red", "red, white and blue", "blue"],
            "Answer: red, white and blue, as on the flag",
            "red, white and blue",
        ),
        (["copper", "copper wire", "wire"], "The answer is copper wire.", "copper wire"),
        (["copper", "copper wire", "wire"], "The answer is the long copper wire.", "copper wire"),
        (["copper", "copper wire"], "The answer is copper, not copper wire.", "copper"),
        (["5", "-5", "0.5"], "Answer: -5", "-5"),
        (["5", "-5", "0.5"], "Answer: \u22125", "-5"),
        (["5", "-5", "0.5"], "Answer: 5", "5"),
        (["5", "-5", "0.5"], "Answer: 1/2", "0.5"),
        (["3", "5", "2", "7"], "Answer: 2", "2"),
        (["3", "5", "7", "9"], "Answer: 2", None),
        (["3", "5", "7", "9"], "Answer: B", "5"),
        (["1000 m", "10 km"], "Answer: 1,000 m", "1000 m"),
        (["1000 m", "1000 km"], "Answer: 1000", None),
        (["two", "four", "six"], "Answer: 4", "four"),
        (["two", "four", "six"], "Answer: 3", None),
        (["45%", "0.45%", "4.5%"], "Answer: 45 percent", "45%"),
        (["Aa", "AA", "aa"], "Answer: aa", "aa"),
        (["Aa", "AA", "aa"], "The answer is AA.", "AA"),
        (["A", "B", "AB", "O"], "Answer: B", "B"),
        (["O", "A", "AB", "B"], "Answer: A", "A"),
        (["C", "C++", "C#"], "Answer: C#", "C#"),
        (["C", "C++", "C#"], "Answer: C++", "C++"),
        (["C", "C++", "C#"], "The answer is C.", "C"),
        (["iron", "all of the above", "tin"], "Answer: All of the above.", "all of the above"),
        (
            ["iron", "tin", "all of the above"],
            "All of the above, since both are metals.\nAnswer: all of the above",
            "all of the above",
        ),
        (
            ["iron", "tin", "none of the above"],
            "The answer is none of the above.",
            "none of the above",
        ),
        (["A and B", "B and C"], "Answer: A and B", "A and B"),
        (["St. Louis", "Louis"], "The answer is St. Louis.", "St. Louis"),
        (["a car", "a bus"], "Answer: A bus", "a bus"),
        (["bus", "car"], "Answer: A car", "car"),
        (["fish", "milk", "oranges"], "The answer is oranges, which hold vitamin C.", "oranges"),
        (["I", "he", "she"], "I think she is right.\nAnswer: she", "she"),
        (["he", "she"], "It is clear that he did it for her.", None),
        (
            ["dirt trapped under the fingernails", "a clean cut"],
            "Answer: dirt trapped under the fingernails",
            "dirt trapped under the fingernails",
        ),
        (["dirt trapped under the fingernails", "a clean cut"], "Answer: dirt", None),
        (["铁", "铜线", "铝"], "答案是铜线。", "铜线"),
        (["铁", "铜线", "铝"], "所以选B。", "铜线"),
        (["北京", "东京", "南京"], "因此,答案应该是东京,因为它是日本的首都。", "东京"),
        (["東京", "京都"], "正解は京都です。", "京都"),
        (["구리", "철"], "정답은 구리입니다.", "구리"),
        (["الحديد", "النحاس"], "الإجابة الصحيحة هي النحاس.", "النحاس"),
        (["लोहा", "तांबा"], "सही उत्तर तांबा है।", "तांबा"),
        (["লোহা", "তামা"], "সঠিক উত্তর হল তামা।", "তামা"),
        (["ทองแดง", "เหล็ก"], "คำตอบคือ ทองแดง", "ทองแดง"),
        (["железо", "медь"], "Правильный ответ: медь, а не железо.", "медь"),
        (["Eisen", "Kupfer"], "Die richtige Antwort ist Kupfer, nicht Eisen.", "Kupfer"),
        (["fer", "cuivre"], "La bonne réponse est le cuivre.", "cuivre"),
        (["hierro", "cobre"], "La respuesta es B) cobre", "cobre"),
        (["３", "５"], "Answer: 5", "５"),
        (["Newton’s law", "Ohm’s law"], "Answer: Ohm's law", "Ohm’s law"),
        (["U.S.", "U.K."], "Answer: the US", "U.S."),
        (["U.S.", "U.K."], "Answer: U.K. because London is there.", "U.K."),
        (["U.S", "U.K"], "Answer: U.K.", "U.K"),
        (["6 a.m.", "6 p.m."], "Answer: 6 p.m", "6 p.m."),
        (["😀", "😢"], "Answer: 😢", "😢"),
        (
            ["go to the shop and buy milk.", "stay at home."],
            "Answer: stay at home",
            "stay at home.",
        ),
        (["x < 3", "x > 3"], "The answer is x > 3.", "x > 3"),
        (["$\\frac{1}{2}$", "$\\frac{1}{3}$"], "Answer: 1/3", "$\\frac{1}{3}$"),
        (["yes", "no"], "The answer is not no.", "yes"),
        (["p ∧ q", "p ∨ q"], "Answer: p∨q", "p ∨ q"),
        (["O-", "O+", "O"], "Answer: O−", "O-"),
        (["f(x)", "f'(x)"], "The answer is f’(x).", "f'(x)"),
        (["Wait for help", "Run"], "Stay.\n\n**Answer:**\nWait for help", "Wait for help"),
        (["Hold on to it", "Run"], "Stay there.\nHold on to it", "Hold on to it"),
        (["Wait", "Run"], "Stay there.\n\nAnswer:\nWait.", "Wait"),
    ],
)
def test_similar_options_are_distinguished(
    choices: list[str], text: str, expected: str | None
) -> None:
    assert extracted(text, ask(AnswerKind.MULTIPLE_CHOICE, choices[0], choices)) == expected


def test_letters_follow_the_order_in_which_the_options_were_shown() -> None:
    for place, letter in enumerate("ABCD"):
        for order in (METALS, METALS[::-1]):
            shown = ask(AnswerKind.MULTIPLE_CHOICE, "copper", order)
            assert extracted(f"Answer: {letter}", shown) == order[place]
