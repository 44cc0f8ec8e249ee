from __future__ import annotations

import pytest

from sdg_assets.gates import Batch, first_refusals, personal_data
from sdg_assets.gates.personal_data import PersonalDataThresholds
from sdg_assets_tests.support.records import example

# Assembled here, so that secret scanners do not report this file.
AWS_KEY = "AKIA" + "Q4MZ7T2LXW9NBV3C"
API_KEY = "sk-" + "proj-" + "a1B2c3D4e5F6g7H8i9J0k1L2"


def kinds(text: str) -> dict[str, float]:
    findings = personal_data.findings(Batch([example(context=text)]))
    return dict(findings[0].scores) if findings else {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to jane.doe+news@mail.uni-ulm.de soon.", "e-mail address"),
        ("Call (212) 736-5000 now.", "phone number"),
        ("Call 1-800-458-8477 now.", "phone number"),
        ("Call +49 30 90182 0214 now.", "phone number"),
        ("Call +39 06 6982 now.", "phone number"),  # eight digits: the Vatican's switchboard
        ("Pay to DE89 3704 0044 0532 0130 00 today.", "account number"),
        ("Pay to NO93 8601 1117 947 today.", "account number"),
        ("Pay to BE68 5390 0754 7034 today.", "account number"),
        ("Pay with 4556 7375 8689 9855 today.", "card number"),
        ("Pay with 4556 7375 8689 9855.", "card number"),
        (f"export AWS={AWS_KEY}", "key"),
        (f"api_key = '{API_KEY}'", "key"),
        ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", "key"),
    ],
)
def test_personal_data_is_found(text: str, kind: str) -> None:
    assert kinds(text) == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "Write to ann@example.com, bob@mail.example.org or carl@school.test.",
        "Call 555-0134, (212) 555-0100 or 1-555-123-4567.",
        "Pay to DE89 3704 0044 0532 0130 01 or with 4556 7375 8689 9856.",
        "3.14159265358979 is near 22/7; 1,234,567,890 people; 2024-03-15 12:30.",
        "What is 1000000000 + 2000000000? 12345678901234567890",
        "In the room 0000 0000 0000 0000 was shown; the score was 101-99-102-104.",
        "Call (987) 654-3210, 999-999-9999 or +999 123 456 7890: nobody has these numbers.",
        "Multiples: +10 20 30 40 50, +25 36 49 64 81.",
        "The part ZZ59 1234 5678 9012 3456 has check digits, and no country.",
        "Row 52a5915efa4369169760217eb7761d06 is a hash.",
        "Use @dataclass, task-force and sk-learn.",
        "In 1939-1945 and 1914-1918 the numbers 212-736 and 5000 occurred.",
    ],
)
def test_made_up_numbers_of_exercises_are_not(text: str) -> None:
    assert kinds(text) == {}


def test_it_is_reported_and_refused_only_when_the_threshold_says_so() -> None:
    rows = [example(), example(question="Whose is jane.doe@uni-ulm.de?")]

    assert first_refusals(rows, [personal_data.gate(PersonalDataThresholds())]) == {}
    refused = first_refusals(
        rows, [personal_data.gate(PersonalDataThresholds(personal_data="refuse"))]
    )
    assert set(refused) == {1}
    assert refused[1].detail == "e-mail address"  # never the address itself
    assert refused[1].scores == {"e-mail address": 1}
