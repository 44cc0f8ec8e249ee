from __future__ import annotations

import pytest

from sdg_assets.gates import licence
from sdg_assets.gates.licence import Terms, combined_use, commercial_use, strictest_terms
from sdg_assets.records import CommercialUse
from sdg_assets_tests.support.records import enriched, example, source


def test_a_row_whose_seed_states_no_licence_is_refused() -> None:
    assert licence.refusal_of(example()) is None
    refusal = licence.refusal_of(example(source=source(license=" ")))
    assert refusal
    assert refusal.reason == "no licence stated"


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        (["yes", "yes", "yes"], "yes"),
        (["yes", "unclear", "yes"], "unclear"),
        (["yes", "unclear", "no"], "no"),
        (["no", "yes"], "no"),
    ],
)
def test_the_strictest_use_counts(uses: list[CommercialUse], expected: str) -> None:
    assert combined_use(uses) == expected


def test_the_strictest_of_two_cards_of_one_model_counts() -> None:
    cards = [("org/a", Terms("yes", "yes")), ("org/a", Terms("yes", "no")), ("org/b", Terms())]

    assert strictest_terms(cards) == {"org/a": Terms("yes", "no"), "org/b": Terms()}


@pytest.mark.parametrize(
    ("name", "stated", "expected"),
    [
        ("CC-BY-NC-4.0", "yes", "no"),
        ("cc-by-nc-4.0", "unclear", "no"),
        ("CC-BY-ND-4.0", "yes", "no"),
        ("MIT", "yes", "yes"),
        ("MIT", "unclear", "unclear"),
        ("my-licence", "yes", "yes"),
    ],
)
def test_a_seed_licence_that_forbids_commercial_use_outweighs_what_the_catalog_states(
    name: str, stated: CommercialUse, expected: CommercialUse
) -> None:
    row = enriched(source=source(license=name))

    use, reasons = commercial_use(row, stated, [])

    assert use == expected
    assert reasons == (
        [] if use == "yes" else [f"seeds of {row.task} ({name}): commercial use: {use}"]
    )
