"""How enrichments send requests: all for one row in one batch, and only with declared prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from sdg_assets.enrichment import comparison
from sdg_assets.enrichment.base import Enrichment, enrichments
from sdg_assets.enrichment.forms import vote_prompts
from sdg_assets.errors import PermanentError
from sdg_assets.records import AnswerKind, JudgeApi, Role, TeacherClass
from sdg_assets.teacher.conversation import Work, observed
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import Completion, Request

ResultT = TypeVar("ResultT")


def declared_prompts(
    kind: AnswerKind, judge_api: JudgeApi, solver_class: TeacherClass
) -> tuple[tuple[Role, Prompt], ...]:
    """Every prompt that `enriched` may use, with the role that answers it.

    Args:
        kind: The rows' answer kind.
        judge_api: The judge's API.
        solver_class: The class of the solver's teacher.
    """
    return _declared(kind, judge_api, solver_class, enrichments())


@lru_cache(maxsize=1 << 8)  # the same for all rows of a partition
def _declared(
    kind: AnswerKind,
    judge_api: JudgeApi,
    solver_class: TeacherClass,
    installed: Iterable[Enrichment],
) -> tuple[tuple[Role, Prompt], ...]:
    return tuple(_each_declared(kind, judge_api, solver_class, installed))


def _each_declared(
    kind: AnswerKind,
    judge_api: JudgeApi,
    solver_class: TeacherClass,
    installed: Iterable[Enrichment],
) -> Iterator[tuple[Role, Prompt]]:
    for prompt in vote_prompts(kind, solver_class):
        yield Role.SOLVER, prompt
    for enrichment in installed:
        for prompt in enrichment.prompts_for(kind, judge_api, solver_class):
            yield enrichment.role, prompt
    for prompt in comparison.prompts(judge_api):
        yield Role.JUDGE, prompt


def as_declared(
    work: Work[ResultT], name: str, declared: Iterable[tuple[Role, Prompt]]
) -> Work[ResultT]:
    """The same work, but it fails if it uses a prompt that is not declared.

    A partition becomes stale when a declared prompt changes. Rows made with an undeclared prompt
    would silently stay as they are.

    Args:
        work: The work that sends requests.
        name: Its name in the error.
        declared: The roles and prompts that it may use.

    Raises:
        PermanentError: It uses an undeclared prompt, or a declared one with another role.
    """
    allowed = _versions(tuple(declared))

    def check(requests: list[Request]) -> None:
        for request in requests:
            if (request.role, request.prompt_version) not in allowed:
                raise PermanentError(
                    f"{name} asks the {request.role} with prompt {request.prompt_version}, which "
                    "it does not declare: declare the prompt, so that a change of it makes rows "
                    "stale"
                )

    return observed(work, before=check)


@lru_cache(maxsize=1 << 8)
def _versions(declared: tuple[tuple[Role, Prompt], ...]) -> frozenset[tuple[Role, str]]:
    return frozenset((role, prompt.version) for role, prompt in declared)


def together(works: Mapping[str, Work[ResultT]]) -> Work[dict[str, ResultT]]:
    """Runs several pieces of work at the same time: their requests go out in one batch.

    Args:
        works: Name → work.

    Returns:
        Name → result, in the order of `works`.
    """
    results: dict[str, ResultT] = {}
    waiting: dict[str, list[Request]] = {}

    def advance(name: str, answers: list[Completion] | None) -> None:
        work = works[name]
        try:
            waiting[name] = next(work) if answers is None else work.send(answers)
        except StopIteration as finished:
            results[name] = finished.value

    for name in works:
        advance(name, None)
    while waiting:
        requests = dict(waiting)
        waiting.clear()
        answers = iter((yield [request for batch in requests.values() for request in batch]))
        for name, batch in requests.items():
            advance(name, [next(answers) for _ in batch])
    return {name: results[name] for name in works}
