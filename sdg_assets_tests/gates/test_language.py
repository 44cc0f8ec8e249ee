from __future__ import annotations

from typing import Any

import pytest

from sdg_assets.gates import first_refusals, language
from sdg_assets.gates.language import LanguageThresholds
from sdg_assets.records import AnswerKind, Refusal
from sdg_assets_tests.gates.real_rows import real_examples, real_subtasks
from sdg_assets_tests.support.builders import needs_mirror
from sdg_assets_tests.support.records import example, numeric

ENGLISH = "How many apples are left in the basket when the children have eaten nine of them?"
SPOKEN = {
    "de": "Wie viele Äpfel sind noch im Korb, wenn die Kinder neun davon gegessen haben?",
    "es": "¿Cuántas manzanas quedan en la cesta cuando los niños se han comido nueve?",
    "fr": "Combien de pommes reste-t-il dans le panier quand les enfants en ont mangé neuf ?",
    "sw": "Je, ni matufaa mangapi yaliyobaki kwenye kikapu watoto wakishakula tisa?",
    "ru": "Сколько яблок осталось в корзине, когда дети съели девять из них?",
    "ar": "كم تفاحة بقيت في السلة بعد أن أكل الأطفال تسعا منها؟",
    "zh": "孩子们从篮子里拿走九个苹果并吃完之后，篮子里一共还剩下多少个苹果？",
    "ja": "子どもたちがりんごを九個食べたあと、かごの中にはいくつ残っていますか。",
    "ko": "아이들이 사과 아홉 개를 먹은 뒤에 바구니에는 사과가 몇 개 남아 있습니까?",
    "th": "เมื่อเด็ก ๆ กินแอปเปิลไปเก้าผลแล้ว ในตะกร้าจะเหลือแอปเปิลอยู่กี่ผล",
    "hi": "बच्चों ने नौ सेब खा लिए, तो टोकरी में अब कितने सेब बचे हैं?",
    "el": "Πόσα μήλα έμειναν στο καλάθι, αφού τα παιδιά έφαγαν εννέα από αυτά;",
}


def refusal_of(thresholds: LanguageThresholds | None = None, **changes: Any) -> Refusal | None:
    row = example(**{"answer_kind": AnswerKind.SPAN, "answer": "x", **changes})
    return first_refusals([row], [language.gate(thresholds or LanguageThresholds())]).get(0)


@pytest.mark.parametrize("code", SPOKEN)
def test_a_row_in_its_own_language_passes_and_one_in_english_does_not(code: str) -> None:
    assert refusal_of(language=code, question=SPOKEN[code]) is None
    refusal = refusal_of(language=code, question=ENGLISH)

    assert refusal
    assert (refusal.reason, refusal.detail) == ("question in another language", f"en, not {code}")


@pytest.mark.parametrize("code", SPOKEN)
def test_an_english_task_takes_no_row_in_another_language(code: str) -> None:
    assert refusal_of(language="en", question=SPOKEN[code])


@pytest.mark.parametrize("text", ["Câți copii are profesorul?", "Quants anys has treballat aquí?"])
def test_one_word_that_is_also_english_does_not_make_a_text_english(text: str) -> None:
    assert refusal_of(language="en", question=text)


def test_the_passage_the_choices_and_a_written_answer_are_looked_at_too() -> None:
    german = SPOKEN["de"]
    parts = [
        refusal_of(question="What is it?", context=german),
        refusal_of(answer_kind=AnswerKind.MULTIPLE_CHOICE, choices=[german, german[4:]],
                   answer_index=0, answer=german),
        refusal_of(answer_kind=AnswerKind.FREE_FORM, answer=german),
    ]  # fmt: skip

    assert [refusal.reason.split()[0] for refusal in parts if refusal] == [
        "context", "choices", "answer",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "question",
    [
        "Wer?",
        "x^2 + 3x - 4 = 0",
        r"$\frac{a}{b} + \sqrt{c}$, $\sin\alpha + \cos\beta$",
        "for i in range(len(xs)): print(xs[i])",
        "Homo sapiens, Canis lupus familiaris, Panthera leo",
    ],
)
def test_short_texts_formulae_and_programs_pass(question: str) -> None:
    assert refusal_of(language="en", question=question) is None


@pytest.mark.parametrize(
    ("code", "question"),
    [
        ("prs", "چند سیب در سبد مانده است وقتی که بچه‌ها نه تا از آن‌ها را خورده‌اند؟"),
        ("ary", SPOKEN["ar"]),
        ("zh-Hans", SPOKEN["zh"]),
        ("nn", "Kor mange eple er det att i korga når borna har ete ni av dei?"),
        ("pcm", "How many apple remain inside di basket when di pikin dem don chop nine?"),
        ("bbj", "Any Latin letters that no model has ever learned: gʉ́ pɛ́ nə́ mə́ ŋwə́"),
    ],
)
def test_varieties_count_as_their_language(code: str, question: str) -> None:
    assert refusal_of(language=code, question=question) is None


def test_a_language_the_model_does_not_know_is_recognized_by_its_script() -> None:
    question = "ⴰⵣⵓⵍ ⴼⵍⵍⴰⵡⵏ ⵉⵎⴷⴷⵓⴽⴰⵍ ⵉⵏⵓ ⵎⴰⵏⵉⴽ ⵜⴳⴰⵎ"

    assert refusal_of(language="tzm", question=question) is None
    assert refusal_of(language="bbj", question=question)


def test_the_frame_of_a_classification_may_be_in_english() -> None:
    frame = "How does this statement relate to the passage: entailment or contradiction?"
    row: dict[str, Any] = {
        "answer_kind": AnswerKind.LABEL,
        "choices": ["no", "yes"],
        "answer_index": 0,
        "answer": "no",
        "language": "es",
        "context": SPOKEN["es"],
    }

    assert refusal_of(**row, question=f"{frame} {SPOKEN['es']}") is None
    assert refusal_of(**row, question=f"{frame} {ENGLISH}")


def test_thresholds_say_which_parts_count() -> None:
    row: dict[str, Any] = {"language": "sw", "context": ENGLISH, "question": SPOKEN["sw"]}

    assert refusal_of(**row)
    assert refusal_of(LanguageThresholds(language_parts=frozenset({"question"})), **row) is None


def test_a_batch_of_many_languages_is_tested_row_by_row() -> None:
    rows = [numeric(text, language=code) for code, text in SPOKEN.items()]
    rows += [numeric(ENGLISH, language="de")]

    assert set(first_refusals(rows, [language.gate(LanguageThresholds())])) == {len(rows) - 1}


@needs_mirror
def test_japanese_seeds_are_japanese() -> None:
    rows = [row for spec in real_subtasks("jglue_reasoning") for row in real_examples(spec)][:3000]
    refused = first_refusals(rows, [language.gate(LanguageThresholds())])

    assert len(rows) > 1000
    assert len(refused) < 0.005 * len(rows)
    relabelled = [row.model_copy(update={"language": "en"}) for row in rows[:200]]
    assert len(first_refusals(relabelled, [language.gate(LanguageThresholds())])) > 50
