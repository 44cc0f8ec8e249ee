"""`sdg fill`: asks the teachers for a stage's answers, alone or as one of several processes."""

from __future__ import annotations

import logging
import secrets
import socket
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.endings import exit_codes, unless_stopped
from sdg_assets.cli.options import Subtasks, selected
from sdg_assets.errors import CANNOT_BE_DONE, PermanentError, SdgError

if TYPE_CHECKING:
    from sdg_assets.assets.knobs import StageConfig
    from sdg_assets.catalog import SubtaskSpec
    from sdg_assets.records import Stage
    from sdg_assets.settings import Settings
    from sdg_assets.teacher.conversation import Feed, Usage
    from sdg_assets.teacher.share import Share

NOTE_SECONDS = 60.0
INDEX_VARIABLES = ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"]
EXIT_CODES = exit_codes(
    "some answers are missing, and the same command may get them",
    "128 + the signal when Ctrl-C or SIGTERM ended it: all answers are kept",
)


def fill(
    stage: Annotated[
        str, typer.Option(help="The stage whose answers are asked for: generated or enriched.")
    ],
    subtasks: Subtasks = None,
    of: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of processes that share the rows; 1: this one asks for all."
        ),
    ] = None,
    index: Annotated[
        int | None,
        typer.Option(
            min=0,
            envvar=INDEX_VARIABLES,
            help="Number of this process, from 0 to `--of` less 1. In an Indexed Job of Kubernetes "
            "or an array job of Slurm, the job's own number is the default.",
            show_envvar=True,
        ),
    ] = None,
    examples_per_seed: Annotated[
        int | None, typer.Option(min=1, help="As in the run that publishes the rows.")
    ] = None,
    harder_from: Annotated[
        int | None, typer.Option(min=1, help="As in the run that publishes the rows.")
    ] = None,
    votes: Annotated[
        int | None, typer.Option(min=1, help="As in the run that publishes the rows.")
    ] = None,
    accept_corrections: Annotated[
        bool | None, typer.Option(help="As in the run that publishes the rows.")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of prompts and new answers to spend; then it ends."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Name of the budget: processes that give the same one share `--max-tokens`."
        ),
    ] = None,
) -> int:
    """Ask the teachers for all answers of a stage, without publishing rows.

    The answers are kept in the completion logs of SDG_STORE. A run of the stage in Dagster then
    publishes the partitions from them, and asks only for what is missing. Several processes, each
    with a GPU, share the rows of the same partitions: start the same command on each with `--of`
    and its own `--index`. A process that was ended asks again only for what it has not kept.
    """
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.settings import settings
    from sdg_assets.teacher.share import WHOLE, Share

    knobs, asking = settings(), _stage(stage)
    if index is not None and of is None:
        # All elements of an array job once asked for all rows, each at full price.
        raise PermanentError(
            f"index {index} (--index, {' or '.join(INDEX_VARIABLES)}) without --of: say how many "
            "processes share the rows, or --of 1 if this one asks for all"
        )
    of = of or 1
    if of > 1 and index is None:
        raise PermanentError(
            f"--of {of} without --index: say which of the {of} processes this is, or start it in "
            f"a job that sets {' or '.join(INDEX_VARIABLES)}"
        )
    if budget and not max_tokens:
        raise PermanentError(f"--budget {budget} without --max-tokens: say how much it holds")
    share = Share(index or 0, of) if of > 1 else WHOLE
    specs = selected(configured_catalog(knobs), subtasks)
    config = {
        "examples_per_seed": examples_per_seed,
        "harder_from": harder_from,
        "votes": votes,
        "accept_corrections": accept_corrections,
    }
    return unless_stopped(
        lambda: _filled(asking, specs, share, knobs, config, max_tokens, budget or "")
    )


def _filled(
    stage: Stage,
    specs: Iterable[SubtaskSpec],
    share: Share,
    knobs: Settings,
    options: dict[str, Any],
    max_tokens: int | None,
    budget_name: str,
) -> int:
    from sdg_assets.assets.desks import desks_of, played
    from sdg_assets.assets.filling import TeacherWiring, streamed
    from sdg_assets.assets.partition_context import PartitionInputs
    from sdg_assets.assets.wiring import wiring_of
    from sdg_assets.cluster.fill_report import run_of_fill
    from sdg_assets.metrics.counts import Step
    from sdg_assets.metrics.exporter import exported
    from sdg_assets.passages.library import passage_keys
    from sdg_assets.sandbox.policy import unisolated_programs
    from sdg_assets.stages.stage import STAGES, key_of
    from sdg_assets.store.partitions import Store
    from sdg_assets.teacher.budget import Budget
    from sdg_assets.teacher.conversation import Feed, Usage
    from sdg_assets.teacher.stream import EVERYBODYS

    wiring, row = wiring_of(stage), STAGES[stage]
    assert isinstance(wiring, TeacherWiring)
    config = _config(wiring.config, options)
    store, by_name = Store(knobs.store), {f"{spec.task}/{spec.key}": spec for spec in specs}
    failures: dict[str, Exception] = {}
    # A process alone has a budget of its own, under a name that no other has.
    own = budget_name or secrets.token_hex(8)
    budget = Budget(store.root, own, max_tokens) if max_tokens else None

    def open_feed(name: str, stack: ExitStack) -> Feed:
        spec = by_name[name]
        above = [key_of(spec, each) for each in row.inputs]
        pinned = store.pinned([*above, *passage_keys(knobs.passages)])
        inputs = PartitionInputs(spec=spec, store=pinned, settings=knobs)
        roles = played(wiring.roles(config), knobs)
        desks = stack.enter_context(desks_of(pinned, spec, roles, knobs, are_shared=share.of > 1))
        works = wiring.share(inputs, config, desks, share)
        runs_programs = spec.answer_kind.policy.runs_programs and row.has_votes
        feed = Feed(works, desks, Usage(), _Progress(name), runs_programs, budget=budget)
        counts.fill(inputs.key(stage), feed)
        return feed

    def names() -> Iterator[str]:
        for name in by_name:
            if any(isinstance(error, EVERYBODYS) for error in failures.values()):
                return
            yield name

    tasks = {spec.task for spec in by_name.values()}
    name = f"{tasks.pop() if len(tasks) == 1 else 'several'}__{stage.value}"
    index = str(share.index) if share.of > 1 else ""
    step = Step(run_of_fill() or socket.gethostname(), name, index)
    with (
        unisolated_programs(allowed=knobs.allow_unsandboxed_code),
        exported(knobs, step, logging.getLogger(__name__)) as counts,
        budget or nullcontext(),
        closing(streamed(names(), open_feed, knobs.concurrency)) as filled,
    ):
        for name, feed in filled:
            counts.filled(feed)
            if error := feed.error or _kept(feed):
                failures[name] = error
                terminal.note(f"{name}: {_error_text(error)}")
            else:
                terminal.write(f"{name}, share {share}: {_usage_text(feed.usage)}")
    if not failures:
        return 0
    terminal.note(f"{len(failures)} of {len(by_name)} subtasks failed")
    return CANNOT_BE_DONE if all(isinstance(e, PermanentError) for e in failures.values()) else 1


def _stage(name: str) -> Stage:
    from sdg_assets.records import Stage
    from sdg_assets.stages.stage import TEACHER_STAGES

    if name not in TEACHER_STAGES:
        raise PermanentError(f"--stage {name!r}: must be {' or '.join(TEACHER_STAGES)}")
    return Stage(name)


def _config(kind: type[StageConfig], options: dict[str, Any]) -> StageConfig:
    """The stage's run config with the knobs of the command line.

    Raises:
        PermanentError: The stage has no such knob, or it is out of the bounds of a run's knob.
    """
    from sdg_assets.assets.knobs import checked

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if name not in kind.model_fields:
            raise PermanentError(f"{option} is no knob of this stage; leave it out")
        checked(value, kind.model_fields[name], f"{option} {value}")
    return kind(**given)


class _Progress:
    """Notes how a subtask goes on, at most every `NOTE_SECONDS`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = time.monotonic() + NOTE_SECONDS

    def __call__(self, done: int, usage: Usage) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + NOTE_SECONDS
            speed = f"{usage.tokens_per_second:.0f} output tokens/s"
            terminal.note(f"{self._name}: {done} rows done, {speed}")


def _kept(feed: Feed) -> SdgError | None:
    """Waits until the feed's answers are in the store; the error if they are not."""
    try:
        for desk in feed.desks.values():
            desk.log.sync()
    except SdgError as error:
        return error
    return None


def _usage_text(usage: Usage) -> str:
    spent = f"{usage.requests} requests answered, {usage.output_tokens} tokens"
    if usage.reused:
        spent += f"; {usage.reused} answers were kept from before"
    if usage.unfinished:
        spent += f"; the budget of tokens is used up, {usage.unfinished} rows are not finished"
    return spent


def _error_text(error: Exception) -> str:
    if isinstance(error, SdgError):
        return " ".join(str(error).split())
    return "".join(traceback.format_exception(error))  # a bug
