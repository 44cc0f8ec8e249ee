from __future__ import annotations

import itertools

import pytest

from sdg_assets.gates.base import ROWS_PER_BATCH, EachRow
from sdg_assets.gates.licence import Terms
from sdg_assets.records import (
    CommercialUse,
    CuratedExample,
    EnrichedExample,
    Refusal,
    Rejection,
    TeacherStamp,
)
from sdg_assets.stages.curated import curate
from sdg_assets.stages.gate_refusals import GateRefusals
from sdg_assets.stages.relicensed import CurrentLicences, Relicensed
from sdg_assets.store import row_file
from sdg_assets_tests.support.memory import bytes_a_row
from sdg_assets_tests.support.records import STAMP, enriched, judgement, source

YES: dict[str, CommercialUse] = {"quiz": "yes"}
TEACHERS = {STAMP.model: Terms("yes", "yes")}


def none(_partition: str) -> dict[int, Refusal]:
    return {}


def one(row: EnrichedExample) -> CuratedExample:
    (curated,) = curate([("quiz", [row])], none, none, YES, TEACHERS)
    assert isinstance(curated, CuratedExample)
    return curated


def test_a_row_carries_its_licence_and_its_whole_provenance() -> None:
    row = enriched(source=source(license="CC-BY-SA-4.0"))

    curated = one(row)

    assert curated.license == "CC-BY-SA-4.0"
    assert dict(row).items() <= dict(curated).items()


USES: tuple[CommercialUse, ...] = ("yes", "no", "unclear")
SEEDS = (*USES, None)
"""Commercial use by a seed task's licence; None: the task is no longer in the catalog."""
MODELS = (*itertools.product(USES, USES), None)
"""(Commercial use, training on outputs) by a teacher's licence; None: it has no card."""


def stamp_of(terms: tuple[CommercialUse, CommercialUse] | None) -> TeacherStamp:
    name = "-".join(terms) if terms else "stranger"
    return TeacherStamp(model=f"org/{name}", revision="1", license="MIT")


def test_commercial_use_needs_the_seed_and_every_teacher_that_wrote_into_the_row() -> None:
    combinations = [
        *itertools.product(SEEDS, MODELS, MODELS, MODELS, ["comments", "score only", "no judge"])
    ]
    judged = {
        comments: judgement(1.0).model_copy(update={"reasons": reasons})
        for comments, reasons in (("comments", ["Sound."]), ("score only", []))
    }
    rows = [
        enriched(
            subtask=f"seeds-{seeds}",
            teacher=stamp_of(writer),
            solver=stamp_of(solver),
            judge=judged[judged_with].model_copy(update={"judge": stamp_of(judge)})
            if judged_with in judged
            else None,
        )
        for seeds, writer, solver, judge, judged_with in combinations
    ]
    seed_use = {f"seeds-{use}": use for use in USES}
    cards = {stamp_of(uses).model: Terms(*uses) for uses in MODELS if uses}

    out = list(curate([("quiz", rows)], none, none, seed_use, cards))

    assert len(out) == len(combinations) == 4 * 10 * 10 * 10 * 3
    for row, (seeds, writer, solver, judge, judged_with) in zip(out, combinations, strict=True):
        assert isinstance(row, CuratedExample)
        wrote = [writer, solver, *([judge] if judged_with == "comments" else [])]
        uses = [seeds or "unclear", *(use for terms in wrote for use in terms or ("unclear",) * 2)]
        expected = "no" if "no" in uses else "unclear" if "unclear" in uses else "yes"
        assert row.commercial_use == expected, (seeds, wrote)
        assert len(row.not_commercial) == sum(use != "yes" for use in uses)
        assert [c.model for c in row.written_by] == [stamp_of(terms).model for terms in wrote]


def test_a_row_says_who_wrote_into_it_and_why_it_is_not_commercial() -> None:
    gemma = TeacherStamp(model="google/gemma-3-27b-it", revision="7", license="LicenseRef-Gemma")
    terms = {STAMP.model: Terms("yes", "yes"), gemma.model: Terms("yes", "unclear")}
    row = enriched(teacher=gemma, judge=judgement(1.0))

    (curated,) = curate([("quiz", [row])], none, none, YES, terms)

    assert isinstance(curated, CuratedExample)
    assert [(c.role, c.model, c.outputs_may_train) for c in curated.written_by] == [
        ("writer", gemma.model, "unclear"),
        ("solver", STAMP.model, "yes"),
        ("judge", STAMP.model, "yes"),
    ]
    assert curated.not_commercial == [
        "writer google/gemma-3-27b-it (LicenseRef-Gemma): training on outputs: unclear"
    ]


def relicensed(
    row: EnrichedExample,
    *,
    seeds: str = "MIT",
    model: str = STAMP.license,
    share_alike: bool = True,
) -> tuple[CuratedExample, CurrentLicences]:
    licences = CurrentLicences({"quiz": seeds}, {STAMP.model: model})
    (curated,) = curate(
        [("quiz", [row])], none, none, YES, TEACHERS,
        share_alike=share_alike, licences=licences,
    )  # fmt: skip
    assert isinstance(curated, CuratedExample)
    return curated, licences


def test_a_seed_licence_that_was_corrected_to_share_alike_leaves_the_commercial_subset() -> None:
    row = enriched(source=source(license="MIT"))

    curated, licences = relicensed(row, seeds="CC-BY-SA-4.0", share_alike=False)

    assert (curated.license, curated.source.license) == ("CC-BY-SA-4.0", "CC-BY-SA-4.0")
    assert curated.commercial_use == "no"
    assert curated.not_commercial == [
        "seeds of quiz (CC-BY-SA-4.0): commercial use without sharing alike: no"
    ]
    correction = Relicensed("dataset", row.source.dataset, "MIT", "CC-BY-SA-4.0")
    assert licences.rows == {correction: 1}


@pytest.mark.parametrize(
    ("earlier", "share_alike", "reason"),
    [
        ("CC-BY-NC-4.0", True, "dataset org/quiz, made under CC-BY-NC-4.0: commercial use: no"),
        (
            "CC-BY-SA-4.0",
            False,
            "dataset org/quiz, made under CC-BY-SA-4.0: commercial use without sharing alike: no",
        ),
        ("CC-BY-SA-4.0", True, ""),
        ("LicenseRef-nobody-has-read", True, ""),
    ],
)
def test_what_an_earlier_seed_licence_forbids_stays_forbidden(
    earlier: str, share_alike: bool, reason: str
) -> None:
    row = enriched(source=source(dataset="org/quiz", license=earlier))

    curated, _ = relicensed(row, share_alike=share_alike)

    assert curated.license == "MIT"
    assert (curated.commercial_use, curated.not_commercial) == (
        ("no", [reason]) if reason else ("yes", [])
    )


def test_every_stamp_of_a_model_gets_the_licence_that_its_card_states_now() -> None:
    row = enriched(source=source(license="MIT"), judge=judgement(1.0), probe=STAMP, pass_rate=0.5)

    curated, licences = relicensed(row, model="LicenseRef-Llama-3.3")

    assert curated.judge
    assert curated.probe
    stamps = [curated.teacher, curated.solver, curated.judge.judge, curated.probe]
    assert {stamp.license for stamp in stamps} == {"LicenseRef-Llama-3.3"}
    assert {part.license for part in curated.written_by} == {"LicenseRef-Llama-3.3"}
    correction = Relicensed("teacher", STAMP.model, STAMP.license, "LicenseRef-Llama-3.3")
    assert licences.rows == {correction: 1}, "once a row"


@pytest.mark.parametrize(("reasons", "use"), [(["Dull."], "no"), ([], "yes")])
def test_an_earlier_licence_of_a_teacher_counts_if_it_wrote_text_of_the_row(
    reasons: list[str], use: CommercialUse
) -> None:
    research = TeacherStamp(model="org/j", revision="1", license="LicenseRef-Mistral-Research-0.1")
    judged = judgement(1.0).model_copy(update={"reasons": reasons, "judge": research})
    licences = CurrentLicences({}, {research.model: "Apache-2.0"})
    terms = {**TEACHERS, research.model: Terms("yes", "yes")}

    (curated,) = curate(
        [("quiz", [enriched(judge=judged)])], none, none, YES, terms, licences=licences
    )

    assert isinstance(curated, CuratedExample)
    assert curated.commercial_use == use


def test_a_row_that_another_partition_holds_is_refused_at_its_place() -> None:
    rows = [enriched(question=f"Which river is number {n}?") for n in range(3)]
    copy = Refusal("duplicates", "near duplicate", "the other", {"similarity": 0.9})

    partitions = [("one", rows[:1]), ("two", rows[1:])]
    copies = {"one": {}, "two": {1: copy}}
    kept, also_kept, refused = curate(partitions, copies.__getitem__, none, YES, TEACHERS)

    assert isinstance(kept, CuratedExample)
    assert isinstance(also_kept, CuratedExample)
    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.detail) == ("duplicates", "the other")
    assert refused.row["id"] == rows[2].id
    assert refused.scores == {"similarity": 0.9}


def test_places_count_over_the_batches_of_a_partition() -> None:
    rows = [enriched(question=f"Which river is number {n}?") for n in range(ROWS_PER_BATCH + 2)]
    gate = EachRow("late", lambda row: Refusal("late", row.id) if row in odd else None)
    odd = [rows[0], rows[1], rows[-1]]
    kept = [enriched(question=f"Which lake is number {n}?") for n in range(3)]

    refused = GateRefusals([("one", rows), ("two", kept), ("three", rows[:2])], lambda _: [gate])

    places = {name: list(each) for name, each in refused.places.items()}
    assert places == {"one": [0, 1, ROWS_PER_BATCH + 1], "two": [], "three": [0, 1]}
    for name, of in (("one", rows), ("three", rows)):
        for place, refusal in refused.of(name).items():
            assert refusal == Refusal("late", of[place].id)
    assert dict(refused.of("two")) == {}


def test_a_refusal_by_a_gate_keeps_its_reason_detail_and_scores() -> None:
    row, refusal = enriched(), Refusal("late", "known", "quiz/quiz", {"overlap": 0.75})

    refused = GateRefusals([("quiz", [row])], lambda _: [EachRow("late", lambda _: refusal)])
    (out,) = curate([("quiz", [row])], none, refused.of, YES, TEACHERS)

    assert isinstance(out, Rejection)
    assert (out.gate, out.reason, out.detail, out.scores) == (
        "late", "known", "quiz/quiz", {"overlap": 0.75},
    )  # fmt: skip


def test_refused_rows_are_rejections_at_their_places() -> None:
    rows = [enriched(question=f"Which river is number {n}?") for n in range(3)]
    copies = {"quiz": {0: Refusal("duplicates", "x")}}
    refused = {"quiz": {2: Refusal("late", "known")}}

    out = list(curate([("quiz", rows)], copies.__getitem__, refused.__getitem__, YES, TEACHERS))

    assert [row.gate if isinstance(row, Rejection) else None for row in out] == [
        "duplicates", None, "late",
    ]  # fmt: skip


def test_memory_does_not_hold_the_reasons_of_refused_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file, "CACHED_ROWS", 100)
    row = enriched()
    gate = EachRow("late", lambda _: Refusal("late", "known", "quiz/quiz", {"overlap": 1.0}))

    def refused(rows: int) -> None:
        GateRefusals([("quiz", itertools.repeat(row, rows))], lambda _: [gate])

    assert bytes_a_row(refused, 2 * ROWS_PER_BATCH) < 30
