"""Parses plain numbers: `1,250.50`, `1 1/2`, `€3,50`, `45 %`, `1.5 × 10^3`, `twelve apples`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from sdg_assets.answers.wording import FORMAL, typography, unwrap


def _listed(words: str) -> list[str]:
    return words.split()


# Languages that write 1,5 for one and a half and 1.000 for a thousand.
DECIMAL_COMMA = frozenset(
    _listed(
        "bg ca cs da de el es et eu fi fr gl hr hu id is it lt lv nl no pl pt ro ru sk sl sr sv tr "
        "uk vi"
    )
)
_LARGEST_EXPONENT = 300
_SCALES = {
    "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "lakh": 10**5, "crore": 10**7, "万": 10**4, "萬": 10**4, "만": 10**4, "亿": 10**8, "億": 10**8,
    "억": 10**8,
}  # fmt: skip
_PERCENT = (
    r"%|(?:percent|per\s+cent|pct|percentage\s+points?|prozent|por\s*ciento|pour\s*cents?|procent)\b"
    r"|процент\w*|퍼센트|パーセント|प्रतिशत|শতাংশ|في\s+المائة|بالمائة|เปอร์เซ็นต์"
)
ASKS_PERCENT = re.compile(
    rf"{_PERCENT}|percentage|porcentaje|pourcentage|percentuale|百分"
    r"|ร้อยละ|yüzde|phần trăm|نسبة مئوية",
    re.IGNORECASE,
)
"""Matches a question that asks for a percentage, so that the answer 45 means 45 %."""
_GROUPED = r"\d{1,3}(?: \d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,'_]\d+)*|\.\d+"
_NUMBER = re.compile(
    rf"(?<![\w.^/\\])(?:(?<![\w)}}%])(?P<sign>[-+]|\b(?:minus|negative)\b)\s?)?(?:(?P<currency>[$¢-¥₠-⃀])\s?)?"
    rf"(?:(?P<whole>\d+)\s+(?:and\s+)?(?P<part>\d+\s*/\s*\d+)|(?P<top>{_GROUPED})\s*/\s*(?P<bottom>\d+)"
    rf"|10\^\{{?(?P<ten>-?\d+)\}}?|(?P<plain>{_GROUPED})(?:e(?P<exponent>[-+]?\d+))?)"
    r"(?![\d^]|[./:]\d)(?:\s*\*\s*10\s*\^\s*\{?(?P<power>-?\d+)\}?)?"
    rf"(?:\s*(?P<scale>{'|'.join(_SCALES)})s?(?![a-z]))?(?P<percent>\s*(?:{_PERCENT}))?",
    re.IGNORECASE,
)
_LEADING = re.compile(
    r"(?:(?:about|around|approximately|roughly|exactly|only|just|a\s+total\s+of|total\s+of|nearly"
    r"|almost|≈|~|=|\\approx|rs\.?|us(?:d|(?=\s*\$))|eur|gbp|inr)\s*)+|[a-z]\s*=\s*(?=[-+$\d.])",
    re.IGNORECASE,
)
_NOT_A_UNIT = re.compile(
    r"[=,;:<>+!?|\\π√_]|\d|n't\b|\b(?:or|and|not|no|but|to|than|is|are|was|plus|minus|times|because"
    r"|since|which|so|it|he|she|they|we|if|as|that|this)\b",
    re.IGNORECASE,
)
# The only one- and two-letter words that are units; others are variables: 5x, 2i.
_SHORT_UNITS = frozenset(
    _listed(
        "m g l s h k c f n j w v a k cm mm km mi ft in kg mg lb oz ml cl dl kl hr th st nd rd am "
        "pm gb mb kb tb ha hz kw mw kj rs sq cu of at on a per o"
    )
)
_LATEX = (
    (re.compile(r"\\\$"), "$"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\s*\\!\s*"), ""),
    (re.compile(r"\\(?:left|right|displaystyle)\b"), ""),
    (re.compile(r"(?<!\\)\\[,;: ]|~|\\quad\b"), " "),
    (re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|textit)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"(?P<whole>(?<=\d)\s*)?\\[dtc]?frac\s*(?:\{\s*(-?\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))"),
     lambda m: f"{' ' if m['whole'] is not None else ''}{m[2] or m[3]}/{m[4] or m[5]}"),
    (re.compile(r"\^\s*\{?\s*(?:\\circ|°)\s*\}?|\\degree\b"), "°"),
    (re.compile(r"\\(?:times|cdot)\b|[×·](?=\s*10)|(?<=\d)\s*x\s*(?=10\s*\^)"), "*"),
)  # fmt: skip
_UNITS = {
    canonical: names.split()
    for canonical, names in {
        "kilometer": "km kilometre kms", "meter": "m metre", "centimeter": "cm centimetre",
        "millimeter": "mm millimetre", "mile": "mi", "foot": "ft feet", "inch": "in inches",
        "kilogram": "kg kgs kilo", "gram": "g gm", "milligram": "mg", "pound": "lb lbs £ gbp",
        "liter": "l litre", "milliliter": "ml millilitre", "hour": "h hr hrs", "minute": "min mins",
        "second": "s sec secs", "dollar": "$ usd us$", "cent": "¢", "euro": "€ eur",
        "rupee": "₹ inr rs", "yen": "¥ jpy", "degree": "° deg", "square": "sq", "cubic": "cu",
        "per": "/ a", "": "units unit",
    }.items()
}  # fmt: skip
_CANONICAL = {name: canonical for canonical, names in _UNITS.items() for name in names}
_SMALL = _listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety")
_WORDS = {word: number for number, word in enumerate(_SMALL)} | {
    word: 10 * number for number, word in enumerate(_TENS, start=2)
}
_SPELLED = re.compile(
    rf"(?:(?:{'|'.join([*_WORDS, 'hundred', 'thousand', 'million', 'billion'])})\b"
    r"(?:[\s-]+(?:and\s+)?)?)+"
)


@dataclass(frozen=True)
class Quantity:
    """A number with its unit.

    Attributes:
        value: The exact value; for a percentage, the number before the sign.
        unit: The unit in its canonical spelling; "%" for a percentage, "" if there is none.
        text: The number as written, in ASCII digits, without its unit.
    """

    value: Fraction
    unit: str
    text: str


@lru_cache(maxsize=1 << 14)
def quantity(text: str, language: str = "en") -> Quantity | None:
    """Parses a text that is one number, with or without a unit.

    Args:
        text: The whole text: "about $1,000", "12 km/h", "twelve".
        language: Decides the meaning of a single separator before three digits.

    Returns:
        The number, or None if the text is anything else or is ambiguous.
    """
    plain = _digits_of_words(plain_math(text))
    plain = _LEADING.sub("", plain, count=1).strip() if _LEADING.match(plain) else plain
    written = _NUMBER.search(plain)
    if not written or plain[: written.start()].strip():
        return None
    value = _value(written, language)
    rest = plain[written.end() :].strip().strip("()").strip()
    powers = re.sub(r"(?<=[a-z])\^?[23]\b", "", rest)
    if value is None or _NOT_A_UNIT.search(powers) or len(rest) > 40 or len(rest.split()) > 5:
        return None
    if any(w.lower() not in _SHORT_UNITS for w in re.findall(r"\b[A-Za-z]{1,2}\b", powers)):
        return None
    unit = "%" if written["percent"] else _unit(f"{written['currency'] or ''} {rest}")
    return Quantity(value, unit, _as_written(written))


def quantities(text: str, language: str = "en") -> Iterator[Quantity | None]:
    """Every number in a prose text, without units other than "%"; None for an ambiguous one."""
    for written in _NUMBER.finditer(plain_math(text)):
        value = _value(written, language)
        unit = "%" if written["percent"] else ""
        yield None if value is None else Quantity(value, unit, _as_written(written))


def plain_math(text: str) -> str:
    r"""Simple LaTeX as plain text: `\frac{3}{4}` becomes 3/4, `\text{cm}` becomes cm."""
    text = unwrap(typography(text), FORMAL)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    # A pair of dollar signs delimits mathematics; an unpaired one means money.
    text = re.sub(r"\$([^$]+)\$(?!\d)", r"\1", text)
    return unwrap(text, FORMAL)


def _as_written(number: re.Match[str]) -> str:
    return number[0].replace(number["currency"] or "", "").strip()


def _value(number: re.Match[str], language: str) -> Fraction | None:
    try:
        if number["part"]:
            value = int(number["whole"]) + Fraction(number["part"].replace(" ", ""))
        elif number["top"]:
            value = _read(number["top"], language) / int(number["bottom"])
        elif number["ten"]:
            value = _power_of_ten(number["ten"])
        else:
            value = _read(number["plain"], language) * _power_of_ten(number["exponent"])
        value *= _power_of_ten(number["power"])
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    if number["scale"]:
        value *= _SCALES[number["scale"].lower()]
    return -value if number["sign"] and number["sign"] != "+" else value


def _power_of_ten(exponent: str | None) -> Fraction:
    power = int(exponent or 0)
    if abs(power) > _LARGEST_EXPONENT:
        raise OverflowError(power)
    return Fraction(10) ** power


def _read(digits: str, language: str) -> Fraction:
    """The value of digits with separators.

    Two different separators, a repeated one, or a group whose length is not three are unambiguous.
    Only the meaning of `1.000` and `1,000` depends on the language.

    Raises:
        ValueError: The digits have no meaning, or two.
    """
    digits = re.sub(r"(?<=\d)[ '_](?=\d{3})", "", digits)
    commas, points = digits.count(","), digits.count(".")
    if commas and points:
        decimal = max(",.", key=digits.rfind)
        whole, _, part = digits.rpartition(decimal)
        return Fraction(f"{_ungrouped(whole)}.{part}")
    if not commas and points <= 1:
        european = language in DECIMAL_COMMA and re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", digits)
        return Fraction(digits.replace(".", "") if european else digits)
    comma_first = language in DECIMAL_COMMA
    if commas == 1 and (digits.startswith("0,") or (comma_first and digits[-4:-3] != ",")):
        return Fraction(digits.replace(",", "."))
    if commas == 1 and comma_first:
        raise ValueError(digits)
    return Fraction(_ungrouped(digits))


def _ungrouped(digits: str) -> str:
    """Removes thousands separators: groups of three digits, or Indian groups of two, then three.

    Raises:
        ValueError: The groups have other lengths.
    """
    if not re.fullmatch(r"\d+|\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}", digits):
        raise ValueError(digits)
    return re.sub(r"\D", "", digits)


def _unit(text: str) -> str:
    """The canonical spelling of a unit, the same for `km/h` and `kilometres an hour`."""
    text = re.sub(r"\^?\s?2\b", " squared", text.lower())
    text = re.sub(r"\^?\s?3\b", " cubed", text)
    words = re.findall(r"[^\W\d_]+\$?|[$¢-¥₠-⃀/°]", text)
    named = [_CANONICAL.get(w, w) for w in words if w not in {"of", "the", "o", "clock"}]
    singular = [
        _CANONICAL.get(w[:-1], w[:-1])
        if len(w) > 3 and w.endswith("s") and not w.endswith("ss")
        else w
        for w in named
    ]
    squared = [{"squared": "square", "cubed": "cubic", "an": "per"}.get(w, w) for w in singular]
    return " ".join(sorted(w for w in squared if w))


def _digits_of_words(text: str) -> str:
    """Replaces an English number word at the start by digits: "twenty-one days" → "21 days".

    A text that contains digits comes back unchanged.
    """
    lowered = text.lower()
    sign, _, rest = lowered.partition(" ")
    if sign not in ("minus", "negative"):
        sign, rest = "", lowered
    spelled = _SPELLED.match(rest)
    if not spelled or re.search(r"\d", text):
        return text
    total = group = 0
    for word in re.findall(r"[a-z]+", spelled[0]):
        if word == "hundred":
            group = (group or 1) * 100
        elif word in _SCALES:
            total, group = total + (group or 1) * _SCALES[word], 0
        else:
            group += _WORDS.get(word, 0)
    return f"{'-' if sign else ''}{total + group} {rest[spelled.end() :]}".strip()
