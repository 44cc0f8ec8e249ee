"""Ways to hide a held-out row in a training row: functions of the row and a random generator."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from sdg_assets.records import AnswerKind, EnrichedExample, Example, TeacherStamp, Vote

Change = Callable[[Example, random.Random], Example | None]
"""None if the row has nothing to change: no number, no options."""
STAMP = TeacherStamp(model="org/teacher", revision="r1", license="Apache-2.0")
OTHER_QUESTION = "Which of the two accounts above would a careful reader trust more, and why?"
OTHER_ANSWER = "the second account, because it names its sources"
BEFORE = (
    "The following note was found between the pages of a workbook that a pupil had left on the "
    "bench by the window. It was written in pencil and read: "
)
AFTER = (
    " Nobody knew who had written it. The teacher pinned the note to the board and asked the class "
    "to think about it until the bell rang."
)
RUSSIAN = (
    "Музей открылся весной после долгого ремонта северного крыла. Посетители входят через двор, "
    "где стоит бронзовый фонтан, и проходят мимо кассы в первый зал. "
)
CYRILLIC = str.maketrans("aceopxyijsABCEHKMOPTX", "асеорхуіјѕАВСЕНКМОРТХ")
PERSIAN = str.maketrans("يك", "یک")
UNDOTTED = str.maketrans("ةي", "هى")
GREEK = str.maketrans("aiopuvABEHIKMNOPTXYZ", "αιορυνΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
ACCENTED = str.maketrans("aeiouAEIOU", "áéíóúÁÉÍÓÚ")
FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
BOLD = {
    **{ord("A") + n: 0x1D400 + n for n in range(26)},
    **{ord("a") + n: 0x1D41A + n for n in range(26)},
}
WHOLE = re.compile(r"[1-9]\d{0,8}|[1-9]\d{0,2}(?:,\d{3}){1,2}")
NUMBER = re.compile(r"(?<![\w.,])(?:\d{1,3}(?: \d{3})+|\d+(?:,\d{3})*)(?:\.\d+)?(?![\w,]|\.\d)")
_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spelled(number: int) -> str:
    """A number below a billion in English words."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    for scale, word in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if number >= scale:
            rest = number % scale
            joint = " and " if scale == 100 else " "
            words = f"{spelled(number // scale)} {word}"
            return words + (f"{joint}{spelled(rest)}" if rest else "")
    raise AssertionError(number)


def _question(change: Callable[[str], str]) -> Change:
    def changed(row: Example, _: random.Random) -> Example:
        return row.model_copy(update={"question": change(row.question)})

    return changed


def _everything(change: Callable[[str], str]) -> Change:
    """Applies the change to question, choices and answer."""

    def changed(row: Example, _: random.Random) -> Example | None:
        if change(row.question) == row.question:
            return None
        update = {
            "question": change(row.question),
            "answer": change(row.answer),
            "choices": [change(choice) for choice in row.choices],
        }
        return row.model_copy(update=update)

    return changed


def _numbers(change: Callable[[str], str]) -> Change:
    return _everything(lambda text: NUMBER.sub(lambda match: change(match[0]), text))


def _other(row: Example, context: str = "", **update: object) -> Example:
    """Another question with the row's passage."""
    parts = [part for part in (row.context, context) if part]
    return row.model_copy(
        update={
            "answer_kind": AnswerKind.FREE_FORM,
            "context": "\n".join(parts),
            "question": OTHER_QUESTION,
            "choices": [],
            "answer": OTHER_ANSWER,
            "answer_index": None,
            "aliases": [],
            "solution": "",
            **update,
        }
    )


def _enriched(row: Example, **update: str) -> EnrichedExample:
    return EnrichedExample(
        **{
            **dict(row),
            "seed_ids": [row.id],
            "teacher": STAMP,
            "prompt_version": "v",
            "variation": "v",
            "completion_id": "c",
            "votes": [Vote(answer="a", count=3)],
            "votes_cast": 3,
            "vote_share": 1.0,
            "outcome": "agreed",
            "solver": STAMP,
            **update,
        }
    )


def _cut(text: str) -> tuple[str, str]:
    """The story and the question about it; for a single sentence, its two halves."""
    sentences = re.split(r"(?<=[.!?])\s+", text.strip())
    if len(sentences) > 1:
        return " ".join(sentences[:-1]), sentences[-1]
    return _halves(text)


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])


def arabic(change: Callable[[str], str]) -> Change:
    """Changes the Arabic letters of question, choices and answer, behind a line of instruction."""

    def changed(row: Example, chance: random.Random) -> Example | None:
        changed = _everything(change)(row, chance)
        return changed and changed.model_copy(
            update={"question": f"أجب عن السؤال: {changed.question}"}
        )

    return changed


def story_in_context(row: Example, _: random.Random) -> Example:
    story, question = _cut(row.question)
    context = f"{row.context}\n{story}" if row.context else story
    return row.model_copy(update={"context": context, "question": question})


def split_over_context(row: Example, _: random.Random) -> Example:
    first, second = _halves(row.question)
    context = f"{row.context} {first}" if row.context else first
    return row.model_copy(update={"context": context, "question": second})


def sentences_reordered(row: Example, chance: random.Random) -> Example | None:
    sentences = re.split(r"(?<=[.!?])\s+", row.question.strip())
    if len(sentences) < 3:
        return None
    last = sentences.pop()
    return row.model_copy(
        update={"question": " ".join([*chance.sample(sentences, len(sentences)), last])}
    )


def half_look_alikes(row: Example, chance: random.Random) -> Example:
    mixed = "".join(c.translate(CYRILLIC) if chance.random() < 0.5 else c for c in row.question)
    return row.model_copy(update={"question": mixed})


def html(text: str) -> str:
    words = [
        f"<b>{word}</b>" if place % 3 == 0 else word
        for place, word in enumerate(
            text.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&quot;").split()
        )
    ]
    return f'<div class="card">\n<p>{" ".join(words)}</p>\n<br/></div>'


def options_reordered(row: Example, chance: random.Random) -> Example | None:
    if row.answer_kind is not AnswerKind.MULTIPLE_CHOICE:
        return None
    return row.model_copy(update={"choices": chance.sample(row.choices, k=len(row.choices))})


def options_replaced(row: Example, chance: random.Random) -> Example | None:
    if row.answer_kind is not AnswerKind.MULTIPLE_CHOICE:
        return None
    words = ["a copper kettle", "the harbour master", "nine sparrows", "early frost", "two maps"]
    choices = chance.sample(words, k=min(len(row.choices), len(words)))
    return row.model_copy(update={"choices": choices, "answer": choices[0], "answer_index": 0})


def options_dropped(row: Example, _: random.Random) -> Example | None:
    if row.answer_kind is not AnswerKind.MULTIPLE_CHOICE:
        return None
    return row.model_copy(
        update={"choices": [], "answer_index": None, "answer_kind": AnswerKind.SHORT_TEXT}
    )


def options_in_question(row: Example, _: random.Random) -> Example | None:
    if row.answer_kind is not AnswerKind.MULTIPLE_CHOICE:
        return None
    listed = " ".join(f"({'ABCDEFGH'[n]}) {choice}" for n, choice in enumerate(row.choices))
    return _other(
        row, question=f"{row.question} {listed}", answer="ABCDEFGH"[row.answer_index or 0]
    )


def answer_changed(row: Example, chance: random.Random) -> Example:
    if row.choices:
        others = [choice for choice in row.choices if choice != row.answer]
        return row.model_copy(update={"answer": chance.choice(others or ["none"])})
    return row.model_copy(update={"answer": f"{row.answer}7", "aliases": []})


def edited(share: float) -> Change:
    """Replaces, drops or adds words in this share of the question; numbers stay."""

    def change(row: Example, chance: random.Random) -> Example:
        spaced = " " in row.question
        words = row.question.split() if spaced else list(row.question)
        open_to = [at for at, word in enumerate(words) if not any(c.isdigit() for c in word)]
        for at in chance.sample(open_to, k=min(len(open_to), max(1, round(share * len(words))))):
            other = (
                f"{chance.choice('bdfgklmnprst')}{chance.choice('aeiou')}{chance.choice('lmnrst')}o"
            )
            words[at] = chance.choice([other, "", f"{words[at]} {other}"])
        return row.model_copy(update={"question": (" " if spaced else "").join(words)})

    return change


def both(*changes: Change) -> Change:
    """Applies several changes in turn; None if one of them cannot be applied."""

    def changed(row: Example, chance: random.Random) -> Example | None:
        changed: Example | None = row
        for change in changes:
            changed = changed and change(changed, chance)
        return changed

    return changed


def other_numbers(row: Example, chance: random.Random) -> Example | None:
    """Not a leak: the same words with other numbers and another answer."""
    if row.answer_kind is not AnswerKind.NUMERIC:
        return None
    swap = dict(zip("123456789", chance.sample("123456789", k=9), strict=True))
    question = "".join(swap.get(c, c) for c in row.question)
    numbers = NUMBER.findall(row.question)
    if len(numbers) < 2 or set(NUMBER.findall(question)) >= set(numbers):
        return None
    return row.model_copy(update={"question": question, "answer": f"{row.answer}3", "solution": ""})


POINT_ZERO = _numbers(lambda number: f"{number}.0" if "." not in number else number)


def with_unit(row: Example, _: random.Random) -> Example | None:
    """Each number becomes dollars, also an answer that is one number."""

    def dollars(text: str) -> str:
        return NUMBER.sub(lambda found: f"{found[0]} dollars", text.replace("$", ""))

    if dollars(row.question) == row.question:
        return None
    plain = row.answer.replace("$", "").strip()
    update: dict[str, object] = {"question": dollars(row.question)}
    if NUMBER.fullmatch(plain):
        update |= {
            "answer": dollars(plain),
            "choices": [dollars(choice) for choice in row.choices],
        }
    return row.model_copy(update=update)


KEPT: dict[str, Change] = {
    "verbatim": _question(str),
    "whole question in context": lambda row, _: _other(row, row.question),
    "row with options in context": lambda row, _: _other(
        row, " ".join([row.question, *row.choices, row.answer])
    ),
    "story in context": story_in_context,
    "split over context and question": split_over_context,
    "text before": _question(lambda q: BEFORE + q),
    "text after": _question(lambda q: q + AFTER),
    "text before and after": _question(lambda q: BEFORE + q + AFTER),
    "inside a passage": lambda row, _: _other(row, BEFORE + row.question + AFTER),
    "two questions in one": _question(lambda q: f"{OTHER_QUESTION} {q}"),
    "said twice": _question(lambda q: f"{q} {q}"),
    "sentences reordered": sentences_reordered,
    "upper case": _question(str.upper),
    "title case": _question(str.title),
    "HTML": _question(html),
    "Markdown": _question(lambda q: "> " + " ".join(f"**{word}**" for word in q.split())),
    "LaTeX text": _question(lambda q: f"$$\\text{{{q}}}$$"),
    "line breaks": _question(lambda q: "\r\n\t".join(q.split())),
    "Cyrillic look-alikes": _question(lambda q: q.translate(CYRILLIC)),
    "Greek look-alikes": _question(lambda q: q.translate(GREEK)),
    "half of the look-alikes": half_look_alikes,
    "bold letters": _question(lambda q: q.translate(BOLD)),
    "full width": _question(lambda q: q.translate(FULL_WIDTH)),
    "letter spacing": _question(" ".join),
    "letters with points": _question(lambda q: ".".join(q.replace(".", ""))),
    "no spaces": _question(lambda q: "".join(q.split())),
    "underscores": _question(lambda q: "_".join(q.split())),
    "combining accents": _question(lambda q: re.sub("([aeiouAEIOU])", "\\1\u0301", q)),
    "accented letters": _question(lambda q: q.translate(ACCENTED)),
    "zero-width characters": _question("\u200b".join),
    "Arabic tatweel": arabic(
        lambda text: re.sub(r"\b([\u0621-\u064a]{3})(?=\w{2})", "\\1\u0640", text)
    ),
    "Persian yeh and kaf": arabic(lambda text: text.translate(PERSIAN)),
    "Arabic without dots": arabic(lambda text: text.translate(UNDOTTED)),
    "no punctuation": _question(lambda q: re.sub(r"[^\w\s.]|\.(?!\d)", "", q)),
    "numbers as 18.0": POINT_ZERO,
    "numbers as 18 dollars": with_unit,
    "numbers in words": _numbers(
        lambda n: spelled(int(n.replace(",", ""))) if WHOLE.fullmatch(n) else n
    ),
    "Arabic-Indic digits": _everything(
        lambda text: text.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    ),
    "Devanagari digits": _everything(
        lambda text: text.translate(str.maketrans("0123456789", "०१२३४५६७८९"))
    ),
    "full-width digits": _everything(
        lambda text: text.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    ),
    "thousands with commas": _numbers(lambda n: f"{int(n):,}" if n.isdigit() and len(n) > 3 else n),
    "thousands with spaces": _numbers(
        lambda n: f"{int(n.replace(',', '')):,}".replace(",", "\u2009") if WHOLE.fullmatch(n) else n
    ),
    "options reordered": options_reordered,
    "options replaced": options_replaced,
    "options dropped": options_dropped,
    "options in question": options_in_question,
    "answer changed": answer_changed,
    "answer in another form": lambda row, _: row.model_copy(
        update={"answer": f"The answer is {row.answer}."}
    ),
    "copied into knowledge": lambda row, _: _enriched(_other(row), knowledge=BEFORE + row.question),
    "copied into a Russian text": lambda row, _: _enriched(
        _other(row), knowledge=3 * RUSSIAN + row.question
    ),
    "copied into reasoning": lambda row, _: _enriched(_other(row), reasoning=row.question + AFTER),
    "copied into solution": lambda row, _: _other(row, solution=BEFORE + row.question),
    "copied into answer": lambda row, _: _other(row, answer=row.question),
    "copied into an alias": lambda row, _: _other(row, aliases=[row.question]),
}
"""Changes that keep the words of the question."""
EDITED_10: dict[str, Change] = {
    "5 % reworded": edited(0.05),
    "10 % reworded": edited(0.10),
    "5 % and 18.0": both(edited(0.05), POINT_ZERO),
    "10 % and 18.0": both(edited(0.10), POINT_ZERO),
    "5 % and 18 dollars": both(edited(0.05), with_unit),
    "10 % and 18 dollars": both(edited(0.10), with_unit),
    "10 % and options reordered": both(edited(0.10), options_reordered),
    "10 % and look-alikes": both(edited(0.10), KEPT["Cyrillic look-alikes"]),
    "10 % and text around": both(edited(0.10), KEPT["text before and after"]),
}
EDITED_25: dict[str, Change] = {"25 % reworded": edited(0.25)}
