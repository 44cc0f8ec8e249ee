from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import pytest

from sdg_assets.catalog import cached_catalog
from sdg_assets.checks.unread import SeedThresholds
from sdg_assets.errors import CatalogError
from sdg_assets.gates import seed_gates
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.splits import HeldoutRows
from sdg_assets.records import Example, Rejection, Seed
from sdg_assets.sources.source import DirectorySource
from sdg_assets.stages.normalized import normalize, without_refused
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.thresholds import Thresholds, overridden
from sdg_assets_tests.support.builders import MIRROR, needs_mirror, seed_task
from sdg_assets_tests.support.records import seed

SPEC = seed_task().resolve("quiz")


def quiz(row: int, question: str = "Which?", **columns: Any) -> Seed:
    return seed(row, question=question, **{"choices": ["red", "blue"], "label": 1, **columns})


def split(results: Iterable[Example | Rejection]) -> tuple[list[Example], list[Rejection]]:
    rows = list(results)
    accepted = [row for row in rows if isinstance(row, Example)]
    return accepted, [row for row in rows if isinstance(row, Rejection)]


def test_an_example_has_everything_of_its_subtask_and_its_row() -> None:
    (example,), rejected = split(normalize(SPEC, [quiz(7)]))

    assert not rejected
    assert Example.model_validate(example.model_dump()) == example
    assert (example.task, example.subtask, example.family) == ("quiz", "quiz", "knowledge")
    assert (example.question, example.answer, example.answer_index) == ("Which?", "blue", 1)
    assert example.choices == ["red", "blue"]
    assert example.source.row == 7


def test_ids_depend_on_content_alone() -> None:
    (first,), _ = split(normalize(SPEC, [quiz(0)]))
    (moved,), _ = split(normalize(SPEC, [quiz(9)]))
    (other,), _ = split(normalize(SPEC, [quiz(0, label=0)]))

    assert first.id == moved.id != other.id


def test_a_repeated_row_is_rejected() -> None:
    accepted, (again,) = split(normalize(SPEC, [quiz(0), quiz(1), quiz(2, "Why?")]))

    assert [example.source.row for example in accepted] == [0, 2]
    assert (again.gate, again.reason) == ("duplicates", "repeated seed")
    assert again.row["source"]["row"] == 1


def test_a_row_that_does_not_fit_is_rejected_whole() -> None:
    accepted, (rejected,) = split(normalize(SPEC, [quiz(0), quiz(1, label=5)]))

    assert len(accepted) == 1
    assert (rejected.gate, rejected.reason) == ("mapping", "mapping")
    assert rejected.detail == "record.answer_index: 5 is outside the 2 choices"
    assert rejected.row["row"]["label"] == 5


def test_a_mapping_that_fits_no_row_fails_and_quotes_three() -> None:
    with pytest.raises(CatalogError) as error:
        list(normalize(SPEC, [quiz(i, label=9) for i in range(5)]))

    text = str(error.value)
    assert "the mapping renders no example from 5 rows: row 0: " in text
    assert "row 2: " in text
    assert "row 3: " not in text


def test_of_a_parallel_task_each_position_is_seeded_in_one_language() -> None:
    keys = ("de", "en", "fr")
    task = seed_task(parallel=True, subtasks={key: {"language": key} for key in keys})
    seeds = [quiz(i, f"Which {i}?") for i in range(60)]

    by_language = {key: split(normalize(task.resolve(key), seeds)) for key in keys}

    rows = sorted(
        example.source.row for accepted, _ in by_language.values() for example in accepted
    )
    assert rows == list(range(60))
    rejection = by_language["de"][1][0]
    assert (rejection.gate, rejection.reason) == ("duplicates", "seeded in another language")
    assert rejection.detail in ("en", "fr")


def test_a_row_that_another_task_seeds_is_rejected() -> None:
    accepted, (rejected,) = split(
        normalize(
            SPEC, [quiz(0), quiz(1, "Why?")], lambda e: "arc" if e.question == "Why?" else None
        )
    )

    assert [example.source.row for example in accepted] == [0]
    assert (rejected.gate, rejected.reason) == ("duplicates", "seeded by arc")


def test_a_task_without_record_needs_a_leaf() -> None:
    bare = seed_task(record=None).resolve("quiz")

    with pytest.raises(CatalogError, match="neither `record:` nor an lm-eval leaf"):
        list(normalize(bare, []))


def test_a_task_without_record_renders_as_lm_eval_does() -> None:
    bare = seed_task(record=None, subtasks={"quiz": {"lm_eval": "openbookqa"}}).resolve("quiz")
    row = {
        "question_stem": "Frilly is not a color, but",
        "answerKey": "B",
        "choices": {"text": ["mud is", "blue is"], "label": ["A", "B"]},
    }

    (example,), _ = split(normalize(bare, [seed(0, **row)]))

    assert (example.question, example.answer) == ("Frilly is not a color, but", "blue is")


@needs_mirror
def test_rows_that_share_only_boilerplate_words_with_held_out_rows_stay() -> None:
    spec = cached_catalog().subtask("hendrycks_ethics", "ethics_utilitarianism")
    source = DirectorySource("mirror", MIRROR)
    heldout_rows = HeldoutRows()
    heldout_rows.add(spec, "test", source)
    gate = Contamination(
        HeldoutIndex({"own": heldout_rows.tables()}),
        overridden(spec.gates).of(ContaminationThresholds),
        own="own",
    )  # every question is "Which of these situations is the better one …?"

    def pair(row: Mapping[str, Any]) -> frozenset[str]:
        return frozenset(row[column].strip() for column in ("activity", "baseline"))

    held_out = {pair(row) for row in source.rows(spec, "test")}
    situations = frozenset[str]().union(*held_out)
    seeds = list(islice(collect_seeds(spec, source), 3000))
    repeats = {seed.source.row for seed in seeds if pair(seed.row) in held_out}
    # A held-out situation beside another one is half of a held-out question.
    halves = {seed.source.row for seed in seeds if pair(seed.row) & situations}

    accepted, rejected = split(without_refused(normalize(spec, seeds), [gate]))

    assert repeats
    assert not repeats & {example.source.row for example in accepted}
    refused = {row.row["source"]["row"] for row in rejected if row.gate == "contamination"}
    assert len(refused - halves) < 0.003 * len(seeds)


def test_broken_rows_are_rejected_with_their_reason_and_the_others_stay() -> None:
    # Like 95 of the 984 rows of Basque coreference, whose letters were lost at publication.
    seeds = [quiz(i, f"Which colour is number {i}?") for i in range(9)]
    broken = quiz(9, "Which colour is n\ufffdmber 9?")
    odd = quiz(10, "Which colour is it?", choices=["red", "red"])
    gates = seed_gates(Thresholds())

    rows = without_refused(normalize(SPEC, [*seeds, broken, odd]), gates)

    accepted, rejected = split(rows)
    assert [example.source.row for example in accepted] == list(range(9))
    assert {(row.gate, row.row["source"]["row"]) for row in rejected} == {
        ("format", 9),
        ("schema", 10),
    }


def test_a_changed_limit_needs_a_reason() -> None:
    with pytest.raises(ValueError, match=r"give the reason in gates_because\.broken_seeds"):
        seed_task(gates={"broken_seeds": 0.2})
    with pytest.raises(
        ValueError, match=r"give the reason in subtasks\.quiz\.gates_because\.mapping_fail"
    ):
        seed_task(subtasks={"quiz": {"gates": {"mapping_failures": 0.2}}})
    with pytest.raises(ValueError, match="gates_because: broken_seeds is not in gates"):
        seed_task(gates_because={"broken_seeds": "its letters are lost"})
    task = seed_task(
        gates={"answer_chars": 90},
        subtasks={
            "quiz": {
                "gates": {"broken_seeds": 0.2},
                "gates_because": {"broken_seeds": "its letters are lost"},
            }
        },
    )
    assert task.resolve("quiz").gates == {"answer_chars": 90, "broken_seeds": 0.2}


def test_basque_coreference_may_lose_the_rows_that_were_published_broken() -> None:
    task = cached_catalog().task("basqueglue")

    limit = overridden(task.resolve("epec_koref_bin").gates).of(SeedThresholds).broken_seeds

    assert 95 / 984 < limit < 0.15
    assert overridden(task.resolve("wiceu").gates).of(SeedThresholds).broken_seeds == 0.05
