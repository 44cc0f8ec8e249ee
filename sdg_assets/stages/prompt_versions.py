"""The versions of all prompts of a role, collected from the modules that use the prompts.

No list has to be kept: the writer's prompts come from `generated`, the others from the votes, the
comparison of prose and the enrichments, both built-in and installed ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from sdg_assets.catalog.topic_tree import topic_tree
from sdg_assets.enrichment.asking import declared_prompts
from sdg_assets.records import AnswerKind, JudgeApi, Role, TeacherClass
from sdg_assets.stages import generated
from sdg_assets.teacher import prompts
from sdg_assets.teacher.prompts import Prompt


def log_versions(
    role: Role, kind: AnswerKind, judge_api: JudgeApi, teacher_class: TeacherClass
) -> list[str]:
    """The prompt versions that are part of the name of a role's completion log.

    Prompts that a module has as text are not part of it. Otherwise, installing an enrichment or
    editing its prompt would start a new log, and every vote and background would be requested
    again. Requests with different prompts have different ids, so one log can hold both.

    Args:
        role: The role whose log it is.
        kind: The answer kind of the subtask's rows.
        judge_api: How the judge is asked.
        teacher_class: The class of the role's teacher.
    """
    declared = _prompts(role, kind, judge_api, teacher_class)
    return [prompt.version for prompt in declared if prompt.source is None]


def role_versions(role: Role, teacher_class: TeacherClass) -> list[str]:
    """The versions of all prompts of a role, over all answer kinds. Part of its teacher's version.

    A change makes all partitions stale that were made with the role. Templates that other templates
    extend are included; the wording for other classes of teachers is not. The writer's list ends
    with the version of the topic tree.

    Args:
        role: The role.
        teacher_class: The class of its teacher.
    """
    declared = {
        prompt
        for kind in AnswerKind
        for api in get_args(JudgeApi)
        for prompt in _prompts(role, kind, api, teacher_class)
    }
    files = sorted(set[str]().union(*(prompt.files for prompt in declared)))
    texts = sorted(prompt.version for prompt in declared if prompt.source is not None)
    # Other topics are other prompts, although the template is the same.
    topics = [f"topics@{topic_tree().version}"] if role is Role.WRITER else []
    return [*map(prompts.version, files), *texts, *topics]


def _prompts(
    role: Role, kind: AnswerKind, judge_api: JudgeApi, teacher_class: TeacherClass
) -> Iterator[Prompt]:
    if role is Role.WRITER:
        yield generated.prompt(kind, teacher_class)
    for prompt_role, prompt in declared_prompts(kind, judge_api, teacher_class):
        if prompt_role is role:
            yield prompt
