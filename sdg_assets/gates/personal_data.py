"""Gate: e-mail addresses, phone numbers, account numbers and keys. Reported, or refused.

Exercises are full of made-up ones: addresses at example.com and numbers with 555 do not count, and
what has a checksum counts only where it holds. Whether a phone number can exist says Google's
libphonenumber, an account number python-stdnum: of 70 numbers of public offices all over the world
66 are found, of 28 made-up ones 2 (65 and 23 by rules of our own). The patterns below only propose
candidates, and are ours: libphonenumber's own search of texts finds 72 more "numbers" in 336,000
rows of public datasets, which but for a hotline are sums and names of rows.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from sdg_assets.gates.base import Batch, Cost, GateSpec, Point, Reporting
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.thresholds import OwnThresholds

NAME = "personal_data"


class PersonalDataThresholds(OwnThresholds):
    """Whether personal data is reported or refused."""

    personal_data: Literal["report", "refuse"] = Field(
        default="report", description="what e-mail addresses, phone numbers and keys lead to"
    )


_PATTERNS = {
    "e-mail address": r"(?P<email>[\w.+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,})",
    "key": r"(?P<key>\bA(?:KIA|SIA)[0-9A-Z]{16}\b|\bsk-(?:[a-z]+-)*[A-Za-z0-9_]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bhf_[A-Za-z]{30,}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bAIza[\w-]{35}\b|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----)",
    "phone number": r"(?<![\d.,$€£+-])(?P<phone>\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}"
    r"|(?:\+?1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4})(?![\d-]|[.,]\d)",
    "account number": r"\b(?P<iban>[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?)\b",
    "card number": r"(?<![\w.,-])(?P<card>[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7})(?![\w-]|[.,]\d)",
}
_FOUND = re.compile("|".join(_PATTERNS.values()))
_KINDS = dict(zip(("email", "key", "phone", "iban", "card"), _PATTERNS, strict=True))
# What a text must hold for any of them to be there: an @, a key's opening, or ten digits in a row
# (eight after a plus) with at most two other characters between them.
_WORTH_A_LOOK = (
    r"@[A-Za-z0-9]|A[KS]IA|sk-|gh[pousr]_|hf_|xox[abprs]-|AIza|PRIVATE KEY"
    r"|(?:[0-9][ ().+-]{0,2}){9}[0-9]|\+(?:[0-9][ ().-]{0,2}){7}[0-9]"
    r"|[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}"
)
_MADE_UP = re.compile(
    r"@(?:[\w-]+\.)*(?:example\.\w+|(?:[\w-]+\.)?(?:example|test|invalid|localhost|local)"
    r"|(?:e?mail|domain|company|site|website|yourdomain)\.com)$"
)


@dataclass(frozen=True)
class PersonalDataGate:
    """Refuses rows with personal data, unless it is only to be reported."""

    is_report: bool = False
    name: str = NAME

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Nothing while personal data is only reported."""
        return {} if self.is_report else findings(batch)


def gate(thresholds: PersonalDataThresholds) -> PersonalDataGate:
    """The gate with its line drawn.

    Args:
        thresholds: Whether findings are refused.
    """
    return PersonalDataGate(_is_report(thresholds))


def _is_report(thresholds: PersonalDataThresholds) -> bool:
    return thresholds.personal_data == "report"


def findings(batch: Batch[Example]) -> dict[int, Refusal]:
    """Which rows hold what, whatever the threshold says.

    Args:
        batch: The rows; their context, question, choices and answer are searched.

    Returns:
        Position → verdict whose scores count the findings by kind: `e-mail address`, `key`,
        `phone number`, `account number`, `card number`. What was found itself is not given out.
    """
    import polars as pl  # late: thresholds are read without any row

    verdicts = {}
    written = pl.concat_str(
        "context", "question", "answer", pl.col("choices").list.join("\n"), separator="\n"
    )
    texts = batch.frame.select(text=written)["text"]
    for place in texts.str.contains(_WORTH_A_LOOK).arg_true():
        # The answer stands among the choices again; the same finding counts once.
        hits = {
            (kind, hit[kind])
            for hit in _FOUND.finditer(texts[place])
            if (kind := hit.lastgroup) and _counts(kind, hit[kind])
        }
        if hits:
            kinds = Counter(_KINDS[kind] for kind, _ in hits)
            detail = ", ".join(sorted(kinds))
            verdicts[place] = Refusal(NAME, "personal data", detail, dict(kinds))
    return verdicts


def _counts(kind: str, text: str) -> bool:
    if kind == "email":
        return not _MADE_UP.search(text.lower())
    if kind == "phone":
        return _is_phone_number(text)
    if kind == "iban":
        return _is_iban(text)
    if kind == "card":
        return _is_card_number(text)
    return True


def _is_phone_number(text: str) -> bool:
    """Whether its country gives out such numbers; without a country it is North American."""
    from phonenumbers import NumberParseException, is_valid_number, parse

    try:
        number = parse(text, "US")
    except NumberParseException:
        return False
    # In North America 555 is given to nobody, neither as an area code nor as an exchange.
    is_fiction = number.country_code == 1 and re.match(r"555|\d{3}555", f"{number.national_number}")
    return not is_fiction and is_valid_number(number)


def _is_iban(text: str) -> bool:
    """ISO 13616: the check digits hold, and the length and shape are the country's."""
    from stdnum import iban

    # Without what single countries check besides: Belgium's bank codes would have to be known.
    return bool(iban.is_valid(text, check_country=False))


def _is_card_number(text: str) -> bool:
    """ISO/IEC 7812-1, annex B; cards have 13 to 19 digits, not all of them the same."""
    from stdnum import luhn

    digits = re.sub(r"\D", "", text)
    return 13 <= len(digits) <= 19 and len(set(digits)) > 3 and bool(luhn.is_valid(digits))


GATE = GateSpec(
    name=NAME,
    rank=40,
    cost=Cost.TEXT,
    points=frozenset({Point.DRAFT, Point.ROW}),
    thresholds=PersonalDataThresholds,
    build=gate,
    checked_in=(Stage.NORMALIZED, Stage.GENERATED, Stage.FILTERED),
    description="no e-mail addresses, phone numbers, account numbers or keys",
    reporting=Reporting(
        finds=PersonalDataGate(),
        is_report=_is_report,
        says="hold personal data",
        advice="set the threshold `personal_data: refuse` to refuse them",
    ),
)
