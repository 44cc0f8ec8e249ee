"""Option labels: A, (b), 2, "the second option". A label stands for a position of an option."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

# Each string counts from 0. Cyrillic В is omitted: it looks like the Latin B but comes third.
_ALPHABETS = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "АБ_ГД", "ابجده", "कखगघङ", "কখগঘঙ", "กขคงจ", "アイウエオ",
    "甲乙丙丁戊", "가나다라마",
)  # fmt: skip
_PLACES = {letter: place for row in _ALPHABETS for place, letter in enumerate(row) if letter != "_"}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_NOUN = (
    r"(?:option|choice|answer|letter|opci[óo]n|r[ée]ponse|respuesta|antwort|вариант|ответ"
    r"|选项|選項|選択肢|보기|الخيار|विकल्प|বিকল্প)"
)
_LABEL = re.compile(
    rf"(?:the\s+)?(?P<noun>{_NOUN}\s*)?(?P<open>[(\[]?)"
    rf"(?P<mark>[{''.join(_PLACES)}]|[a-z]|\d{{1,2}})(?![^\W_])(?P<close>[)\].:–—-]*)"
    r"\s*(?:选项|選項)?(?P<text>.*)",
    re.DOTALL | re.IGNORECASE,
)
_ORDINAL = rf"(?:the\s+)?\b(?P<ordinal>{'|'.join(_ORDINALS)})\s+(?:option|choice|one|answer)\b"
_INTRODUCING = {
    "option", "options", "choice", "choices", "answer", "letter", "is", "be", "it's", "not", "or",
    "and", "either", "both", "neither", "nor", "but",
}  # fmt: skip
_JOINING = re.compile(r"\s(?:or|and|nor|but|is|isn't|not|because|since|as)\b")
_NEXT_WORD = re.compile(r"\s\w")
_WORD_BACKWARDS = re.compile(r"[\s:*\"(\[/,]*([\w']+)")
_LEFT_OVER = re.compile(
    rf"\b{_NOUN}s?\s+(?:is\s+)?[(\[\"'*]*(?:(?-i:[A-Z])|\d{{1,2}})[)\]\"'*]*(?![\w'’])"
    rf"|(?<!\w)[(\[][A-J][)\]]|^[\s>*-]*[A-J][).:](?=\s)|{_ORDINAL}",
    re.MULTILINE | re.IGNORECASE,
)
# Quick tests: most texts name no label. Each starts with a character that few texts have, or is
# made only if one of the words occurs: a search for all of them at once takes eight times as long.
_MARKED = re.compile(
    r"[).:\]](?:(?<=[^\w][A-Za-z].)|(?<=^[A-Za-z].))|[(\[]\d{1,2}[)\]]", re.IGNORECASE | re.DOTALL
).search
_NAMED = re.compile(
    rf"{_NOUN}s?(?:\s+is|:)?[\s*(\[\"']+(?:[A-Za-z]|\d{{1,2}})(?![\w'’])"
    rf"|\b(?:{'|'.join(_ORDINALS)})\b",
    re.IGNORECASE,
).search
_ASCII_WORDS = (
    "option", "choice", "answer", "letter", "opcion", "reponse", "respuesta", "antwort", *_ORDINALS,
)  # fmt: skip
_WORDS = (
    *_ASCII_WORDS, "opción", "réponse", "вариант", "ответ", "选项", "選項", "選択肢", "보기",
    "الخيار", "विकल्प", "বিকল্প",
)  # fmt: skip

_FLAGS = re.IGNORECASE | re.MULTILINE
_LETTERS = 26
_NEVER = r"(?!)"


def labelled(text: str, numbers: bool) -> tuple[int, str] | None:
    """Reads a label at the start of an answer, and the text after it.

    Args:
        text: "B", "(b)", "option 2", "B. copper"; with `typography` applied.
        numbers: Whether a number can be a label; not so if an option is a number.

    Returns:
        (position of the option, counted from 0, the rest), or None if the text starts with no
        label.
    """
    if ordinal := re.fullmatch(_ORDINAL, text, re.IGNORECASE):
        return _ORDINALS.index(ordinal["ordinal"].lower()), ""
    parts = _LABEL.fullmatch(text)
    if not parts:
        return None
    mark, rest = parts["mark"], parts["text"].strip(" *_\"'")
    if mark.isdigit():
        return (int(mark) - 1, rest) if numbers or parts["noun"] else None
    # "A car", "I think", "и так": a letter without brackets or punctuation may be a word.
    if rest and not (parts["close"] or parts["noun"] or (mark > "A" and mark in "BCDEFGHJKLMN")):
        return None
    place = _PLACES.get(mark, _PLACES.get(mark.upper()))
    return None if place is None else (place, rest)


def mentioned_labels(text: str) -> Iterator[tuple[int, int, int]]:
    """Letters in a sentence that are labels by their context: "it is B", "(C)", "A or B".

    Yields:
        (start, end, position of the option, counted from 0).
    """
    backwards = text[::-1]  # a pattern that ends in "$" would scan the whole text for each letter
    for letter in re.finditer(r"(?<![\w'’.])[A-Z](?![\w'’])", text):
        start, end = letter.span()
        before, after = text[max(0, start - 1) : start], text[end : end + 1]
        enclosed = before in ("(", "[") or after in (")", "]")
        word = _WORD_BACKWARDS.match(backwards, len(text) - start)
        introduced = word is None or word[1][::-1].lower() in _INTRODUCING or len(word[1]) == 1
        is_word = (
            letter[0] in "AI" and _NEXT_WORD.match(text, end) and not _JOINING.match(text, end)
        )
        if enclosed or (introduced and not is_word):
            yield start, end, ord(letter[0]) - ord("A")


@dataclass(frozen=True)
class _Patterns:
    """How a text may refer to the option at one position."""

    before_choice: re.Pattern[str]
    named: re.Pattern[str]
    stated: re.Pattern[str]
    ordinal: re.Pattern[str]


@lru_cache(maxsize=256)
def _patterns(place: int) -> _Patterns:
    # After Z an option has only its number. The characters that follow Z are "[" and "\": with
    # 77 labels they failed a whole partition, as patterns that do not compile.
    letter, number = chr(ord("A") + place) if place < _LETTERS else _NEVER, place + 1
    mark = rf"(?:{letter}|{number})"
    sources = (
        # A number with just a full stop numbers a step: "1. Mercury is the closest".
        rf"(?<!\w)(?:(?:{_NOUN}\s+)?(?:[(\[]{mark}[)\]]|{letter}[).:])|{_NOUN}\s+{number}[).:])"
        rf"[\s*\"]*",
        rf"\b(?:option|choice)\s+[(\[\"'*]*{mark}[)\]\"'*]*(?![\w'’])",
        rf"(answer(?:\s+is|:)[\s*]*)[(\[\"']*{letter}[)\]\"']*(?=[\s.*]*$)",
        _ORDINAL.replace("|".join(_ORDINALS), _ORDINALS[place % 8]),
    )
    return _Patterns(*(re.compile(source, _FLAGS) for source in sources))


def _may_name_a_label(text: str) -> bool:
    """Whether it is worth while to look for labels in a text."""
    if _MARKED(text):
        return True
    folded = text.casefold()
    words = _ASCII_WORDS if folded.isascii() else _WORDS
    return any(word in folded for word in words) and bool(_NAMED(text))


def spelled_out(text: str, choices: Sequence[str]) -> str | None:
    """Replaces labels in a text by the options that they stand for.

    Args:
        text: A solver's reasoning.
        choices: The options in the order in which that solver saw them.

    Returns:
        The text without labels; None if an ambiguous label is left: a bare "(C)" may be carbon.
    """
    if not _may_name_a_label(text):
        return text
    for place, choice in enumerate(choices):
        patterns, plain = _patterns(place), choice.replace("\\", r"\\")
        # Labels before their choice are rare: compiling a pattern takes longer than ten searches.
        if patterns.before_choice.search(text):
            of_choice = patterns.before_choice.pattern + re.escape(choice)
            text = re.sub(of_choice, plain, text, flags=_FLAGS)
        text = patterns.named.sub(f'"{plain}"', text)
        text = patterns.stated.sub(rf"\g<1>{plain}", text)
        text = patterns.ordinal.sub(f'"{plain}"', text)
    return None if _LEFT_OVER.search(text) else text
