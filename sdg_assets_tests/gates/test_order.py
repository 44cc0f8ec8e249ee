from __future__ import annotations

from sdg_assets import gates
from sdg_assets.gates import schema
from sdg_assets.gates.base import EachRow
from sdg_assets.records import Example
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.heldout import nothing_held_out
from sdg_assets_tests.support.records import CAPITALS, enriched, example


def test_the_cheapest_gate_comes_first_and_the_one_over_all_rows_last() -> None:
    names = [gate.name for gate in gates.row_gates(Thresholds(), nothing_held_out())]

    assert gates.order() == (
        "schema", "format", "language", "personal_data", "contamination", "verification",
        "difficulty", "judge", "paraphrases", "licence", "duplicates",
    )  # fmt: skip
    without_embedder = [name for name in gates.order() if name != "paraphrases"]
    assert [*names, "duplicates"] == without_embedder


def test_a_later_gate_never_sees_what_an_earlier_one_refused() -> None:
    seen: list[Example] = []

    def watch(row: Example) -> None:
        seen.append(row)

    rows = [enriched(), enriched(question=" "), enriched(question="Where is the Louvre?")]
    refused = gates.first_refusals(
        rows, [EachRow(schema.NAME, schema.refusal_of), EachRow("watch", watch)]
    )

    assert seen == [rows[0], rows[2]]
    assert {place: refusal.reason for place, refusal in refused.items()} == {1: "empty question"}


def test_verdicts_keep_their_positions_over_several_gates() -> None:
    rows = [enriched(question=f"Question number {n}?") for n in range(6)]

    def refuse(*numbers: int) -> EachRow:
        wanted = {rows[n].id for n in numbers}
        name = "-".join(map(str, numbers))
        return EachRow(name, lambda row: gates.Refusal(name, "") if row.id in wanted else None)

    refused = gates.first_refusals(rows, [refuse(0, 3), refuse(3, 5), refuse(1)])

    assert {place: r.gate for place, r in refused.items()} == {0: "0-3", 3: "0-3", 5: "3-5", 1: "1"}


def test_a_lone_surrogate_becomes_the_replacement_character_in_columns() -> None:
    frame = gates.Batch([example(context="half a \ud800 pair"), example()]).frame

    assert frame["context"].to_list() == ["half a \ufffd pair", ""]
    assert frame["choices"].to_list()[1] == CAPITALS


def test_a_refused_row_is_kept_whole() -> None:
    row = enriched()
    rejection = gates.Refusal("format", "repetition", "question").rejection(row)

    assert rejection.row == row.model_dump(mode="json")
    assert (rejection.gate, rejection.reason, rejection.detail) == (
        "format", "repetition", "question",
    )  # fmt: skip
