from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from sdg_assets.gates.duplicates import Duplicates, copies_among
from sdg_assets.records import AnswerKind, EnrichedExample, Example
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets_tests.benchmarks.planted_duplicates import (
    CLASSES,
    HARD_NEGATIVE,
    planted,
    real_questions,
)
from sdg_assets_tests.support.builders import needs_mirror
from sdg_assets_tests.support.records import enriched, example, judgement, numeric

TASKS = ("arc", "gsm8k", "boolq", "commonsense_qa", "mbpp", "multirc")
TRAIN = (
    "A train leaves the old station at 9 and travels 120 kilometres to the coast before it turns "
    "back. How far has it travelled when it is home again?"
)


def near(*rows: Example, seeds: Sequence[Example] = (), **thresholds: float) -> set[int]:
    """Positions of the rows that are refused as near duplicates."""
    duplicates = Duplicates(seeds, DuplicateThresholds(**thresholds))
    duplicates.add(rows)
    refusals = duplicates.refusals()
    assert {refusal.reason for refusal in refusals.values()} <= {"near duplicate"}
    return set(refusals)


def statement(question: str, context: str = "", answer: str = "yes") -> Example:
    """A yes-no question."""
    choices = ["yes", "no"]
    return example(
        answer_kind=AnswerKind.BOOLEAN,
        question=question,
        context=context,
        choices=choices,
        answer_index=choices.index(answer),
    )


def test_a_question_with_a_word_changed_is_a_near_duplicate_of_the_other() -> None:
    rows = [numeric(TRAIN), numeric(TRAIN.replace("old station", "main station"))]

    duplicates = Duplicates()
    duplicates.add(rows)
    ((place, refusal),) = duplicates.refusals().items()

    assert refusal.reason == "near duplicate"
    assert refusal.detail == rows[1 - place].id
    assert 0.5 <= refusal.scores["similarity"] < 1


def test_other_numbers_or_another_answer_make_another_question() -> None:
    assert not near(
        numeric(TRAIN),
        numeric(TRAIN.replace("120", "150")),
        numeric(TRAIN + " Really?", answer="43"),
    )


def test_questions_on_one_passage_are_not_copies_of_each_other() -> None:
    passage = "The library lies on the hill above the harbour and was built by the monks. " * 8

    assert not near(
        statement("Did the monks build the library?", passage),
        statement("Can the harbour be seen from there?", passage),
    )


def test_the_same_question_on_another_passage_is_another_question() -> None:
    assert not near(
        statement("Did she get home before dark?", "Ann walked along the river until noon."),
        statement("Did she get home before dark?", "The plane from Oslo was late, so Eva slept."),
    )


def test_the_same_stem_with_other_choices_is_another_question() -> None:
    stem = "Which of these animals is a mammal?"
    others = (["dog", "trout", "eagle", "ant"], ["dog", "shark", "crow", "bee"])

    assert not near(*(example(question=stem, choices=list(choices)) for choices in others))


def test_the_order_of_words_counts_if_the_answer_is_weak_evidence() -> None:
    def task(words: str) -> Example:
        answer = f"def f(x): return {words.split()[-1]}(x)"
        question = f"Write a function that converts {words}."
        return example(answer_kind=AnswerKind.CODE, question=question, answer=answer)

    seeds = [task(f"kind{chr(97 + n)} to form{chr(97 + n)}") for n in range(25)]
    assert not near(task("a list to a tuple"), task("a tuple to a list"), seeds=seeds)


@pytest.mark.parametrize(
    ("question", "other"),
    [
        (
            "次の文章を読んで、筆者が最も言いたいことは何かを一つ選びなさい。",
            "次の文章を読み、筆者が最も言いたいことは何かを一つ選びなさい。",
        ),
        ("เมืองหลวงของประเทศไทยคือเมืองอะไรและตั้งอยู่ที่ไหน", "เมืองหลวงของประเทศไทยคือเมืองใดและตั้งอยู่ที่ไหน"),
        (
            "ما هي عاصمة جمهورية مصر العربية وأكبر مدنها سكانا",
            "ما هى عاصمة جمهوريّة مصر العربية و أكبر مدنها",
        ),
    ],
    ids=["Japanese", "Thai", "Arabic"],
)
def test_a_near_copy_is_found_in_every_script(question: str, other: str) -> None:
    language = "ar" if "ما" in question else "ja"

    assert len(near(*(numeric(text, language=language) for text in (question, other)))) == 1


def test_japanese_questions_that_share_their_particles_are_no_copies() -> None:
    assert not near(
        numeric("日本で一番高い山は何ですか。"), numeric("昨日の夜ごはんは何でしたか。")
    )


def test_words_that_all_seeds_share_do_not_make_rows_alike() -> None:
    frame = "Does the character in this scene show the trait {}?"
    scene = "Martha waited at the gate until the last of the guests had found the way home."
    seeds = [statement(frame.format(f"trait{chr(97 + n)}"), f"Scene {n}.") for n in range(25)]
    rows = [statement(frame.format(trait), scene) for trait in ("patient", "cruel")]

    assert not near(*rows, seeds=seeds)


def test_a_near_copy_of_a_seed_is_refused_with_its_twin() -> None:
    seed = numeric(TRAIN)
    copied = TRAIN.replace("turns back", "returns")
    rows = [numeric(copied), numeric(copied.upper())]

    duplicates = Duplicates([seed])
    duplicates.add(rows)

    assert {r.detail for r in duplicates.refusals().values()} == {f"seed {seed.id}"}


def test_of_near_copies_the_better_judged_stays() -> None:
    worse, better = (
        enriched(question=text, judge=judgement(score))
        for text, score in ((TRAIN, 0.4), (TRAIN.replace("coast", "sea"), 0.9))
    )

    assert near(worse, better) == {0}
    assert near(better, worse) == {1}


def test_another_threshold_changes_the_verdict() -> None:
    rows = [numeric(TRAIN), numeric(TRAIN.replace("coast", "sea"))]

    assert len(near(*rows)) == 1
    assert not near(*rows, near_duplicate_similarity=0.99)


def test_the_rows_that_stay_contain_no_copies() -> None:
    words = [
        "amber",
        "birch",
        "coral",
        "delta",
        "ember",
        "fjord",
        "grove",
        "heath",
        "inlet",
        "jetty",
    ]
    rng = random.Random(3)
    rows = [
        enriched(
            question=" ".join(rng.choices(words, k=6)) + "?", vote_share=rng.choice([0.6, 1.0])
        )
        for _ in range(400)
    ]
    duplicates = Duplicates()
    duplicates.add(rows)

    assert len(duplicates.refusals()) > 100
    assert copies_among(duplicates.signatures(), DuplicateThresholds()) == {}


@needs_mirror
def test_which_rows_go_depends_on_nothing_but_the_rows() -> None:
    data = planted(real_questions(*TASKS), 400, 300, 50)
    outcomes = []
    for shuffle in range(3):
        rows = list(data.rows)
        random.Random(shuffle).shuffle(rows)
        duplicates = Duplicates()
        for start in range(0, len(rows), 7 + 90 * shuffle):
            duplicates.add(rows[start : start + 7 + 90 * shuffle])
        outcomes.append({(rows[p].id, r.detail) for p, r in duplicates.refusals().items()})

    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(outcomes[0]) > 200


@needs_mirror
def test_planted_copies_are_found_and_hard_negatives_and_real_rows_are_not() -> None:
    data = planted(real_questions(*TASKS), 1500, 500, 150)
    duplicates = Duplicates()
    duplicates.add(data.rows)

    gone = [data.made[place] for place in duplicates.refusals()]

    assert sum(kind not in ("", HARD_NEGATIVE) for kind in gone) >= 0.75 * data.count(*CLASSES)
    assert gone.count(HARD_NEGATIVE) <= 1
    assert gone.count("") <= 0.02 * 1500


def test_a_record_class_without_votes_ranks_below_a_verified_row() -> None:
    plain, solved = (
        numeric(TRAIN),
        enriched(answer_kind=AnswerKind.NUMERIC, question=TRAIN + " Now?", choices=[], answer="42"),
    )
    assert isinstance(solved, EnrichedExample)

    assert near(plain, solved) == {0}
