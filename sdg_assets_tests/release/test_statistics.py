from __future__ import annotations

import random

import pytest

from sdg_assets.records import CuratedExample, Equivalence, Rejection, Verdict
from sdg_assets.release.diversity import measure
from sdg_assets.release.statistics import SAMPLE, Statistics
from sdg_assets_tests.support.records import STAMP, enriched, judgement


def row(question: str = "Which river is it?", **changes: object) -> CuratedExample:
    texts = {"answer_only": "x" * 100, "with_context": "x" * 1000}
    verified = enriched(question=question, **changes)
    return CuratedExample(
        **dict(verified),
        license="MIT",
        written_by=[],
        commercial_use="yes",
        not_commercial=[],
        text=texts,
    )


def counted(*rows: CuratedExample | Rejection) -> Statistics:
    statistics = Statistics()
    for item in rows:
        statistics.see(item)
    statistics.finish()
    return statistics


def test_a_seed_that_is_used_several_times_counts_once() -> None:
    rows = [row(seed_ids=[seed, "neighbour"]) for seed in ("a", "b", "a")]

    assert counted(*rows).tasks["quiz"].anchors == 2


def test_seeds_of_two_subtasks_are_two() -> None:
    rows = [row(subtask=name, seed_ids=["a"]) for name in ("one", "two")]

    assert counted(*rows).tasks["quiz"].anchors == 2


def test_agreement_scores_and_lengths_are_counted_in_steps() -> None:
    statistics = counted(row(vote_share=0.6, judge=judgement(0.75)), row(vote_share=1.0))

    assert statistics.vote_shares == {6: 1, 10: 1}
    assert statistics.judge_scores == {7: 1}
    assert statistics.lengths["answer_only"] == {7: 2}, "64 to 127 characters"
    assert statistics.lengths["with_context"] == {10: 2}


def test_corrected_and_refused_rows_are_counted_apart() -> None:
    statistics = counted(
        row(written_answer="Rome"), Rejection(gate="duplicates", reason="x", row={})
    )

    assert (statistics.rows, statistics.corrected) == (1, 1)
    assert statistics.rejected == {"duplicates: x": 1}


def test_rows_are_counted_by_topic_except_those_that_have_none() -> None:
    rows = [row(topic=topic) for topic in ("home/tools/saws", "home/tools/saws", "")]

    assert counted(*rows).topics == {"home/tools/saws": 2}


def test_the_sample_is_the_same_in_any_order() -> None:
    rows = [row(f"Which river is number {n}, and why?") for n in range(3 * SAMPLE)]
    shuffled = random.Random(0).sample(rows, len(rows))

    assert counted(*rows).tasks["quiz"].diversity == counted(*shuffled).tasks["quiz"].diversity


def test_similar_questions_are_less_diverse() -> None:
    alike = measure([f"What is the capital of state {n}?" for n in range(20)])
    unlike = measure(["Why do birds sing?", "Where does rain go?", "Who wrote Faust?"])

    assert alike.self_similarity > 0.5 > unlike.self_similarity
    assert (alike.near, unlike.near) == (1.0, 0.0)
    assert alike.distinct_2 < 0.5 < unlike.distinct_2


def test_a_copy_is_its_own_nearest_neighbour() -> None:
    assert measure(["Why do birds sing?"] * 2).self_similarity == pytest.approx(1.0)


def test_a_single_question_has_no_neighbour() -> None:
    assert measure(["Why?"]).self_similarity == 0.0
    assert measure([]).near == 0.0


def test_rows_that_their_own_writer_judged_are_counted_apart() -> None:
    verifier = STAMP.model_copy(update={"model": "org/verifier"})
    verdicts = [Verdict(answer="a", verdict="correct"), Verdict(answer="b", verdict="invalid")]
    equivalence = Equivalence(verdicts=verdicts, verifier=verifier, prompt_version="p@0")

    statistics = counted(row(judge=judgement()), row(equivalence=equivalence), row())

    assert (statistics.judged, statistics.judged_by_writer) == (2, 1)
    assert statistics.verdicts == {"correct": 1, "invalid": 1}
    assert statistics.teachers["judge", "org/verifier", STAMP.revision] == 1
