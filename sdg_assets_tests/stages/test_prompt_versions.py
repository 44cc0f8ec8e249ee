from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.records import AnswerKind, Role
from sdg_assets.stages.prompt_versions import log_versions, role_versions
from sdg_assets.teacher import prompts


def names(versions: list[str]) -> list[str]:
    return [version.split("@")[0] for version in versions]


@pytest.mark.parametrize("kind", AnswerKind)
def test_a_log_is_named_after_the_prompts_that_its_role_is_asked_with(kind: AnswerKind) -> None:
    name = kind.value

    assert names(log_versions(Role.WRITER, kind, "rubric")) == [f"write/{name}"]
    assert names(log_versions(Role.SOLVER, kind, "rubric")) == [
        f"solve/{name}",
        f"knowledge/{name}",
        *(["condense"] if kind.policy.keeps_trace else []),
    ]
    assert names(log_versions(Role.JUDGE, kind, "rubric")) == ["judge/rubric", "judge/comparison"]
    assert names(log_versions(Role.JUDGE, kind, "reward")) == ["judge/reward"]
    assert names(log_versions(Role.JUDGE, kind, "score")) == ["judge/reward"]


def test_every_template_belongs_to_the_role_that_is_asked_with_it() -> None:
    folder = Path(prompts.__file__).parent
    templates = {str(f.relative_to(folder).with_suffix("")) for f in folder.rglob("*.jinja")}
    # The general templates are for kinds of other packages, of which none is installed here.
    templates = {name for name in templates if not name.endswith("/_general")}
    declared = {role: names(role_versions(role)) for role in Role}

    assert sorted(name for versions in declared.values() for name in versions) == sorted(templates)
    assert {name.split("/")[0] for name in declared[Role.SOLVER]} == {
        "solve",
        "knowledge",
        "condense",
    }
