from __future__ import annotations

import pytest

from sdg_assets.examples import (
    CommercialUse,
    CuratedExample,
    EnrichedExample,
    Rejection,
    TeacherStamp,
)
from sdg_assets.gates import Gate, Refusal
from sdg_assets.gates.base import ROWS_PER_BATCH, EachRow
from sdg_assets.stages.curated import curate
from sdg_assets_tests.records import STAMP, enriched, source

YES: dict[str, CommercialUse] = {"quiz": "yes"}
TEACHERS: dict[str, CommercialUse] = {STAMP.model: "yes"}


def none(_partition: str) -> dict[int, Refusal]:
    return {}


def no_gates(_partition: str) -> list[Gate]:
    return []


def one(row: EnrichedExample) -> CuratedExample:
    (curated,) = curate([("quiz", [row])], none, no_gates, YES, TEACHERS)
    assert isinstance(curated, CuratedExample)
    return curated


def test_a_row_carries_its_licence_and_its_whole_provenance() -> None:
    row = enriched(source=source(license="CC-BY-SA-4.0"))

    curated = one(row)

    assert curated.license == "CC-BY-SA-4.0"
    assert dict(row).items() <= dict(curated).items()


@pytest.mark.parametrize(
    ("seeds", "writer", "solver", "expected"),
    [
        ("yes", "yes", "yes", "yes"),
        ("no", "yes", "yes", "no"),
        ("yes", "no", "yes", "no"),
        ("yes", "yes", "no", "no"),
        ("yes", "unclear", "yes", "unclear"),
        (None, "yes", "yes", "unclear"),
        ("yes", "yes", None, "unclear"),
    ],
)
def test_commercial_use_is_the_strictest_of_seed_writer_and_solver(
    seeds: CommercialUse | None,
    writer: CommercialUse | None,
    solver: CommercialUse | None,
    expected: str,
) -> None:
    row = enriched(
        teacher=TeacherStamp(model="org/writer", revision="1", license="MIT"),
        solver=TeacherStamp(model="org/solver", revision="1", license="MIT"),
    )
    seed_use = {"quiz": seeds} if seeds else {}
    teacher_use = {
        model: use for model, use in (("org/writer", writer), ("org/solver", solver)) if use
    }

    (curated,) = curate([("quiz", [row])], none, no_gates, seed_use, teacher_use)

    assert isinstance(curated, CuratedExample)
    assert curated.commercial_use == expected


def test_a_row_that_another_partition_holds_is_refused_at_its_place() -> None:
    rows = [enriched(question=f"Which river is number {n}?") for n in range(3)]
    copy = Refusal("duplicates", "near duplicate", "the other", {"similarity": 0.9})

    partitions = [("one", rows[:1]), ("two", rows[1:])]
    copies = {"one": {}, "two": {1: copy}}
    kept, also_kept, refused = curate(partitions, copies.__getitem__, no_gates, YES, TEACHERS)

    assert isinstance(kept, CuratedExample)
    assert isinstance(also_kept, CuratedExample)
    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.detail) == ("duplicates", "the other")
    assert refused.row["id"] == rows[2].id
    assert refused.scores == {"similarity": 0.9}


def test_places_count_over_the_batches_of_a_partition() -> None:
    rows = [enriched(question=f"Which river is number {n}?") for n in range(ROWS_PER_BATCH + 2)]
    last = ROWS_PER_BATCH + 1
    copies = {"quiz": {0: Refusal("duplicates", "x"), last: Refusal("duplicates", "x")}}

    out = list(curate([("quiz", rows)], copies.__getitem__, no_gates, YES, TEACHERS))

    assert [place for place, row in enumerate(out) if isinstance(row, Rejection)] == [0, last]


def test_gates_are_applied_again_to_what_is_left() -> None:
    rows = [enriched(question=f"Which river is number {n}?") for n in range(3)]
    gate = EachRow("late", lambda row: None if "1" in row.question else Refusal("late", "known"))

    copies = {"quiz": {0: Refusal("d", "x")}}
    out = list(curate([("quiz", rows)], copies.__getitem__, lambda _: [gate], YES, TEACHERS))

    assert [row.gate if isinstance(row, Rejection) else None for row in out] == ["d", None, "late"]
