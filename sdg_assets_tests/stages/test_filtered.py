from __future__ import annotations

from collections import Counter

from sdg_assets.gates import row_gates
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.records import EnrichedExample, Example, Rejection
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.records import enriched, numeric, source


def filtered(
    rows: list[EnrichedExample], seeds: list[Example] | None = None
) -> list[EnrichedExample | Rejection]:
    return list(filter_rows(lambda: rows, row_gates(Thresholds()), [Duplicates(seeds or [])]))


def test_good_rows_pass_in_their_order() -> None:
    rows = [enriched(question=f"Which city is number {n}?") for n in range(5)]

    assert filtered(rows) == rows


def test_the_first_gate_that_refuses_a_row_is_the_one_that_counts() -> None:
    bad_in_every_way = enriched(
        question="As an AI I ask.", outcome="unsolvable", source=source(license="")
    )

    (refused,) = filtered([bad_in_every_way])

    assert isinstance(refused, Rejection)
    assert refused.gate == "format"
    assert refused.row["id"] == bad_in_every_way.id


def test_the_funnel_adds_up() -> None:
    rows = [
        enriched(),
        enriched(),
        enriched(question="Where is the Louvre?", outcome="no_majority"),
        enriched(question="Where is the Prado?", source=source(license="")),
        enriched(question="Where is it?", choices=["A", "B"]),
    ]

    out = filtered(rows)

    assert len(out) == len(rows)
    gates = Counter(row.gate for row in out if isinstance(row, Rejection))
    assert gates == {"duplicates": 1, "verification": 1, "licence": 1, "format": 1}


def test_no_row_is_lost_to_a_twin_that_another_gate_refuses() -> None:
    agreed, disputed = enriched(), enriched(outcome="no_majority", vote_share=1.0)

    out = filtered([disputed, agreed, disputed])

    assert [row.gate if isinstance(row, Rejection) else None for row in out] == [
        "verification", None, "verification",
    ]  # fmt: skip


def test_a_copy_of_a_seed_is_refused() -> None:
    seed = numeric()
    copied = enriched(
        answer_kind=seed.answer_kind, question=seed.question.upper(), answer=seed.answer
    )

    (refused,) = filtered([copied], [seed])

    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.detail) == ("duplicates", f"seed {seed.id}")
