"""Estimates a run's cost before any GPU is used: requests, tokens and GPU-hours per subtask.

Prompts are rendered from the real seeds and counted with the teacher's own tokenizer. A new example
is assumed to be as long as a seed; thoughts, traces and backgrounds have the typical lengths below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import NamedTuple, Protocol, runtime_checkable

from sdg_assets.answers import answer_format
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.grounding import reader_of
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.votes import waves
from sdg_assets.errors import SdgError
from sdg_assets.records import Example, Role, Stage, TeacherStamp
from sdg_assets.settings import Settings
from sdg_assets.sources.source import open_source
from sdg_assets.stages.fleet import Phase
from sdg_assets.stages.generated import WriterKnobs, write
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.shots import SHOWN_SEEDS
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets.teacher import has_judge, is_played, thinking_of
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.requests import Message, TeacherFacts, TeacherIdentity
from sdg_assets.teacher.thinking import thought_budget

SAMPLE = 64
"""How many prompts are rendered per subtask."""
# Tokens of a solver's trace, a background and a judgement, the share of drafts that parse, and the
# share of solved rows that are verified: measured with the embedded teacher on the samples.
TRACE_TOKENS = 160
KNOWLEDGE_TOKENS = 110
JUDGEMENT_TOKENS = 70
# Tokens of the passages in a prompt, and of an answer on the sentences of a background: measured
# with the embedded passages and teacher. Each background counts as written and read once: 13 of 15
# were read, a refused one is written and read again, and rows without a passage cost nothing.
PASSAGES_TOKENS = 280
CHECK_TOKENS = 50
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
class Load:
    """What the teacher of one role is asked."""

    requests: int
    prompt_tokens: int
    """The sum over all requests; prefix caching is not counted."""
    output_tokens: int


@dataclass(frozen=True)
class SubtaskPlan:
    """The estimated cost of one subtask, over all teachers."""

    task: str
    subtask: str
    seeds: int
    roles: Mapping[Role, Load]
    """What each role that is asked anything is asked."""
    generated: Phase
    """What the writer is asked."""
    enriched: Phase
    """What the solver, the judge and the probe are asked."""

    @property
    def phases(self) -> dict[Stage, Phase]:
        """The stages that ask teachers, in order."""
        return {Stage.GENERATED: self.generated, Stage.ENRICHED: self.enriched}

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens of both stages."""
        return sum(load.prompt_tokens for load in self.roles.values())

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
    written = fmean(drafts or [0]) + thoughts.get(Role.WRITER, 0)
    asks = [
        _Ask(Role.WRITER, writes, fmean(prompts or [0]), written),
        *_asks_about(solved, fmean(questions or [0]) + 60, settings, thoughts),
    ]
    roles = {role: _load(asks, role) for role in Role if any(ask.role is role for ask in asks)}
    enriching = [load for role, load in roles.items() if role is not Role.WRITER]
    return SubtaskPlan(
        task=spec.task,
        subtask=spec.key,
        seeds=count,
        roles=roles,
        generated=Phase(
            rows=writes, requests=writes, output_tokens=roles[Role.WRITER].output_tokens
        ),
        enriched=Phase(
            rows=round(solved),
            requests=sum(load.requests for load in enriching),
            output_tokens=sum(load.output_tokens for load in enriching),
            in_sequence=len(_waves(settings)) + _additions_in_sequence(settings),
        ),
    )


def _additions_in_sequence(settings: Settings) -> int:
    """Requests of a row, one after the other, that follow its last vote."""
    return 2 if settings.with_knowledge and settings.passages else 1


class _Ask(NamedTuple):
    """Requests of one kind, with the mean tokens of one."""

    role: Role
    requests: float
    prompt_tokens: float
    output_tokens: float


def _asks_about(
    solved: float, question: float, settings: Settings, thoughts: Mapping[Role, int]
) -> Iterator[_Ask]:
    """What `enriched` asks about rows.

    Args:
        solved: Number of the rows.
        question: Mean tokens of a prompt with a row's question.
        settings: The run's settings.
        thoughts: From `thoughts_of`.
    """
    thought = thoughts.get(Role.SOLVER, 0)
    verified = solved * VERIFIED_SHARE
    is_judged, is_rubric = has_judge(settings), settings.judge_api == "rubric"
    yield _Ask(Role.SOLVER, solved * _votes_a_row(settings), question, TRACE_TOKENS + thought)
    if settings.reasoning == "condensed" and thought:
        yield _Ask(Role.SOLVER, verified, question + thought, TRACE_TOKENS)
    if is_judged:
        judgement = JUDGEMENT_TOKENS + thoughts.get(Role.JUDGE, 0) if is_rubric else 0
        yield _Ask(Role.JUDGE, verified, question, judgement)
    if is_played(settings, Role.PROBE):
        answer = TRACE_TOKENS + thoughts.get(Role.PROBE, 0)
        yield _Ask(Role.PROBE, verified * settings.probe_answers, question, answer)
    if settings.with_knowledge:
        passages = PASSAGES_TOKENS if settings.passages else 0
        yield _Ask(Role.SOLVER, verified, question + passages, KNOWLEDGE_TOKENS + thought)
    if settings.with_knowledge and settings.passages:
        reader = reader_of(is_judged=is_judged, judge_api=settings.judge_api)
        read = question + PASSAGES_TOKENS + KNOWLEDGE_TOKENS
        yield _Ask(reader, verified, read, CHECK_TOKENS + thoughts.get(reader, 0))


def _load(asks: Sequence[_Ask], role: Role) -> Load:
    own = [ask for ask in asks if ask.role is role]
    return Load(
        requests=round(sum(ask.requests for ask in own)),
        prompt_tokens=round(sum(ask.requests * ask.prompt_tokens for ask in own)),
        output_tokens=round(sum(ask.requests * ask.output_tokens for ask in own)),
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
        budget = thought_budget(thinking_of(settings, role), settings.thinking.get(role, ""))
        expected[role] = min(THOUGHT_TOKENS, budget)
    return expected


class RoughCounter:
    """Estimates tokens without a model, at four characters each."""

    identity = TeacherIdentity(TeacherStamp(model="none", revision="none", license="none"))
    control_tokens = ControlTokens(())

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """A quarter of the characters of all messages."""
        return sum(len(message.content) for message in messages) // 4


class CountedSeeds(NamedTuple):
    """The normalized rows that a plan is made for."""

    first: list[Example]
    """At most `SHOWN_SEEDS` rows."""
    rows: int
    """Number of all rows."""
    origin: str
    """Where they were counted: `the store`, or the seed source."""


def seeds_of(spec: SubtaskSpec, settings: Settings) -> CountedSeeds:
    """The subtask's normalized rows: from the store, or else mapped from the seed source.

    A store may hold the rows of a trial, of another source or of another cap. `sdg plan` once
    priced 3 seeds where a run was to make 30. So stored rows count only if they are certainly those
    that the settings ask for, or if the source cannot be asked.

    Args:
        spec: The subtask.
        settings: The settings with the store, the seed source and the cap.

    Raises:
        SdgError: Neither has the rows.
    """
    store, key = Store(settings.store), key_of(spec, Stage.NORMALIZED)
    if store.exists(key):
        stored = list(islice(store.read(key, Example), SHOWN_SEEDS))
        count = store.manifest(key).rows
        try:
            if _are_as_configured(spec, stored, store, settings):
                return CountedSeeds(stored, count, "the store")
        except SdgError:
            origin = f"the store, which could not be compared with {settings.seed_source}"
            return CountedSeeds(stored, count, origin)
    raw = collect_seeds(spec, open_source(settings.seed_source), settings.max_seeds)
    rows = (row for row in normalize(spec, raw) if isinstance(row, Example))
    first = list(islice(rows, SHOWN_SEEDS))
    return CountedSeeds(first, len(first) + sum(1 for _ in rows), settings.seed_source)


def _are_as_configured(
    spec: SubtaskSpec, stored: Sequence[Example], store: Store, settings: Settings
) -> bool:
    """Whether stored rows are certainly those that the settings would make.

    They were made of the same split at the same revision, and of as many seeds as the cap says, or
    of as many rows as the catalog declares.

    Raises:
        SdgError: The seed source does not have the rows, or does not answer.
    """
    revision = open_source(settings.seed_source).revision(spec)
    seeds_key = key_of(spec, Stage.SEEDS)
    if not stored or not store.exists(seeds_key):
        return False
    origin = stored[0].source
    if (origin.dataset, origin.config, origin.split, origin.revision) != (
        spec.dataset,
        spec.config,
        spec.split,
        revision,
    ):
        return False
    seeds = store.manifest(seeds_key)
    if seeds.written_at > store.manifest(key_of(spec, Stage.NORMALIZED)).written_at:
        return False
    cap = settings.max_seeds
    is_whole = spec.rows is not None and seeds.rows >= spec.rows
    return seeds.rows == cap or (is_whole and (cap is None or seeds.rows < cap))


def total(plans: Sequence[SubtaskPlan]) -> SubtaskPlan:
    """The sum of several subtasks' costs, as a plan of the task `all`."""
    return SubtaskPlan(
        task="all",
        subtask="",
        seeds=sum(plan.seeds for plan in plans),
        roles={
            role: _summed([plan.roles[role] for plan in plans if role in plan.roles])
            for role in Role
            if any(role in plan.roles for plan in plans)
        },
        generated=_together([plan.generated for plan in plans]),
        enriched=_together([plan.enriched for plan in plans]),
    )


def _summed(loads: Sequence[Load]) -> Load:
    return Load(
        requests=sum(load.requests for load in loads),
        prompt_tokens=sum(load.prompt_tokens for load in loads),
        output_tokens=sum(load.output_tokens for load in loads),
    )


def _together(phases: Sequence[Phase]) -> Phase:
    """All subtasks' rows of a stage, which are one stream."""
    return Phase(
        rows=sum(phase.rows for phase in phases),
        requests=sum(phase.requests for phase in phases),
        output_tokens=sum(phase.output_tokens for phase in phases),
        in_sequence=max((phase.in_sequence for phase in phases), default=1),
    )


def gpus_of_a_replica(settings: Settings) -> int:
    """GPUs of one process with the solver, which writes most of the tokens.

    Raises:
        SdgError: Unknown teacher.
    """
    spec = TeacherSpec.of(settings, Role.SOLVER)
    card = backend_of(spec).loaded(spec)
    return card.gpus.number if card else 1


def _count(writer: TokenCounter, text: str) -> int:
    return writer.count_tokens([Message(role="user", content=text)])
