"""Runs teacher work again from the completion logs; needs no teacher."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from more_itertools import chunked

from sdg_assets.errors import StoreError
from sdg_assets.records import Role
from sdg_assets.teacher.conversation import ResultT, Work
from sdg_assets.teacher.log.answers import Answers
from sdg_assets.teacher.requests import Completion, Request

REPLAYED_TOGETHER = 64
"""Pieces of work that are replayed at the same time, if they run programs."""


class _UnansweredError(StoreError):
    """A completion is missing."""


def replay(
    works: Iterable[Work[ResultT]],
    logs: Mapping[Role, Answers],
    *,
    runs_programs: bool = False,
    skips_unanswered: bool = False,
) -> Iterator[ResultT]:
    """Runs work whose completions are all in the logs; needs no teacher.

    Args:
        works: One generator per row, the same as were filled.
        logs: Role → its answers.
        runs_programs: Whether the work runs programs: several pieces then run at the same time.
        skips_unanswered: Whether work with a missing completion has no result, because a budget
            ended the fill; otherwise it is an error.

    Yields:
        Results in the order of `works`.

    Raises:
        StoreError: A completion is missing: the partition was not filled to the end.
    """

    def completion_of(request: Request) -> Completion:
        try:
            return logs[request.role].get(request.id)
        except KeyError as error:
            raise _UnansweredError(
                f"{logs[request.role].name}: request {request.id} of the {request.role} has no "
                "completion; run again to ask for what is missing"
            ) from error

    def result_of(work: Work[ResultT]) -> ResultT:
        answers: list[Completion] | None = None
        while True:
            try:
                requests = next(work) if answers is None else work.send(answers)
            except StopIteration as finished:
                result: ResultT = finished.value
                return result
            answers = [completion_of(request) for request in requests]

    def results_of(work: Work[ResultT]) -> list[ResultT]:
        try:
            return [result_of(work)]
        except _UnansweredError:
            if not skips_unanswered:
                raise
            return []

    if not runs_programs:
        for work in works:
            yield from results_of(work)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for some in chunked(works, REPLAYED_TOGETHER):
            futures = [pool.submit(copy_context().run, results_of, work) for work in some]
            for future in futures:
                yield from future.result()
