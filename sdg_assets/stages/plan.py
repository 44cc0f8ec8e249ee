"""Estimates a run's cost before any GPU is used: requests, tokens and GPU-hours per subtask.

Prompts are rendered from the real seeds and counted with the teacher's own tokenizer. A new example
is assumed to be as long as a seed; traces and backgrounds have the typical lengths below.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sdg_assets.answers import answer_format
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.votes import waves
from sdg_assets.records import Example, Stage, TeacherStamp
from sdg_assets.settings import Settings
from sdg_assets.sources.source import open_source
from sdg_assets.stages.generated import WriterKnobs, generate
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets.teacher import has_judge
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Message,
    Request,
    Teacher,
    TeacherIdentity,
)

SAMPLE = 64
"""How many prompts are rendered per subtask."""
# Tokens of a solver's trace, a background and a judgement, the share of drafts that parse, and the
# share of solved rows that are verified: measured with the embedded teacher on the samples.
TRACE_TOKENS = 160
KNOWLEDGE_TOKENS = 110
JUDGEMENT_TOKENS = 70
PARSED_SHARE = 0.9
VERIFIED_SHARE = 0.6


@dataclass(frozen=True)
class SubtaskPlan:
    """The estimated cost of one subtask, over all teachers."""

    task: str
    subtask: str
    seeds: int
    requests: int
    prompt_tokens: int
    """The sum over all requests; prefix caching is not counted."""
    output_tokens: int

    def gpu_hours(self, tokens_per_second: float) -> float:
        """Hours that one GPU needs at this many output tokens per second."""
        return self.output_tokens / tokens_per_second / 3600


def plan_subtask(
    spec: SubtaskSpec, seeds: Sequence[Example], writer: Teacher, settings: Settings, count: int
) -> SubtaskPlan:
    """Estimates the requests of `generated` and `enriched`.

    Args:
        spec: The subtask.
        seeds: A sample of its normalized examples, of which at most `SAMPLE` are rendered.
        writer: The teacher whose tokenizer counts the prompts.
        settings: The run's settings: votes, examples per seed, shots and others.
        count: Number of the subtask's normalized examples.
    """
    knobs = WriterKnobs(examples_per_seed=1, shots=settings.shots)
    works = itertools.islice(generate(spec, seeds, writer, knobs), SAMPLE)
    prompts = [
        writer.count_tokens(request.messages)
        for work in works
        for request in next(work, [])  # a seed that is too long makes no request
    ]
    kind = answer_format(spec.answer_kind)
    drafts = [_count(writer, kind.draft_of(seed).model_dump_json()) for seed in seeds[:SAMPLE]]
    questions = [
        _count(writer, "\n".join([seed.context, seed.question, *seed.choices]))
        for seed in seeds[:SAMPLE]
    ]
    writes = count * settings.examples_per_seed
    solved = writes * PARSED_SHARE
    votes = solved * _votes_a_row(settings)
    verified = solved * VERIFIED_SHARE
    backgrounds = verified if settings.with_knowledge else 0.0
    judgements = verified if has_judge(settings) else 0.0
    question = fmean(questions or [0]) + 60
    return SubtaskPlan(
        task=spec.task,
        subtask=spec.key,
        seeds=count,
        requests=round(writes + votes + backgrounds + judgements),
        prompt_tokens=round(
            writes * fmean(prompts or [0]) + (votes + backgrounds + judgements) * question
        ),
        output_tokens=round(
            writes * fmean(drafts or [0])
            + votes * TRACE_TOKENS
            + backgrounds * KNOWLEDGE_TOKENS
            + (judgements * JUDGEMENT_TOKENS if settings.judge_api == "rubric" else 0)
        ),
    )


def _votes_a_row(settings: Settings) -> float:
    """The expected number of votes per row.

    Adaptive voting stops between its first wave and the last vote, so the mean of both is taken.
    Without it, the first wave has all votes.
    """
    knobs = SolverKnobs(
        settings.votes, adaptive=settings.adaptive_voting, majority=settings.majority
    )
    return (len(waves(knobs)[0]) + settings.votes) / 2


class RoughCounter:
    """Estimates tokens without a model, at four characters each."""

    identity = TeacherIdentity(TeacherStamp(model="none", revision="none", license="none"))
    max_model_len = 1_000_000
    capacity = 1
    control_tokens = ControlTokens(())

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """A quarter of the characters of all messages."""
        return sum(len(message.content) for message in messages) // 4

    def submit(self, request: Request) -> None:
        """Raises `TypeError`: this teacher only counts."""
        raise TypeError("RoughCounter only counts")

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """Raises `TypeError`: this teacher only counts."""
        raise TypeError("RoughCounter only counts")


def seeds_of(spec: SubtaskSpec, settings: Settings) -> list[Example]:
    """The subtask's normalized rows: from the store, or else mapped from the seed source.

    Args:
        spec: The subtask.
        settings: The settings with the store and the seed source.

    Raises:
        SdgError: Neither has the rows.
    """
    store, key = Store(settings.store), key_of(spec, Stage.NORMALIZED)
    if store.exists(key):
        return list(store.read(key, Example))
    raw = collect_seeds(spec, open_source(settings.seed_source), settings.max_seeds)
    return [row for row in normalize(spec, raw) if isinstance(row, Example)]


def total(plans: Sequence[SubtaskPlan]) -> SubtaskPlan:
    """The sum of several subtasks' costs, as a plan of the task `all`."""
    return SubtaskPlan(
        task="all",
        subtask="",
        seeds=sum(plan.seeds for plan in plans),
        requests=sum(plan.requests for plan in plans),
        prompt_tokens=sum(plan.prompt_tokens for plan in plans),
        output_tokens=sum(plan.output_tokens for plan in plans),
    )


def _count(writer: Teacher, text: str) -> int:
    return writer.count_tokens([Message(role="user", content=text)])
