"""The versions of every prompt that a role is asked with, as the modules that ask declare them.

Nothing lists a prompt a second time: the writer's come from `generated`, the others from the votes,
the comparison of prose and the enrichments, built in or installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from sdg_assets.enrichment.asking import declared_prompts
from sdg_assets.enrichment.knobs import JudgeApi
from sdg_assets.records import AnswerKind, Role
from sdg_assets.stages import generated
from sdg_assets.teacher import prompts
from sdg_assets.teacher.prompts import Prompt


def log_versions(role: Role, kind: AnswerKind, judge_api: JudgeApi) -> list[str]:
    """The prompt versions that a role's completion log is named after.

    Prompts that a module carries as text are left out. With them in the name, installing an
    enrichment or editing its prompt would start a log of its own, and every vote and background
    would be asked for again. Requests with another prompt have other ids, so one log holds both.

    Args:
        role: Whose log it is.
        kind: Of the subtask's rows.
        judge_api: How the judge is asked.
    """
    return [p.version for p in _prompts(role, kind, judge_api) if p.source is None]


def role_versions(role: Role) -> list[str]:
    """The versions of all prompts that a role may be asked with: part of its teacher's version.

    A change makes stale what was made with the role. Templates that others extend are among them.
    """
    declared = {
        prompt
        for kind in AnswerKind
        for api in get_args(JudgeApi)
        for prompt in _prompts(role, kind, api)
    }
    files = sorted(set[str]().union(*(prompt.files for prompt in declared)))
    carried = sorted(prompt.version for prompt in declared if prompt.source is not None)
    return [*map(prompts.version, files), *carried]


def _prompts(role: Role, kind: AnswerKind, judge_api: JudgeApi) -> Iterator[Prompt]:
    if role is Role.WRITER:
        yield generated.prompt(kind)
    for asked, prompt in declared_prompts(kind, judge_api):
        if asked is role:
            yield prompt
