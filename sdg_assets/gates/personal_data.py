"""Gate: e-mail addresses, phone numbers, account numbers and keys are reported, or refused.

Exercises are full of invented ones: addresses at example.com and numbers with 555 do not count, and
numbers with a checksum count only if it is right. Google's libphonenumber decides whether a phone
number can exist, python-stdnum does so for account numbers. Of 70 numbers of public offices all
over the world they accept 66, of 28 invented ones 2 (our own rules accepted 65 and 23). The
patterns below are ours and only propose candidates. libphonenumber's own text search found 72 more
"numbers" in 336,000 rows of public datasets: one hotline, the rest sums and names of rows.
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
        default="report",
        description="what happens to rows with e-mail addresses, phone numbers or keys",
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
_CANDIDATE = re.compile("|".join(_PATTERNS.values()))
_KINDS = dict(zip(("email", "key", "phone", "iban", "card"), _PATTERNS, strict=True))
# A quick filter. A text with personal data must have an @, the beginning of a key, or ten digits in
# a row (eight after a plus) with at most two other characters between them.
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
    """Refuses rows with personal data, unless it is only reported."""

    is_report: bool = False
    name: str = NAME

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Empty if personal data is only reported."""
        return {} if self.is_report else findings(batch)


def gate(thresholds: PersonalDataThresholds) -> PersonalDataGate:
    """Builds the gate.

    Args:
        thresholds: Whether findings are refused.
    """
    return PersonalDataGate(_is_report(thresholds))


def _is_report(thresholds: PersonalDataThresholds) -> bool:
    return thresholds.personal_data == "report"


def findings(batch: Batch[Example]) -> dict[int, Refusal]:
    """Searches rows for personal data, whatever the threshold says.

    Args:
        batch: The rows; their context, question, choices and answer are searched.

    Returns:
        Position → refusal whose scores count the findings by kind: `e-mail address`, `key`,
        `phone number`, `account number`, `card number`. It never contains the data itself.
    """
    import polars as pl  # late: the thresholds are also read without polars

    verdicts = {}
    written = pl.concat_str(
        "context", "question", "answer", pl.col("choices").list.join("\n"), separator="\n"
    )
    texts = batch.frame.select(text=written)["text"]
    for place in texts.str.contains(_WORTH_A_LOOK).arg_true():
        # The answer is repeated among the choices; equal findings count once.
        hits = {
            (kind, hit[kind])
            for hit in _CANDIDATE.finditer(texts[place])
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
    """Whether the number is valid in its country; without a country code, in North America."""
    from phonenumbers import NumberParseException, is_valid_number, parse

    try:
        number = parse(text, "US")
    except NumberParseException:
        return False
    # North America assigns 555 to nobody, neither as an area code nor as an exchange.
    is_fiction = number.country_code == 1 and re.match(r"555|\d{3}555", f"{number.national_number}")
    return not is_fiction and is_valid_number(number)


def _is_iban(text: str) -> bool:
    """ISO 13616: the check digits are right, and length and form fit the country."""
    from stdnum import iban

    # No additional checks of single countries: Belgium's would need a list of bank codes.
    return bool(iban.is_valid(text, check_country=False))


def _is_card_number(text: str) -> bool:
    """ISO/IEC 7812-1, annex B: 13 to 19 digits, not all of them the same, with a valid checksum."""
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
