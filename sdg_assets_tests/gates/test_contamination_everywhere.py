"""A held-out question is found in every part of a row and in any typography."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from sdg_assets.gates.base import Batch
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.letters import all_numbers, plain_text, written_numbers
from sdg_assets.records import AnswerKind, EnrichedExample, Example
from sdg_assets_tests.support.heldout import FILLERS, gate_against, hashed
from sdg_assets_tests.support.records import enriched, example

MILL = (
    "Farmer Odile drives 14 carts of barley to the mill, 3 of them break an axle on the bridge and "
    "each of the others is unloaded in 9 minutes. How many minutes does the unloading take?"
)
MATH: dict[str, object] = {
    "answer_kind": "numeric",
    "record": {"question": "{{question}}", "answer": "{{choices[label]}}"},
}
NUMERIC = AnswerKind.NUMERIC
CYRILLIC = str.maketrans("aceopxyijsABCEHKMOPTX", "асеорхуіјѕАВСЕНКМОРТХ")


@pytest.fixture(scope="module")
def gate() -> Contamination:
    return gate_against([{"question": MILL, "choices": ["99"], "label": 0}], None, **MATH)


def is_refused(gate: Contamination, row: Example) -> bool:
    return 0 in gate.refusals(Batch([row]))


def other(**changes: object) -> EnrichedExample:
    """A row with another question."""
    return enriched(
        **{
            "answer_kind": NUMERIC,
            "question": "What is the harvest worth in silver?",
            "answer": "7",
            **changes,
        }
    )


@pytest.mark.parametrize(
    "part", ["context", "question", "answer", "solution", "reasoning", "knowledge", "thought"]
)
def test_a_question_is_found_in_every_part_that_a_row_trains_on(
    gate: Contamination, part: str
) -> None:
    assert not is_refused(gate, other())
    assert is_refused(gate, other(**{part: f"It was asked: {MILL} Nobody knew."}))
    assert is_refused(gate, other(aliases=[MILL]))
    assert is_refused(gate, other(tests=["assert f(1) == 1", f"# {MILL}\nassert f(2) == 2"]))


ASSERTIONS = [
    "assert tally_barrels(['oak', 'elm', 'oak'], 12) == {'oak': 24, 'elm': 12}",
    "assert tally_barrels(['ash'], 305) == {'ash': 305}",
    "assert tally_barrels([], 7) == {}",
]


def program(*tests: str) -> EnrichedExample:
    return other(
        answer_kind=AnswerKind.CODE,
        question="Write the function that the assertions describe.",
        answer="def f(*args):\n    return None",
        tests=[*tests],
    )


def test_the_assertions_of_a_held_out_program_are_found_beside_another_question() -> None:
    heldout = {
        "question": "Write a function that counts barrels by their wood.",
        "choices": ["def tally_barrels(): ..."],
        "label": 0,
        "tests": ASSERTIONS,
    }
    record = {
        "question": "{{question}}",
        "answer": "{{choices[label]}}",
        "tests": "{{row.get('tests', ['assert True'])}}",
    }
    gate = gate_against([heldout], answer_kind="code", record=record)

    assert is_refused(gate, program(*ASSERTIONS))
    assert is_refused(gate, program("assert tally_barrels(['fir'], 1)", *reversed(ASSERTIONS)))
    assert not is_refused(gate, program("assert tally_barrels([], 7) == {}"))
    assert not is_refused(gate, program("assert True", "assert f() is None", "assert f([]) == []"))


def test_a_question_is_found_that_is_split_over_context_and_question(gate: Contamination) -> None:
    words = MILL.split()
    row = other(context=" ".join(words[:17]), question=" ".join(words[17:]))

    assert is_refused(gate, row)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda t: f"<div><p><b>{t.replace(' ', '</b> <i>', 1)}</i>&nbsp;</p></div>",
        lambda t: t.translate(CYRILLIC),
        " ".join,
        lambda t: "".join(t.split()),
        lambda t: "\u0301".join(t),
        "\u200b".join,
        lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
        lambda t: t.replace("14", "14.0").replace("3 ", "3.00 ").replace("9", "9.0"),
        lambda t: t.replace("14", "fourteen").replace("3 ", "three ").replace("9", "nine"),
        lambda t: t.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
        lambda t: " ".join(f"**{word}**" for word in t.split()),
    ],
)
def test_typography_hides_no_question(gate: Contamination, change: Callable[[str], str]) -> None:
    assert is_refused(gate, other(question=change(MILL)))


def test_numbers_in_another_form_and_a_few_other_words_hide_no_question(
    gate: Contamination,
) -> None:
    reworded = MILL.replace("Farmer", "Peasant").replace("barley", "rye").replace("take", "last")
    row = other(question=reworded.replace("14", "14.0").replace("9 ", "9.0 "), answer="99 dollars")

    assert is_refused(gate, row)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Janet’s $1,800.50 &amp; <b>18.0</b> eggs", "janets18005and18eggs".replace("and", "")),
        ("one hundred and twenty-one", "121"),
        ("two thousand three hundred and forty-two", "2342"),
        ("НОС нос", "hochoc"),  # as the capitals look Latin, so do the small letters
        ("ΝΥΝ νυν", "vuvvuv"),
        ("Νow Υοu", "nowyou"),
        ("Реtеr pаid", "peterpaid"),
        ("京都", "京京都都"),
        ("1 8 . 5  c a r t s", "185carts"),
    ],
)
def test_a_text_is_folded_to_its_letters_and_digits(text: str, letters: str) -> None:
    assert plain_text(text) == letters


ENGLISH = (
    "The museum opened in the spring after a long renovation of the northern wing. Visitors enter "
    "through the courtyard, where a bronze fountain stands, and walk past the ticket office. "
)
RUSSIAN = (
    "Музей открылся весной после долгого ремонта северного крыла. Посетители входят через двор, "
    "где стоит бронзовый фонтан, и проходят мимо кассы в первый зал. "
)
RUSSIAN_MILL = (
    "Фермер Одиль везёт на мельницу 14 возов ячменя, у 3 из них на мосту ломается ось, а каждый из "
    "остальных разгружают за 9 минут. Сколько минут длится разгрузка?"
)
GREEK_MILL = (
    "Ο αγρότης πηγαίνει στον μύλο 14 κάρα κριθάρι, σε 3 από αυτά σπάει ο άξονας στη γέφυρα και "
    "καθένα από τα υπόλοιπα ξεφορτώνεται σε 9 λεπτά. Πόσα λεπτά διαρκεί το ξεφόρτωμα;"
)


@pytest.mark.parametrize("heldout", [MILL, RUSSIAN_MILL, GREEK_MILL])
@pytest.mark.parametrize("around", [ENGLISH, RUSSIAN])
@pytest.mark.parametrize("change", [str, str.upper])
def test_a_question_is_found_in_a_text_of_another_alphabet(
    heldout: str, around: str, change: Callable[[str], str]
) -> None:
    gate = gate_against([{"question": heldout, "choices": ["99"], "label": 0}], None, **MATH)

    assert is_refused(gate, other(knowledge=3 * around + change(heldout)))
    assert not is_refused(gate, other(knowledge=3 * around))


ARABIC_MILL = (
    "ينقل المزارع 14 عربة من الشعير إلى الطاحونة، وتنكسر محاور 3 منها على الجسر، وتفرغ كل عربة من "
    "العربات الأخرى في 9 دقائق. كم دقيقة تستغرق عملية التفريغ؟"
)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: re.sub(r"\b(\w{3})(?=\w{2})", "\\1\u0640", t),
        lambda t: t.replace("\u064a", "\u06cc").replace("\u0643", "\u06a9"),
        lambda t: t.replace("\u064a", "\u0649").replace("\u0629", "\u0647"),
    ],
)
def test_forms_of_arabic_letters_hide_no_question(change: Callable[[str], str]) -> None:
    gate = gate_against([{"question": ARABIC_MILL, "choices": ["99"], "label": 0}], None, **MATH)

    assert change(ARABIC_MILL) != ARABIC_MILL
    assert is_refused(gate, other(question=f"أجب عن السؤال: {change(ARABIC_MILL)}"))


def test_a_number_has_one_form() -> None:
    assert written_numbers("1,800.0 of ١٨٠٠ or 1'800, not 18.50") == {"1800", "18.5"}
    assert {"18", "120"} <= all_numbers("eighteen of a hundred, or one hundred and twenty")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10²", "10^{2}"),
        ("123₄", "123_4"),
        ("10,\\!000", "10,000"),
        ("10{,}000", "10000"),
        ("1\\,200\\,000", "1200000"),
    ],
)
def test_a_number_has_one_form_in_formulae_and_in_plain_text(one: str, other: str) -> None:
    assert written_numbers(f"Add {one} to 7.") == written_numbers(f"Add {other} to 7.")
    assert plain_text(one) == plain_text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("10^2", "10²"), ("$10^{2}$", "10²"), ("$145_{6}$", "145₆"), ("$14,\\!500$", "14,500")],
)
def test_the_typography_of_numbers_makes_no_other_question(one: str, other: str) -> None:
    question = "Odile loads {} sacks of barley on every cart. How many carts does she need for 9?"
    heldout = {"question": question.format(one), "choices": ["99"], "label": 0}
    gate = gate_against([heldout], None, **MATH)
    asked = f"Solve this problem. {question.format(other)}"

    assert is_refused(gate, enriched(answer_kind=NUMERIC, question=asked, answer="99"))


BOILERPLATE = (
    "Please read the following sentence with care and say what sentiment it carries in full: "
)


def labelled(text: str, answer: str = "positive") -> Example:
    return example(
        answer_kind=AnswerKind.LABEL,
        question=BOILERPLATE + text,
        choices=["negative", "positive"],
        answer=answer,
        answer_index=int(answer == "positive"),
    )


def test_a_tasks_boilerplate_weighs_nothing_because_all_its_training_rows_have_it() -> None:
    chance = random.Random(5)
    words = sorted({word for text in FILLERS for word in text.split()})
    training = [labelled(" ".join(chance.sample(words, k=9))) for _ in range(300)]
    # In short held-out questions, nearly everything is boilerplate.
    heldout = [
        {"question": f"{BOILERPLATE}{text}", "choices": [], "label": 1}
        for text in ("Fine.", "Bad!")
    ]
    record = {
        "question": "{{question}}",
        "answer": "{{'positive' if label == 1 else 'negative'}}",
    }
    index = HeldoutIndex({"quiz/quiz": hashed(heldout, answer_kind="free_form", record=record)})
    gate = Contamination(index, ContaminationThresholds(), "quiz/quiz", index.background(training))

    assert gate.refusals(Batch(training)) == {}
    assert gate.refusals(Batch([labelled("Fine.")]))[0].reason == "exact row"


def test_words_shared_with_the_passage_do_not_refuse_another_question_about_it() -> None:
    passage = (
        "The lighthouse of Saint Aubin was built in 1868 from granite that barges brought from the "
        "quarries of the northern coast. Its lamp burned rapeseed oil until a storm in 1903."
    )
    heldout = {
        "context": passage,
        "question": "When was the lighthouse of Saint Aubin built from granite?",
        "choices": ["in 1868"],
        "label": 0,
    }
    record = {
        "context": "{{context}}",
        "question": "{{question}}",
        "answer": "{{choices[label]}}",
    }
    rows = [heldout, *({**heldout, "context": q, "question": q} for q in FILLERS)]
    index = HeldoutIndex({"quiz/quiz": hashed(rows, answer_kind="short_text", record=record)})
    gate = Contamination(index, ContaminationThresholds())

    def on_passage(question: str) -> Example:
        return example(
            answer_kind=AnswerKind.SPAN, context=passage, question=question, choices=[],
            answer="in 1868",
        )  # fmt: skip

    assert not is_refused(gate, on_passage("What did the lamp burn?"))
    assert is_refused(
        gate, on_passage("When was the old lighthouse of Saint Aubin built of granite?")
    )


def test_a_draft_alone_gets_the_same_verdict_as_in_a_batch(
    gate: Contamination,
) -> None:
    rows = [other(), other(knowledge=MILL), other(question="Why?" * 9), other(question=MILL)]
    alone = [is_refused(gate, row) for row in rows]

    assert [place in gate.refusals(Batch(rows)) for place in range(len(rows))] == alone
