from __future__ import annotations

import pytest

from sdg_assets.gates import verification
from sdg_assets.records import Vote
from sdg_assets_tests.support.records import enriched


def test_only_agreement_passes() -> None:
    assert verification.refusal_of(enriched()) is None


@pytest.mark.parametrize("outcome", ["majority_disagrees", "no_majority", "unsolvable"])
def test_every_other_outcome_is_refused_under_its_own_name(outcome: str) -> None:
    refusal = verification.refusal_of(enriched(outcome=outcome))

    assert refusal
    assert (refusal.gate, refusal.reason) == ("verification", outcome.replace("_", " "))


def test_a_refusal_shows_the_votes() -> None:
    votes = [Vote(answer="Rome", count=2), Vote(answer="Paris", count=1)]
    disputed = verification.refusal_of(enriched(outcome="majority_disagrees", votes=votes))
    silent = verification.refusal_of(enriched(outcome="unsolvable", votes=[]))

    assert disputed
    assert disputed.detail == "answer 'Paris'; votes: 'Rome' x2, 'Paris' x1"
    assert silent
    assert silent.detail.endswith("votes: none")
