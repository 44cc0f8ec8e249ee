"""Option letters in a trace are replaced by the options that they stand for."""

from __future__ import annotations

import pytest

from sdg_assets.answers.labels import spelled_out

SHOWN = ["iron", "copper", "lead"]


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ("Copper conducts. Answer: copper", "Copper conducts. Answer: copper"),
        ("Copper conducts.\nAnswer: B", "Copper conducts.\nAnswer: copper"),
        ("The answer is (B).", "The answer is copper."),
        ("**Answer: B**", "**Answer: copper**"),
        ("Option A rusts.\nAnswer: B", '"iron" rusts.\nAnswer: copper'),
        ("(B) copper conducts.\nAnswer: copper", "copper conducts.\nAnswer: copper"),
        ("B. Copper\nAnswer: B. copper", "copper\nAnswer: copper"),
        ("The second option conducts.", '"copper" conducts.'),
        ("Choice (C) is soft, option 1 rusts.", '"lead" is soft, "iron" rusts.'),
        ("The answer is a good conductor: copper", "The answer is a good conductor: copper"),
        ("Vitamin C and plan B do not matter.", "Vitamin C and plan B do not matter."),
    ],
)
def test_a_label_becomes_its_option(trace: str, expected: str) -> None:
    assert spelled_out(trace, SHOWN) == expected


@pytest.mark.parametrize(
    "trace",
    [
        "Carbon (C) is no metal.\nAnswer: copper",
        "Options A and C are wrong.\nAnswer: copper",
        "Option D is wrong.\nAnswer: copper",
        "A) rusts.\nB) conducts.\nAnswer: copper",
        "(B) conducts, (A) rusts.",
        "The fourth option is wrong.",
    ],
)
def test_a_trace_with_an_ambiguous_label_is_refused(trace: str) -> None:
    assert spelled_out(trace, SHOWN) is None


def test_an_option_with_a_backslash_is_inserted_unchanged() -> None:
    assert spelled_out("Answer: A", [r"\frac{1}{2}", "1"]) == r"Answer: \frac{1}{2}"


def test_an_option_after_z_has_a_number_and_no_letter() -> None:
    many = [f"metal {number}" for number in range(1, 78)]

    assert spelled_out("Option 30 rusts, choice (77) too.", many) == (
        '"metal 30" rusts, "metal 77" too.'
    )
    assert spelled_out("Option [ is no option.", many) == "Option [ is no option."


def test_the_steps_of_a_trace_keep_their_numbers() -> None:
    trace = "1. Mercury is the closest to the Sun.\n2. Venus comes next.\nAnswer: Mercury"

    assert spelled_out(trace, ["Mercury", "Venus"]) == trace
    assert spelled_out("Option 1. Mercury it is.", ["Mercury", "Venus"]) == "Mercury it is."
    assert spelled_out("(1) Mercury it is.", ["Mercury", "Venus"]) == "Mercury it is."
