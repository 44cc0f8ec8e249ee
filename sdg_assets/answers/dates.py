"""Parses calendar dates in the usual notations."""

from __future__ import annotations

import re
from collections import defaultdict

from sdg_assets.answers.wording import typography

Date = tuple[int | None, int, int | None]
"""Year, month, day; year or day is None if the text does not state it."""

_MONTHS = (
    "january february march april may june july august september october november december",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
    "जनवरी फरवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
    "জানুয়ারি ফেব্রুয়ারি মার্চ এপ্রিল মে জুন জুলাই আগস্ট সেপ্টেম্বর অক্টোবর নভেম্বর ডিসেম্বর",
)


def _names() -> dict[str, int]:
    """Month names and their prefixes of three or more letters, if unique to one month."""
    months: defaultdict[str, set[int]] = defaultdict(set)
    for row in _MONTHS:
        for number, name in enumerate(typography(row).split(), start=1):
            for length in range(min(3, len(name)), len(name) + 1):
                months[name[:length]].add(number)
    return {name: numbers.pop() for name, numbers in months.items() if len(numbers) == 1}


_NAMED = _names()
_MONTH = rf"(?P<month>{'|'.join(sorted(_NAMED, key=len, reverse=True))})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|º|\.)?"
_YEAR = r"(?P<year>\d{4})"
_OF = r"[\s,]+(?:(?:of|de|del|do)\s+)?"
_FORMS = [
    re.compile(rf"(?:(?:the|el|le|der|am)\s+)?{form}", re.IGNORECASE)
    for form in (
        rf"{_MONTH}\s*{_DAY}(?:[\s,]+{_YEAR})?",
        rf"{_DAY}{_OF}{_MONTH}(?:{_OF}{_YEAR})?(?:\s*г(?:ода|\.)?)?",
        rf"{_MONTH}{_OF}{_YEAR}",
        rf"{_YEAR}[\s,]+{_MONTH}(?:\s+{_DAY})?",
        rf"{_YEAR}(?P<dash>[-/.])(?P<month>\d{{1,2}})(?P=dash){_DAY}",
        rf"{_DAY}\.\s?(?P<month>\d{{1,2}})\.\s?{_YEAR}",
        rf"{_YEAR}\s*[年년]\s*(?P<month>\d{{1,2}})\s*[月월](?:\s*(?P<day>\d{{1,2}})\s*[日号號일])?",
        r"(?P<month>\d{1,2})\s*[月월]\s*(?P<day>\d{1,2})\s*[日号號일]",
    )
]
_SLASHED = re.compile(rf"(?P<first>\d{{1,2}})(?P<dash>[/-])(?P<second>\d{{1,2}})(?P=dash){_YEAR}")
_WEEKDAY = re.compile(
    r"^(?:on\s+)?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?(?:on\s+)?", re.IGNORECASE
)


def parse_date(text: str) -> Date | None:
    """Parses a text that is one date.

    Returns:
        The date, or None if the text is anything else, or a date that America and Europe read
        differently (03/05/2021).
    """
    plain = _WEEKDAY.sub("", typography(text).strip().rstrip("."))
    for form in _FORMS:
        if written := form.fullmatch(plain):
            parts = written.groupdict()
            month = _NAMED.get(parts["month"].lower()) or int(parts["month"])
            year, day = (int(v) if (v := parts.get(p)) else None for p in ("year", "day"))
            return _checked(year, month, day)
    if written := _SLASHED.fullmatch(plain):
        first, second, year = (int(written[part]) for part in ("first", "second", "year"))
        if first > 12 or first == second:
            return _checked(year, second, first)
        return _checked(year, first, second) if second > 12 else None
    return None


def _checked(year: int | None, month: int, day: int | None) -> Date | None:
    return (year, month, day) if 1 <= month <= 12 and (day is None or 1 <= day <= 31) else None
