from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.catalog import load_catalog
from sdg_assets.catalog.topic_tree import DIRECTORY, topic_tree
from sdg_assets.errors import CatalogError
from sdg_assets_tests.support.builders import seed_task, write_catalog

Change = Callable[[str, str, str], Path]


@pytest.fixture
def changed(tmp_path: Path) -> Change:
    """A copy of the tree in which a file's text is replaced."""

    def change(file: str, old: str, new: str) -> Path:
        copy = tmp_path / "topics"
        shutil.copytree(DIRECTORY, copy)
        text = (copy / file).read_text("utf-8")
        assert old in text
        (copy / file).write_text(text.replace(old, new, 1), "utf-8")
        return copy

    return change


def test_the_tree_has_two_thousand_topics_over_all_domains() -> None:
    tree = topic_tree()
    topics = tree.topics(["all"])

    assert len(topics) >= 2000
    assert len({topic.leaf.casefold() for topic in topics}) == len(topics)
    assert len(tree.fields) >= 25
    assert all(len(phrases) >= 30 for phrases in tree.kinds.values())


def test_every_file_of_the_tree_states_its_licence() -> None:
    for file in DIRECTORY.rglob("*.yaml"):
        if file.name != "domains.yaml":
            first = file.read_text("utf-8").splitlines()[0]
            assert first.startswith("# Written for this project, under the project's licence")


def test_parts_are_roots_fields_or_all_and_overlap_without_harm() -> None:
    tree = topic_tree()
    tools = tree.topics(["home/tools"])

    assert {topic.path.rsplit("/", 1)[0] for topic in tools} == {"home/tools"}
    assert tree.topics(["home", "home/tools"]) == tree.topics(["home"])
    with pytest.raises(CatalogError, match=r"no part 'hoem'; .*home"):
        tree.topics(["hoem"])


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("tree/food.yaml", "boiling", "Frying", "written twice: frying"),
        ("tree/food.yaml", "boiling", "a b c d e f g", "cooking methods.0"),
        ("tree/food.yaml", "boiling", '"a, b"', "cooking methods.0"),
        ("kinds.yaml", "persons:", "people:", "people"),
        ("kinds.yaml", "a retired teacher", "a ferry captain", "written twice: a ferry captain"),
        ("domains.yaml", "[medicine]", "[medecine]", "domains.yaml: medicine: the topic tree has"),
    ],
)
def test_a_fault_in_the_files_is_named(
    changed: Change, file: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        topic_tree(changed(file, old, new))


def test_another_tree_has_another_version(changed: Change) -> None:
    assert topic_tree(changed("tree/food.yaml", "boiling", "broiling")).version != (
        topic_tree().version
    )


@pytest.mark.parametrize("fields", [{}, {"subtasks": {"quiz": {"topics": ["hoem"]}}}])
def test_a_task_that_names_an_unknown_part_does_not_load(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    task = {"topics": ["food"]} if fields else {"topics": ["hoem"]}
    root = write_catalog(tmp_path, {**task, **fields})

    with pytest.raises(CatalogError, match=r"quiz\.yaml: .*topics: the topic tree has no part"):
        load_catalog(root)


@pytest.mark.parametrize(
    ("fields", "has_topics"),
    [
        ({"domain": "science"}, True),
        ({"domain": "multilingual science"}, True),
        ({"domain": "trivia"}, False),
        ({"domain": "science", "topics": False}, False),
        ({"domain": "science", "answer_kind": "label"}, False),
        ({"domain": "trivia", "answer_kind": "label", "topics": "all"}, True),
        ({"domain": "science", "record": None}, False),
        (
            {
                "domain": "science",
                "record": {"context": "{{text}}", "question": "{{q}}", "answer": "{{a}}"},
            },
            False,
        ),
    ],
)
def test_topics_follow_the_domain_unless_the_form_is_bound_or_the_catalog_says_otherwise(
    fields: dict[str, Any], has_topics: bool
) -> None:
    assert bool(seed_task(**fields).resolve("quiz").topic_parts) is has_topics


def test_a_subtask_overrides_the_topics_of_its_task() -> None:
    task = seed_task(
        topics=["food"],
        subtasks={"one": {}, "two": {"topics": False}, "three": {"topics": ["home"]}},
    )

    assert [task.resolve(key).topic_parts for key in ("one", "two", "three")] == [
        ["food"],
        [],
        ["home"],
    ]
