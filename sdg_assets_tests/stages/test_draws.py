from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import islice

import pytest

from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.catalog.topic_tree import Topic, topic_tree
from sdg_assets.records import content_id
from sdg_assets.stages.draws import VARIATIONS, draw_of
from sdg_assets_tests.support.builders import seed_task

SEEDS = [content_id(f"seed {i}") for i in range(500)]


def spec_on(*parts: str) -> SubtaskSpec:
    return seed_task(topics=list(parts)).resolve("quiz")


def topic_of(spec: SubtaskSpec, seed: str, number: int) -> Topic:
    topic = draw_of(spec, seed, number).topic
    assert topic is not None
    return topic


def test_no_topic_comes_twice_within_a_seed_before_all_came_once() -> None:
    spec, count = spec_on("food"), len(topic_tree().topics(["food"]))

    for seed in SEEDS[:20]:
        assert len({topic_of(spec, seed, number) for number in range(count)}) == count


@pytest.mark.parametrize("count", [8, 9, 10, 11])
def test_topic_and_variation_meet_anew_after_all_topics_came_once(count: int) -> None:
    fields = topic_tree().fields
    spec = spec_on(
        next(
            f"{root}/{f}" for root in fields for f, own in fields[root].items() if len(own) == count
        )
    )

    draws = [draw_of(spec, SEEDS[0], number) for number in range(4 * count)]

    assert len({(draw.topic, draw.variation) for draw in draws}) == 4 * count


def test_a_few_requests_of_a_seed_have_topics_of_different_roots() -> None:
    for seed in SEEDS[:100]:
        roots = {topic_of(spec_on("all"), seed, number).root for number in range(10)}
        assert len(roots) >= 9, roots


def test_topics_are_spread_evenly_over_a_partition() -> None:
    spec, topics = spec_on("all"), topic_tree().topics(["all"])
    drawn = [topic_of(spec, seed, number) for seed in SEEDS for number in range(20)]

    by_root = Counter(topic.root for topic in drawn)
    by_topic = Counter(drawn)

    for root, leaves in Counter(topic.root for topic in topics).items():
        assert by_root[root] / len(drawn) == pytest.approx(leaves / len(topics), rel=0.1), root
    # 10,000 draws from 2,436 topics: four each on average.
    assert len(by_topic) / len(topics) > 0.97
    assert max(by_topic.values()) <= 14


def test_variations_and_angles_are_used_equally_often() -> None:
    for spec in (spec_on("all"), seed_task(topics=False).resolve("quiz")):
        draws = [draw_of(spec, seed, number) for seed in SEEDS for number in range(4)]
        used = Counter(draw.variation for draw in draws)

        assert set(used) <= VARIATIONS.keys()
        assert max(used.values()) < 1.2 * min(used.values())


def test_a_knowledge_task_gets_sources_and_a_reasoning_task_persons_and_places() -> None:
    kinds = topic_tree().kinds
    knowledge = seed_task(topics="all").resolve("quiz")
    reasoning = seed_task(topics="all", family="reasoning").resolve("quiz")

    def angles(spec: SubtaskSpec) -> set[str]:
        return {draw_of(spec, SEEDS[0], number).angle for number in range(200)}

    assert angles(knowledge) == {*kinds["sources"]}
    assert angles(reasoning) == {*kinds["persons"], *kinds["places"]}


def test_two_subtasks_go_through_the_topics_in_different_orders() -> None:
    one, two = spec_on("food"), spec_on("food").model_copy(update={"key": "other"})

    assert [topic_of(one, SEEDS[0], n) for n in range(9)] != [
        topic_of(two, SEEDS[0], n) for n in range(9)
    ]


def test_another_process_draws_the_same() -> None:
    program = (
        "from sdg_assets_tests.stages.test_draws import SEEDS, draw_of, spec_on\n"
        "print([draw_of(spec_on('food'), s, n) for s in SEEDS[:5] for n in range(3)])"
    )
    here = [draw_of(spec_on("food"), seed, n) for seed in SEEDS[:5] for n in range(3)]

    elsewhere = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert elsewhere.stdout.strip() == str(here)


def test_a_request_has_a_variation_of_the_content_only_where_no_topic_is_drawn() -> None:
    free = {draw_of(spec_on("all"), seed, 0).variation for seed in SEEDS}
    bound = {draw_of(seed_task(topics=False).resolve("quiz"), seed, 0).variation for seed in SEEDS}

    assert free == {"new_topic", "easier", "harder", "new_form"}
    assert bound == set(VARIATIONS)


def test_tasks_bound_to_texts_or_labels_draw_no_topics_and_others_do() -> None:
    catalog = load_catalog()
    parts = {
        key: task.resolve(key).topic_parts
        for task in catalog.enabled()
        for key in islice(task.enabled_subtasks(), 3)
    }

    for bound in ("mnli", "sst2", "ag_news", "cola", "paws_de", "squadv2", "qasper_bool", "wic"):
        assert not parts.get(bound), bound
    for free in ("gsm8k", "arc_easy", "commonsense_qa", "triviaqa", "copa", "social_iqa", "mbpp"):
        assert parts[free], free
    assert parts["hendrycks_math_algebra"] == ["mathematics/algebra"]


def test_later_requests_can_ask_for_harder_items_and_earlier_ones_stay() -> None:
    spec = spec_on("all")
    before = [draw_of(spec, SEEDS[0], number) for number in range(6)]
    after = [draw_of(spec, SEEDS[0], number, "harder", 4) for number in range(6)]

    assert after[:4] == before[:4]
    assert {(d.variation, d.instruction) for d in after[4:]} == {("harder", VARIATIONS["harder"])}
    assert [d.topic for d in after] == [d.topic for d in before]
