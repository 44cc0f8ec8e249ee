from __future__ import annotations

import pytest

from sdg_assets.examples import (
    CommercialUse,
    CuratedExample,
    EnrichedExample,
    Rejection,
    TeacherStamp,
)
from sdg_assets.stages.curated import curate
from sdg_assets_tests.records import STAMP, enriched, source

YES: dict[str, CommercialUse] = {"quiz": "yes"}
TEACHERS: dict[str, CommercialUse] = {STAMP.model: "yes"}


def one(row: EnrichedExample) -> CuratedExample:
    (curated,) = curate([row], YES, TEACHERS)
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

    (curated,) = curate([row], seed_use, teacher_use)

    assert isinstance(curated, CuratedExample)
    assert curated.commercial_use == expected


def test_two_partitions_that_wrote_the_same_give_one_row() -> None:
    rows = [enriched(subtask="arc_easy"), enriched(subtask="arc_challenge")]

    kept, refused = curate(rows, YES, TEACHERS)

    assert isinstance(kept, CuratedExample)
    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.detail) == ("duplicates", rows[0].id)
