"""The taxonomy, and what tasks say of themselves in its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.catalog import cached_catalog, load_catalog
from sdg_assets.catalog.taxonomy import AXES, load_taxonomy
from sdg_assets.errors import CatalogError
from sdg_assets_tests.support.builders import TASK, write_catalog


def test_each_behaviour_and_skill_has_a_definition_of_one_sentence() -> None:
    taxonomy = load_taxonomy()

    for axis in AXES:
        for name, definition in taxonomy.names(axis).items():
            assert definition[0].isupper(), name
            assert definition.endswith("."), name
            assert ". " not in definition, name


def test_each_behaviour_and_skill_is_trained_by_a_task_of_the_catalog() -> None:
    subtasks = [
        task.resolve(key) for task in cached_catalog().tasks.values() for key in task.subtasks
    ]

    for axis in AXES:
        used = {name for spec in subtasks for name in getattr(spec, axis)}
        assert used == set(load_taxonomy().names(axis))


def test_a_subtask_has_its_tasks_behaviours_and_skills_or_its_own(tmp_path: Path) -> None:
    own = {"behaviours": ["reason_in_steps"], "skills": ["algebra", "geometry"]}
    catalog = load_catalog(write_catalog(tmp_path, {"subtasks": {"a": {}, "b": own}}))

    inherited, differing = (catalog.subtask("quiz", key) for key in ("a", "b"))
    assert (inherited.behaviours, inherited.skills) == (TASK["behaviours"], TASK["skills"])
    assert (differing.behaviours, differing.skills) == (own["behaviours"], own["skills"])


def test_every_unknown_or_repeated_name_is_a_line_with_the_nearest_name(tmp_path: Path) -> None:
    write_catalog(
        tmp_path,
        {"behaviours": ["aply_knowledge"], "subtasks": {"quiz": {"skills": ["aritmetic"]}}},
        {"task": "sums", "skills": ["logic", "logic"], "subtasks": {"sums": {}}},
    )

    with pytest.raises(CatalogError) as raised:
        load_catalog(tmp_path)

    quiz, sums = (tmp_path / "knowledge" / f"{name}.yaml" for name in ("quiz", "sums"))
    assert str(raised.value).splitlines()[1:] == [
        f"{quiz}: behaviours: 'aply_knowledge' is not in the taxonomy; did you mean "
        "apply_knowledge?",
        f"{quiz}: subtasks.quiz.skills: 'aritmetic' is not in the taxonomy; did you mean "
        "arithmetic?",
        f"{sums}: skills: 'logic' stands there twice",
    ]


def test_a_task_without_behaviours_or_skills_is_refused(tmp_path: Path) -> None:
    write_catalog(tmp_path, {"behaviours": [], "subtasks": {"quiz": {"skills": []}}})
    file = tmp_path / "knowledge" / "quiz.yaml"
    text = file.read_text("utf-8").replace("skills:\n- recall_general\n", "")
    file.write_text(text, "utf-8")

    with pytest.raises(CatalogError) as raised:
        load_catalog(tmp_path)

    message = str(raised.value)
    assert "behaviours: List should have at least 1 item" in message
    assert "skills: Field required" in message
    assert "subtasks.quiz.skills: List should have at least 1 item" in message


def test_a_catalog_may_have_a_taxonomy_of_its_own(tmp_path: Path) -> None:
    write_catalog(tmp_path, {"behaviours": ["rhyme"], "skills": ["verse"]})
    file = tmp_path / "taxonomy.yaml"
    file.write_text("behaviours: {rhyme: Ending alike.}\nskills: {verse: Metre.}\n", "utf-8")

    assert load_catalog(tmp_path).subtask("quiz", "quiz").skills == ["verse"]

    load_taxonomy.cache_clear()
    file.write_text("behaviours: {Rhyme: Ending alike.}\nskill: {}\n", "utf-8")
    with pytest.raises(CatalogError, match=rf"^{file}: .*skills: Field required"):
        load_catalog(tmp_path)
