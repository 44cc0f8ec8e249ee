"""What each request asks the writer to do differently: a topic, a variation and an angle.

Asked for twenty items after one seed, a small writer returns to a few favourite topics. So the
topic is drawn here, and not chosen by the writer. A draw depends only on the subtask, the seed's
id, the number of the request and the topic tree. More seeds, more requests a seed or more processes
change no earlier draw, and logged completions are reused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby
from typing import TypeVar

from more_itertools import interleave_evenly

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.catalog.topic_tree import Topic, topic_tree

T = TypeVar("T")

# What the new example must change.
VARIATIONS = {
    "new_topic": "Choose a topic that none of the examples touches.",
    "new_entities": "Keep the kind of situation of example 1, with new people, things and numbers.",
    "harder": "Make it need one more step of thought than example 1.",
    "easier": "Make it a little simpler than example 1.",
    "new_form": "Word it in another way than the examples: another opening, another order.",
    "new_domain": "Use the same skill as example 1 in quite another field of life.",
}
HARDER = "harder"
# A drawn topic replaces the variations that name the content. `new_topic` then says nothing more.
_OF_A_TOPIC = {
    "new_topic": "",
    **{name: VARIATIONS[name] for name in ("easier", "harder", "new_form")},
}
# Conditions, because a question of pure mathematics has neither person nor place.
_ANGLES = {
    "persons": "If a person is needed, take {}.",
    "places": "If a place is needed, take {}.",
    "sources": "It could stand in {}.",
}
# Reasoning tasks mostly tell scenes, knowledge tasks ask for facts.
_KINDS = {"reasoning": ("persons", "places"), "knowledge": ("sources",)}


@dataclass(frozen=True)
class Draw:
    """What one request asks for.

    Attributes:
        variation: A key of `VARIATIONS`.
        instruction: The variation in words.
        topic: The topic; None: the task's form leaves no choice of topic.
        angle: A kind of person, place or source; empty without a topic.
        angle_instruction: The angle in words.
    """

    variation: str
    instruction: str
    topic: Topic | None = None
    angle: str = ""
    angle_instruction: str = ""


def draw_of(
    spec: SubtaskSpec, seed_id: str, number: int, variation: str = "", varied_from: int = 0
) -> Draw:
    """The draw for one request.

    A seed walks through the subtask's topics from a place that its id selects. So no topic comes
    twice before all came once, and any few requests in a row have topics of different roots.
    Variations and angles are walked in the same way.

    Args:
        spec: The subtask.
        seed_id: Id of the seed that the new example imitates.
        number: Number of the seed's request, from 0.
        variation: A key of `VARIATIONS` that takes the place of the drawn one; empty: none does.
        varied_from: Number of the first request that it does so for.
    """
    draw = _drawn(spec, seed_id, number)
    if not variation or number < varied_from:
        return draw
    return replace(draw, variation=variation, instruction=VARIATIONS[variation])


def _drawn(spec: SubtaskSpec, seed_id: str, number: int) -> Draw:
    # Ids of examples are hashes in hexadecimal.
    variation_start = int(seed_id[:8], 16)
    parts = tuple(spec.topic_parts)
    if not parts:
        name = _at(sorted(VARIATIONS), variation_start + number)
        return Draw(name, VARIATIONS[name])
    topics = _shuffled_topics(spec.key, parts)
    angles = _shuffled_angles(spec.key, _KINDS[spec.family])
    start = _number(f"{spec.key}:{seed_id}")
    # Each walk begins one variation later, so that topic and variation meet anew.
    walk, step = divmod(number, len(topics))
    name = _at(sorted(_OF_A_TOPIC), variation_start + walk + step)
    kind, angle = _at(angles, start + number)
    return Draw(
        name,
        _OF_A_TOPIC[name],
        _at(topics, start + number),
        angle,
        _ANGLES[kind].format(angle),
    )


@lru_cache(maxsize=64)
def _shuffled_topics(key: str, parts: tuple[str, ...]) -> list[Topic]:
    """The topics of the parts in an order of the subtask's own, with roots and fields spread."""
    by_root = []
    for _, topics in groupby(topic_tree().topics(parts), key=lambda topic: topic.root):
        by_field = groupby(topics, key=lambda topic: topic.field)
        by_root.append(_spread([_shuffled(leaves, key) for _, leaves in by_field]))
    return _spread(by_root)


@lru_cache(maxsize=64)
def _shuffled_angles(key: str, kinds: tuple[str, ...]) -> list[tuple[str, str]]:
    """(kind, phrase) of these kinds, in an order of the subtask's own."""
    by_kind = []
    for kind in kinds:
        phrases = sorted(topic_tree().kinds[kind], key=lambda text: _number(f"{key}:{text}"))
        by_kind.append([(kind, text) for text in phrases])
    return _spread(by_kind)


def _shuffled(topics: Iterable[Topic], key: str) -> list[Topic]:
    return sorted(topics, key=lambda topic: _number(f"{key}:{topic.path}"))


def _spread(lists: list[list[T]]) -> list[T]:
    """All items; those of each list keep their order and are evenly far from each other."""
    return list(interleave_evenly(list[Iterable[T]](lists), [len(items) for items in lists]))


def _at(items: Sequence[T], place: int) -> T:
    return items[place % len(items)]


def _number(text: str) -> int:
    """A number that looks random, equal in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
