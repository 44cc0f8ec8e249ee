"""Solver completions made by a script, each with the answer that must be read from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sdg_assets.answers import answer_format
from sdg_assets.records import AnswerKind, Example
from sdg_assets_tests.answers.asking import ask

Frame = Callable[[str, str], str]
"""Makes a completion from the answer and from another answer, for which it must not be taken."""

FRAMES: tuple[Frame, ...] = (
    lambda a, _: f"Answer: {a}",
    lambda a, _: f"We go step by step.\n\n**Answer:** {a}",
    lambda a, _: f"The answer is {a}.",
    lambda a, o: f"At first {o} seems right.\n\nFinal answer: {a}",
    lambda a, _: f"Let us see.\n\n**Final answer**\n\n{a}",
    lambda a, o: json.dumps({"reasoning": f"It is not {o}.", "answer": a}, ensure_ascii=False),
    lambda a, _: f"So the correct answer is **{a}**.",
    lambda a, _: f"<answer>{a}</answer>",
    lambda a, o: f"<think>The answer is {o}.</think>\nThe answer is {a}",
    lambda a, o: f"The answer is {o}. Wait, that is wrong. The answer is {a}.",
    lambda a, o: f"The answer is {a}, not {o}.",
    lambda a, _: f"Therefore, the answer is: {a}\n\nI hope this helps.",
    lambda a, _: f"The correct answer is {a} because nothing else fits.",
    lambda a, _: f"### Answer\n{a}",
)
MATH_FRAMES: tuple[Frame, ...] = (
    *FRAMES,
    lambda a, _: f"Hence we get $\\boxed{{{a}}}$.",
    lambda a, _: f"Answer: ${a}$",
    lambda a, o: f"If it were \\({o}\\), then we would fail.\n\\[\\boxed{{{a}}}\\]",
)
LETTER_FRAMES: tuple[Callable[[str, str], str], ...] = (
    lambda letter, _: f"Answer: {letter}",
    lambda letter, a: f"Answer: ({letter}) {a}",
    lambda letter, _: f"The correct option is {letter}.",
    lambda letter, a: f"The answer is option {letter}: {a}",
    lambda letter, _: f"So it's {letter}.",
    lambda letter, _: f"\\boxed{{{letter}}}",
    lambda letter, a: f"Let us see.\n\n{letter}. {a}",
)
LANGUAGES = {
    "zh": ("答案是{}。", "所以答案为:{}"),
    "ja": ("答えは{}です。", "正解: {}"),
    "ko": ("정답은 {}입니다.", "정답: {}"),
    "ar": ("الإجابة: {}", "الإجابة الصحيحة هي {}."),
    "hi": ("उत्तर: {}", "सही उत्तर {} है।"),
    "bn": ("উত্তর: {}", "সঠিক উত্তর হল {}।"),
    "es": ("La respuesta es {}.", "Respuesta final: {}"),
    "fr": ("La réponse est {}.", "La bonne réponse est donc : {}"),
    "de": ("Die Antwort ist {}.", "Die richtige Antwort lautet: {}"),
    "ru": ("Ответ: {}", "Правильный ответ — {}."),
    "th": ("คำตอบคือ {}", "คำตอบ: {}"),
    "sw": ("Jibu ni {}.", "Jibu sahihi ni {}."),
    "te": ("సమాధానం: {}", "సమాధానం: **{}**"),
}
# Topic → rows of (reference, equal notations, other values).
NUMBERS: dict[str, list[tuple[str, list[str], list[str]]]] = {
    "plain numbers": [
        ("37", ["37", "37.0", "+37", "thirty-seven"], ["38", "-37", "3.7"]),
        ("-8", ["-8", "\u22128", "-8.00", "minus eight"], ["8", "-9"]),
        ("0.125", ["0.125", ".125", "0.1250"], ["0.0125", "1.25"]),
    ],
    "units": [
        ("48", ["48 marbles", "48 km/h", "$48", "48 dollars", "48 cm²", "€48"], ["49 marbles"]),
        ("7.25", ["$7.25", "7.25 €", "7.25 liters", "7.25 kg"], ["$7.52", "72.5 kg"]),
        ("16 \\text{ cm}", ["16 cm", "16 centimeters", "16"], ["16 km", "61 cm"]),
        ("60^\\circ", ["60°", "60 degrees", "60"], ["30°", "60 cm"]),
    ],
    "thousands separators": [
        ("24500", ["24,500", "24 500", "24'500", "24,500.00", "24{,}500"], ["2,450", "24.5"]),
        ("3250000", ["3,250,000", "3.250.000", "32,50,000", "3.25 million"], ["325,000"]),
        ("1234.5", ["1,234.5", "1.234,5", "1 234.50"], ["12,345", "1.2345"]),
    ],
    "fractions": [
        ("5/8", ["5/8", "0.625", "10/16", "\\frac{5}{8}", "\\dfrac58", "⅝"], ["8/5", "5/9"]),
        ("2.5", ["2 1/2", "2½", "2\\frac{1}{2}", "5/2", "\\tfrac{5}{2}"], ["1/2", "2.2"]),
        ("-3/7", ["-3/7", "-\\frac{3}{7}", "\\frac{-3}{7}"], ["3/7", "-7/3"]),
    ],
    "scientific notation": [
        ("4200", ["4.2 × 10^3", "4.2e3", "4.2 \\times 10^{3}", "4.2 x 10³"], ["4.2 × 10^4"]),
        ("0.0006", ["6e-4", "6 × 10^{-4}", "6 \\cdot 10^{-4}"], ["6e4", "6 × 10^{-3}"]),
    ],
    "LaTeX": [
        ("\\frac{3\\pi}{4}", ["3\\pi/4", "\\frac{3 \\pi}{4}", "\\dfrac{3\\pi}{4}"],
         ["\\frac{\\pi}{4}"]),
        ("3\\sqrt{2}", ["\\sqrt{18}", "3\\sqrt2", "3 \\sqrt{2}"], ["2\\sqrt{3}", "3"]),
        ("(4, -1)", ["(4,-1)", "\\left(4, -1\\right)"], ["(-1, 4)", "(4, 1)", "[4,-1]"]),
        ("[2, 5)", ["[2,5)", "\\left[2, 5\\right)"], ["[2,5]", "(2,5)"]),
        ("\\{2, 7\\}", ["\\{7, 2\\}", "\\left\\{ 2, 7 \\right\\}"], ["\\{2, 8\\}"]),
        ("x^2 + 3x", ["x^2+3x", "3x + x^2", "x(x+3)"], ["x^2 - 3x", "x^2 + 3"]),
        ("2 + 3i", ["2+3i", "3i + 2"], ["2 - 3i", "3 + 2i"]),
        ("\\text{Friday}", ["Friday", "\\text{Friday}"], ["Sunday"]),
        ("\\frac{1}{\\sqrt{3}}", ["\\frac{\\sqrt{3}}{3}", "\\sqrt{3}/3"], ["\\sqrt{3}"]),
    ],
    "non-Latin digits": [
        ("459", ["٤٥٩", "४५९", "৪৫৯", "４５９", "๔๕๙"], ["٤٥٨", "४५", "９"]),
        ("12.5", ["١٢٫٥", "१२.५", "１２.５"], ["١٢٥", "१.२५"]),
    ],
}  # fmt: skip
PERCENTAGES = [
    ("What percentage passed?", "35", ["35%", "35", "35 percent", "35\\%"], ["0.35%", "53%"]),
    ("What is the chance of rain?", "0.35", ["35%", "0.35", "7/20", "35 percent"], ["35", "3.5%"]),
]
OPTION_SETS = [
    ["granite", "marble", "limestone", "slate"],
    ["heat", "heat energy", "light", "light energy"],
    ["It expands.", "It contracts.", "It stays the same.", "It melts first, then it expands."],
    ["6", "-6", "0.6", "60"],
    ["three", "five", "seven", "nine"],
    ["15%", "1.5%", "150%", "0.15%"],
    ["Aa", "AA", "aa"],
    ["A", "B", "AB", "O"],
    ["all of the above", "oak", "pine", "none of the above"],
    ["by train", "by bus", "by train and by bus"],
    ["Ohm's law", "Newton's first law", "Newton's second law", "Hooke's law"],
    ["entailment", "not entailment"],
    ["x > 4", "x < 4", "x = 4"],
    ["北京", "南京", "东京", "京都"],
    ["レモン", "りんご", "みかん", "ぶどう"],
    ["사과", "배", "포도", "감귤"],
    ["الشمس", "القمر", "الأرض"],
    ["सूरज", "चाँद", "धरती"],
    ["солнце", "луна", "земля"],
    ["pan", "pan con queso", "queso", "agua"],
]
LABEL_SETS = [
    ["entailment", "neutral", "contradiction"],
    ["entailment", "not_entailment"],
    ["positive", "negative"],
    ["acceptable", "unacceptable"],
    ["yes", "no", "maybe"],
    ["World", "Sports", "Business", "Sci/Tech"],
]
BOOLEANS = {
    ("yes", "no"): (
        ["yes", "Yes", "true", "sí", "oui", "ja", "да", "是", "はい"],
        ["no", "No", "false", "non", "nein", "нет", "否", "いいえ", "না"],
    ),
    ("True", "False"): (["True", "true", "yes"], ["False", "false", "no"]),
}  # fmt: skip
DATES = [
    ("July 20, 1969", ["1969-07-20", "20 July 1969", "20th of July, 1969", "Sunday, July 20, 1969",
                       "20.7.1969", "7/20/1969", "1969年7月20日", "20 de julio de 1969",
                       "20 июля 1969"],
     ["July 2, 1969", "20 June 1969", "1996-07-20"]),
    ("11 November 1918", ["November 11, 1918", "1918-11-11", "11. November 1918", "11/11/1918"],
     ["11 October 1918", "November 1918"]),
]  # fmt: skip
WORDINGS = [
    ("the Danube", ["Danube", "The Danube"], ["Rhine", "Danube delta"]),
    ("U.S.A.", ["USA", "U.S.A", "the USA"], ["UK"]),
    ("Jean-Paul Sartre", ["Jean Paul Sartre", "“Jean-Paul Sartre”"], ["Jean-Paul"]),
    ("1,200 people", ["1200 people"], ["1,200 years", "12,000 people"]),
    ("nine", ["9", "Nine"], ["nineteen", "6"]),
    ("東京都", ["東京都", "「東京都」"], ["京都"]),
    ("النيل", ["النيل"], ["الفرات"]),
    ("गंगा", ["गंगा"], ["यमुना", "गंग"]),
]
AMBIGUOUS = ("Answer: {a} or {o}", "The answer is either {a} or {o}.", "Answer: {a}, {o}",
             "Answer: {a} and {o}", "The answer is not {a}.", "I am not sure.",
             "The answer is {a}. Wait, that is wrong.")  # fmt: skip

# Options, and last sentences as a small model writes them: one that states the first option without
# announcing it, or (UNSETTLED) one that states none.
STATEMENTS = [
    (["friction", "gravity", "magnetism"], "The ball is initially experiencing friction."),
    (["friction", "gravity", "magnetism"], "It slows down due to friction between ball and floor."),
    (["A light bulb lights up.", "A battery is charged.", "A rock falls."],
     "When electricity is turned on, a light bulb lights up."),
    (["The ball is experiencing friction", "The ball is experiencing gravity"],
     "The ball is initially experiencing friction."),
    (["contact lens", "motorcycle", "coffee pot"],
     "In this case, contact lenses are an example of an assistive device."),
    (["muscular and skeletal", "digestive and muscular"], "Answer: skeletal and muscular"),
    (["food", "water", "light"], "What the algae supply to the fungi is food."),
    (["plants release oxygen", "plants absorb oxygen"],
     "During the day, green plants mostly release oxygen."),
    (["heat energy", "heat", "light"], "The stove turns electricity into heat energy."),
    (["photosynthesis", "respiration", "digestion"],
     "This process is called photosynthesis and takes place in leaves."),
    (["Newton's second law", "Newton's first law", "Ohm's law"],
     "This is described by Newton's second law of motion."),
]  # fmt: skip
UNSETTLED = [
    (["granite", "slate"], "Both granite and slate are rocks."),
    (["granite", "slate"], "The rock is not granite."),
    (["granite", "slate"], "If it were granite, it would be speckled."),
    (["granite", "slate"], "Is it granite?"),
    (["granite", "slate"], "It might be granite."),
    (["granite", "slate"], "It looks like granite or a similar rock."),
    (["granite", "slate"], "Quartz is harder than granite."),
    (["granite", "slate"], "Answer: quartz\n\nIt stands beside granite."),
    (["granite", "slate"], "The answer cannot be found.\n\nThe wall is made of granite."),
    (["granite", "slate"], "The wall is granite.\nIt is old."),
    (["The ball is experiencing friction", "The ball is experiencing gravity"],
     "The ball is no longer experiencing friction."),
    (["The ball moves up", "The ball moves down"], "The ball moves."),
    (["air", "ice"], "It melts in the air of the room."),
    (["food", "water", "light"], "The algae look for food in the mud."),
    (["6", "60"], "The train has 6 cars and is on time."),
    (["all of the above", "oak", "pine"], "The shelf is pine, and the table is oak."),
    (["granite", "slate"], "- granite\n- slate\n\nOne of them it is."),
    (["granite", "slate"], "Granite, quartz and other rocks are hard.\nThey differ."),
    (["a cold", "a fever"], "She caught it on a cold day in winter."),
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A completion and its expected verdict: right (True), another answer (False), none (None)."""

    topic: str
    example: Example
    text: str
    expected: bool | None

    def verdict(self) -> bool | None:
        """The verdict by extraction and comparison."""
        kind = answer_format(self.example.answer_kind)
        answer = kind.extract(self.text, self.example)
        return None if answer is None else kind.same(answer, self.example.answer, self.example)


def scripted() -> list[Case]:
    """Every case, in a fixed order."""
    return [*_numbers(), *_selections(), *_statements(), *_texts(), *_unsettled()]


def _written(
    topic: str,
    example: Example,
    right: Sequence[str],
    wrong: Sequence[str],
    frames: Sequence[Frame],
) -> Iterator[Case]:
    verdicts = [*((r, True) for r in right), *((w, False) for w in wrong)]
    for number, (text, verdict) in enumerate(verdicts):
        other = wrong[0] if verdict else right[0]
        # Each notation gets every second frame, the next one the others: frames meet all notations.
        for frame in frames[number % 2 :: 2]:
            yield Case(topic, example, frame(text, other), verdict)


def _numbers() -> Iterator[Case]:
    for topic, rows in NUMBERS.items():
        for reference, right, wrong in rows:
            example = ask(AnswerKind.NUMERIC, reference)
            yield from _written(topic, example, right, wrong, MATH_FRAMES)
    for question, reference, right, wrong in PERCENTAGES:
        example = ask(AnswerKind.NUMERIC, reference, question=question)
        yield from _written("percentages", example, right, wrong, MATH_FRAMES)
    for language, frames in LANGUAGES.items():
        for number in ("12", "345", "-6", "2.75"):
            example = ask(AnswerKind.NUMERIC, number, language=language)
            for frame in frames:
                yield Case("languages", example, frame.format(number), True)
                yield Case("languages", example, frame.format("77"), False)


def _selections() -> Iterator[Case]:
    sets = [(AnswerKind.MULTIPLE_CHOICE, s) for s in OPTION_SETS]
    for kind, choices in [*sets, *((AnswerKind.LABEL, s) for s in LABEL_SETS)]:
        topic = "option text" if kind is AnswerKind.MULTIPLE_CHOICE else "labels"
        for place, choice in enumerate(choices):
            other = choices[place - 1]
            example, opposite = (ask(kind, answer, choices) for answer in (choice, other))
            for number, frame in enumerate(FRAMES):
                case_of = (example, True) if number % 3 else (opposite, False)
                yield Case(topic, case_of[0], frame(choice, other), case_of[1])
            if kind is AnswerKind.MULTIPLE_CHOICE and min(map(len, choices)) > 1:
                for lettered in LETTER_FRAMES:
                    text = lettered(chr(ord("A") + place), choice)
                    yield Case("option letter", example, text, True)
                    yield Case("option letter", opposite, text, False)
    for (yes, no), (affirming, denying) in BOOLEANS.items():
        for truth, words in ((yes, affirming), (no, denying)):
            for word in words:
                for frame in (FRAMES[0], FRAMES[2], FRAMES[5], FRAMES[7], FRAMES[13]):
                    for answer in (yes, no):
                        example = ask(AnswerKind.BOOLEAN, answer, [yes, no])
                        yield Case("booleans", example, frame(word, ""), answer == truth)


def _statements() -> Iterator[Case]:
    kind = AnswerKind.MULTIPLE_CHOICE
    for choices, sentence in STATEMENTS:
        for text in (sentence, f"We look at each of them.\n\n{sentence}"):
            yield Case("statements", ask(kind, choices[0], choices), text, True)
            yield Case("statements", ask(kind, choices[1], choices), text, False)
    for choices, sentence in UNSETTLED:
        yield Case("no statement", ask(kind, choices[0], choices), sentence, None)
    for text, answer in (
        ("No.\nIt was filmed in Hollywood, not in New York.", "no"),
        ("Yes, it is.\nThe college awards degrees after four years.", "yes"),
        ("Yes.\nAnswer:", "yes"),
        ("No\n\nThe passage speaks of true stories only.", "no"),
    ):
        for said in ("yes", "no"):
            example = ask(AnswerKind.BOOLEAN, said, ["yes", "no"])
            yield Case("statements", example, text, said == answer)
    for text in (
        "yes\nno\nOne of them.",
        "Yes or no?\nThe text is silent.",
        "Nobody knows.\nIt is odd.",
    ):
        yield Case("no statement", ask(AnswerKind.BOOLEAN, "yes", ["yes", "no"]), text, None)
    for said, text in (
        ("48", "16 and 32 slices.\n\nTherefore, the pieces that he eats that day are **48**."),
        ("-7", "It is **cold** today.\n\nThe lowest value is **-7**."),
    ):
        for reference in (said, "12"):
            example = ask(AnswerKind.NUMERIC, reference)
            yield Case("statements", example, text, reference == said)
    # Given labels occur in any sentence.
    for label, sentence in (
        ("positive", "The critic finds few positive aspects."),
        ("neutral", "He wears a neutral color."),
    ):
        example = ask(AnswerKind.LABEL, label, ["positive", "neutral", "negative"])
        yield Case("no statement", example, sentence, None)


def _texts() -> Iterator[Case]:
    for topic, rows in (("dates", DATES), ("wordings", WORDINGS)):
        for reference, right, wrong in rows:
            example = ask(AnswerKind.SHORT_TEXT, reference)
            yield from _written(topic, example, right, wrong, FRAMES[:10])
    context = "The Danube flows from the Black Forest through Vienna, Bratislava and Budapest."
    for span, other in (("Vienna", "Budapest"), ("the Black Forest", "Bratislava")):
        example = ask(AnswerKind.SPAN, span, context=context)
        yield from _written("spans", example, [span, f"“{span}”"], [other], FRAMES)


def _unsettled() -> Iterator[Case]:
    for a, o, example in (
        ("granite", "slate", ask(AnswerKind.MULTIPLE_CHOICE, "granite", OPTION_SETS[0])),
        ("A", "C", ask(AnswerKind.MULTIPLE_CHOICE, "granite", OPTION_SETS[0])),
        ("北京", "东京", ask(AnswerKind.MULTIPLE_CHOICE, "北京", OPTION_SETS[13])),
        ("neutral", "entailment", ask(AnswerKind.LABEL, "neutral", LABEL_SETS[0])),
        ("37", "38", ask(AnswerKind.NUMERIC, "37")),
        ("24,500", "24,600", ask(AnswerKind.NUMERIC, "24500")),
    ):
        for template in AMBIGUOUS:
            yield Case("two answers or none", example, template.format(a=a, o=o), None)
