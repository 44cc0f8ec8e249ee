"""Numbers in many notations."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from sdg_assets.answers.numbers import quantities, quantity

WHOLE = st.integers(min_value=0, max_value=10**12)
SIGNED = st.integers(min_value=-(10**12), max_value=10**12)
DECIMALS = st.decimals(
    min_value=0, max_value=10**6, places=2, allow_nan=False, allow_infinity=False
)
UNITS = st.sampled_from(["", " apples", " km", " kilograms", " dollars", " hours", " cm^2"])


def value_of(text: str, language: str = "en") -> Fraction | None:
    number = quantity(text, language)
    return number.value if number else None


@given(SIGNED, UNITS)
def test_a_whole_number_is_read_as_it_is_written(number: int, unit: str) -> None:
    assert value_of(f"{number}{unit}") == number


@given(WHOLE)
def test_thousands_separators_change_nothing(number: int) -> None:
    grouped = f"{number:,}"
    assert value_of(grouped) == number
    assert value_of(grouped.replace(",", " ")) == number
    assert value_of(grouped.replace(",", "_")) == number


@given(WHOLE)
def test_a_continental_number_is_read_by_its_language(number: int) -> None:
    assert value_of(f"{number:,}".replace(",", "."), "de") == number


@given(DECIMALS)
def test_a_decimal_is_exact(number: object) -> None:
    assert value_of(str(number)) == Fraction(str(number))


@given(DECIMALS)
def test_a_decimal_comma_is_read_by_its_language(number: object) -> None:
    assert value_of(str(number).replace(".", ","), "fr") == Fraction(str(number))


@given(st.integers(-999, 999), st.integers(1, 999))
def test_a_fraction_is_exact_in_text_and_in_latex(top: int, bottom: int) -> None:
    assert value_of(f"{top}/{bottom}") == Fraction(top, bottom)
    assert value_of(f"\\frac{{{abs(top)}}}{{{bottom}}}") == Fraction(abs(top), bottom)


@given(SIGNED, UNITS)
def test_a_dollar_sign_and_zeros_after_the_point_change_no_value(number: int, unit: str) -> None:
    assert value_of(f"{number}.00{unit}") == number
    assert value_of(f"${abs(number)}") == abs(number)


@given(st.text(max_size=80), st.sampled_from(["en", "de", "fr", "hi", "zh", "ar"]))
def test_any_text_is_a_number_or_none_and_never_an_error(text: str, language: str) -> None:
    quantity(text, language)
    list(quantities(text, language))


@given(st.lists(WHOLE, min_size=1, max_size=5))
def test_every_number_of_a_sentence_is_found(numbers: list[int]) -> None:
    sentence = "There were " + " boxes and then ".join(map(str, numbers)) + " boxes."
    assert [q and q.value for q in quantities(sentence)] == numbers
