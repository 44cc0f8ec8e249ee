from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from sdg_assets.catalog.topic_tree import topic_tree
from sdg_assets.records import AnswerKind, Role, TeacherClass
from sdg_assets.stages.prompt_versions import log_versions, role_versions
from sdg_assets.teacher import prompts


def names(versions: list[str]) -> list[str]:
    return [version.split("@")[0] for version in versions]


@pytest.mark.parametrize("kind", AnswerKind)
def test_a_log_is_named_after_the_prompts_that_its_role_is_asked_with(kind: AnswerKind) -> None:
    name = kind.value

    assert names(log_versions(Role.WRITER, kind, "rubric", "small")) == [f"write/{name}"]
    assert names(log_versions(Role.SOLVER, kind, "rubric", "small")) == [
        f"{'solve_json' if kind.selects else 'solve'}/{name}",
        f"knowledge/{name}",
        *(["condense"] if kind.policy.keeps_trace else []),
    ]
    assert names(log_versions(Role.JUDGE, kind, "rubric", "small")) == [
        "judge/rubric",
        "judge/comparison",
    ]
    assert names(log_versions(Role.JUDGE, kind, "reward", "small")) == ["judge/reward"]
    assert names(log_versions(Role.JUDGE, kind, "score", "small")) == ["judge/reward"]


def test_every_template_belongs_to_the_role_that_is_asked_with_it() -> None:
    folder = Path(prompts.__file__).parent
    templates = {str(f.relative_to(folder).with_suffix("")) for f in folder.rglob("*.jinja")}
    # The general templates are for kinds of other packages, of which none is installed here.
    templates = {name for name in templates if not name.endswith("/_general")}
    declared = {
        role: {
            name.split("@")[0]
            for teacher_class in get_args(TeacherClass)
            for name in role_versions(role, teacher_class)
            if not name.startswith("topics@")
        }
        for role in Role
    }

    probing = declared.pop(Role.PROBE)  # it answers as the solver does
    assert probing == {n for n in declared[Role.SOLVER] if n.startswith("solve")}
    assert sorted(name for own in declared.values() for name in own) == sorted(templates)
    assert {name.split("/")[0].split(".")[0] for name in declared[Role.SOLVER]} == {
        "solve",
        "solve_json",
        "knowledge",
        "condense",
    }


def test_the_writers_versions_name_the_topic_tree_and_a_log_does_not() -> None:
    tree = f"topics@{topic_tree().version}"

    assert tree in role_versions(Role.WRITER, "small")
    assert tree not in role_versions(Role.SOLVER, "small")
    assert tree not in log_versions(Role.WRITER, AnswerKind.NUMERIC, "rubric", "small")


def test_a_version_for_another_class_says_so_and_changes_only_with_its_own_words() -> None:
    small, strong = (
        log_versions(Role.SOLVER, AnswerKind.NUMERIC, "rubric", teacher_class)[0]
        for teacher_class in ("small", "strong")
    )
    files = {
        teacher_class: {name.split("@")[0] for name in role_versions(Role.SOLVER, teacher_class)}
        for teacher_class in ("small", "strong")
    }

    assert small.startswith("solve/numeric@")
    assert strong.startswith("solve/numeric.strong@")
    assert "solve/base.strong" not in files["small"]
    assert "solve/base" not in files["strong"]
