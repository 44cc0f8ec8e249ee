"""Estimates a run's cost before any GPU is used: requests, tokens and GPU-hours per subtask.

Prompts are rendered from the real seeds and counted with the teacher's own tokenizer. A new example
is assumed to be as long as a seed; thoughts, traces and backgrounds have the typical lengths below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean
from typing import Protocol, runtime_checkable

from sdg_assets.answers import answer_format
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.votes import waves
from sdg_assets.records import Example, Role, Stage, TeacherStamp
from sdg_assets.settings import Settings
from sdg_assets.sources.source import open_source
from sdg_assets.stages.cost import Cost
from sdg_assets.stages.fleet import Phase
from sdg_assets.stages.generated import WriterKnobs, write
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.shots import SHOWN_SEEDS
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets.teacher import has_judge, identity_of, is_played, thinking_of
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.requests import Message, TeacherFacts, TeacherIdentity

SAMPLE = 64
"""How many prompts are rendered per subtask."""
# Tokens of a solver's trace, a background and a judgement, the share of drafts that parse, and the
# share of solved rows that are verified: measured with the embedded teacher on the samples.
TRACE_TOKENS = 160
KNOWLEDGE_TOKENS = 110
JUDGEMENT_TOKENS = 70
# Tokens of a thought: a guess for models such as Qwen3 at questions of seed tasks. Makers publish
# lengths for contest problems only, which take ten times as many.
THOUGHT_TOKENS = 1500
PARSED_SHARE = 0.9
VERIFIED_SHARE = 0.6


@runtime_checkable
class TokenCounter(TeacherFacts, Protocol):
    """A teacher that can count the tokens of a prompt."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of prompt tokens of a conversation, chat template included."""
        ...


@dataclass(frozen=True)
class RolePlan:
    """The estimated tokens of one role."""

    prompt_tokens: float = 0.0
    output_tokens: float = 0.0

    def __add__(self, other: RolePlan) -> RolePlan:
        """The tokens of both."""
        return RolePlan(
            self.prompt_tokens + other.prompt_tokens, self.output_tokens + other.output_tokens
        )


@dataclass(frozen=True)
class SubtaskPlan:
    """The estimated cost of one subtask, over all teachers."""

    task: str
    subtask: str
    seeds: int
    prompt_tokens: int
    """The sum over all requests; prefix caching is not counted."""
    generated: Phase
    """What the writer is asked."""
    enriched: Phase
    """What the solver, the judge and the probe are asked."""
    by_role: Mapping[Role, RolePlan] = field(default_factory=dict)
    """The tokens of both, by the role that is asked."""

    @property
    def phases(self) -> dict[Stage, Phase]:
        """The stages that ask teachers, in order."""
        return {Stage.GENERATED: self.generated, Stage.ENRICHED: self.enriched}

    @property
    def requests(self) -> int:
        """Requests of both stages."""
        return self.generated.requests + self.enriched.requests

    @property
    def output_tokens(self) -> int:
        """Output tokens of both stages."""
        return self.generated.output_tokens + self.enriched.output_tokens

    def gpu_hours(self, tokens_per_second: float) -> float:
        """Hours that one GPU needs at this many output tokens per second."""
        return self.output_tokens / tokens_per_second / 3600


def plan_subtask(
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    writer: TokenCounter,
    settings: Settings,
    count: int,
    thoughts: Mapping[Role, int] | None = None,
) -> SubtaskPlan:
    """Estimates the requests of `generated` and `enriched`.

    Args:
        spec: The subtask.
        seeds: A sample of its normalized examples, of which at most `SAMPLE` are rendered.
        writer: The teacher whose tokenizer counts the prompts.
        settings: The run's settings: votes, examples per seed, shots and others.
        count: Number of the subtask's normalized examples.
        thoughts: From `thoughts_of`; None if no teacher thinks.
    """
    thoughts = thoughts or {}
    writer_thought, solver_thought, judge_thought, probe_thought = (
        thoughts.get(role, 0) for role in (Role.WRITER, Role.SOLVER, Role.JUDGE, Role.PROBE)
    )
    knobs = WriterKnobs(examples_per_seed=1, shots=settings.shots)
    works = islice(write(spec, seeds, writer, knobs), SAMPLE)
    prompts = [
        writer.count_tokens(request.messages)
        for work in works
        for request in next(work, [])  # a seed with a control token makes no request
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
    probes = verified * settings.probe_answers if is_played(settings, Role.PROBE) else 0.0
    is_rubric = settings.judge_api == "rubric"
    condensed = verified if settings.reasoning == "condensed" and solver_thought else 0.0
    question = fmean(questions or [0]) + 60
    judged_tokens = judgements * (JUDGEMENT_TOKENS + judge_thought) if is_rubric else 0
    by_role = {
        Role.WRITER: RolePlan(
            writes * fmean(prompts or [0]), writes * (fmean(drafts or [0]) + writer_thought)
        ),
        Role.SOLVER: RolePlan(
            (votes + backgrounds + condensed) * question + condensed * solver_thought,
            votes * (TRACE_TOKENS + solver_thought)
            + backgrounds * (KNOWLEDGE_TOKENS + solver_thought)
            + condensed * TRACE_TOKENS,
        ),
        Role.JUDGE: RolePlan(judgements * question, judged_tokens),
        Role.PROBE: RolePlan(probes * question, probes * (TRACE_TOKENS + probe_thought)),
    }
    written, everything = by_role[Role.WRITER], sum(by_role.values(), RolePlan())
    return SubtaskPlan(
        task=spec.task,
        subtask=spec.key,
        seeds=count,
        prompt_tokens=round(everything.prompt_tokens),
        generated=Phase(rows=writes, requests=writes, output_tokens=round(written.output_tokens)),
        enriched=Phase(
            rows=round(solved),
            requests=round(votes + backgrounds + condensed + judgements + probes),
            output_tokens=round(everything.output_tokens - written.output_tokens),
            in_sequence=len(_waves(settings)) + 1,  # the additions follow the last vote
        ),
        by_role={role: plan for role, plan in by_role.items() if plan != RolePlan()},
    )


def _waves(settings: Settings) -> list[range]:
    return waves(
        SolverKnobs(settings.votes, adaptive=settings.adaptive_voting, majority=settings.majority)
    )


def _votes_a_row(settings: Settings) -> float:
    """The expected number of votes per row.

    Adaptive voting stops between its first wave and the last vote, so the mean of both is taken.
    Without it, the first wave has all votes.
    """
    return (len(_waves(settings)[0]) + settings.votes) / 2


def thoughts_of(settings: Settings) -> dict[Role, int]:
    """The expected tokens of the thought before an answer, by role; 0 if its teacher has none.

    Args:
        settings: The settings that name each role's teacher and thinking mode.

    Raises:
        SdgError: Unknown teacher, or its server is not reached.
    """
    expected = {}
    for role in Role:
        if not is_played(settings, role):
            continue
        thinking = thinking_of(settings, role)
        is_on = thinking is not None and thinking.thinks(settings.thinking.get(role, ""))
        expected[role] = min(THOUGHT_TOKENS, thinking.max_tokens) if thinking and is_on else 0
    return expected


class RoughCounter:
    """Estimates tokens without a model, at four characters each."""

    identity = TeacherIdentity(TeacherStamp(model="none", revision="none", license="none"))
    control_tokens = ControlTokens(())

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """A quarter of the characters of all messages."""
        return sum(len(message.content) for message in messages) // 4


def seeds_of(spec: SubtaskSpec, settings: Settings) -> tuple[list[Example], int]:
    """The subtask's normalized rows: from the store, or else mapped from the seed source.

    Args:
        spec: The subtask.
        settings: The settings with the store and the seed source.

    Returns:
        The first `SHOWN_SEEDS` rows, and how many there are.

    Raises:
        SdgError: Neither has the rows.
    """
    store, key = Store(settings.store), key_of(spec, Stage.NORMALIZED)
    if store.exists(key):
        return list(islice(store.read(key, Example), SHOWN_SEEDS)), store.manifest(key).rows
    raw = collect_seeds(spec, open_source(settings.seed_source), settings.max_seeds)
    rows = (row for row in normalize(spec, raw) if isinstance(row, Example))
    first = list(islice(rows, SHOWN_SEEDS))
    return first, len(first) + sum(1 for _ in rows)


def total(plans: Sequence[SubtaskPlan]) -> SubtaskPlan:
    """The sum of several subtasks' costs, as a plan of the task `all`."""
    return SubtaskPlan(
        task="all",
        subtask="",
        seeds=sum(plan.seeds for plan in plans),
        prompt_tokens=sum(plan.prompt_tokens for plan in plans),
        generated=_together([plan.generated for plan in plans]),
        enriched=_together([plan.enriched for plan in plans]),
        by_role={
            role: sum((plan.by_role.get(role, RolePlan()) for plan in plans), RolePlan())
            for role in Role
            if any(role in plan.by_role for plan in plans)
        },
    )


def _together(phases: Sequence[Phase]) -> Phase:
    """All subtasks' rows of a stage, which are one stream."""
    return Phase(
        rows=sum(phase.rows for phase in phases),
        requests=sum(phase.requests for phase in phases),
        output_tokens=sum(phase.output_tokens for phase in phases),
        in_sequence=max((phase.in_sequence for phase in phases), default=1),
    )


def models_of(settings: Settings) -> dict[Role, str]:
    """Role → the model that plays it. A server is only asked if no card names its model.

    Raises:
        SdgError: Unknown teacher, or its server is not reached.
    """
    models = {}
    for role in Role:
        if is_played(settings, role):
            spec = TeacherSpec.of(settings, role)
            card = backend_of(spec).card(spec)
            models[role] = card.model if card else identity_of(settings, role).stamp.model
    return models


def expected_costs(
    plan: SubtaskPlan, models: Mapping[Role, str], tokens_per_second: float
) -> list[Cost]:
    """What the plan will cost, by role.

    Args:
        plan: The plan.
        models: From `models_of`.
        tokens_per_second: Output tokens per second of one GPU.
    """
    return [
        Cost(
            role,
            models[role],
            requests=0,
            prompt_tokens=round(tokens.prompt_tokens),
            output_tokens=round(tokens.output_tokens),
            gpu_seconds=tokens.output_tokens / tokens_per_second,
        )
        for role, tokens in plan.by_role.items()
    ]


def gpus_of_a_replica(settings: Settings) -> int:
    """GPUs of one process with the solver, which writes most of the tokens.

    Raises:
        SdgError: Unknown teacher.
    """
    spec = TeacherSpec.of(settings, Role.SOLVER)
    card = backend_of(spec).card(spec)
    return card.gpus.tensor_parallel * card.gpus.data_parallel if card else 1


def _count(writer: TokenCounter, text: str) -> int:
    return writer.count_tokens([Message(role="user", content=text)])
