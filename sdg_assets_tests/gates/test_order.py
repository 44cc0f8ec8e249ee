from __future__ import annotations

from sdg_assets import gates
from sdg_assets_tests.records import enriched


def test_the_cheapest_gate_comes_first() -> None:
    assert gates.ORDER == ("schema", "format", "duplicates", "verification", "licence")
    assert len(gates.partition_gates()) == len(gates.ORDER)


def test_every_partition_starts_with_an_empty_memory() -> None:
    row = enriched()

    for _ in range(2):
        assert all(gate(row) is None for gate in gates.partition_gates())


def test_a_refused_row_is_kept_whole() -> None:
    row = enriched()
    rejection = gates.Refusal("format", "repetition", "question").rejection(row)

    assert rejection.row == row.model_dump(mode="json")
    assert (rejection.gate, rejection.reason, rejection.detail) == (
        "format", "repetition", "question",
    )  # fmt: skip
