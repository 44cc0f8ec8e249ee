"""Stage 3: the writer imitates seeds, with the same capability and new content."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from sdg_assets.answers import AnswerFormat, DraftError, answer_format
from sdg_assets.answers.extraction import normalized
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.asking import as_declared
from sdg_assets.gates import Gate, draft_gates, first_refusals
from sdg_assets.records import (
    AnswerKind,
    Content,
    Example,
    GeneratedExample,
    Rejection,
    Role,
    Stage,
    TeacherClass,
    content_id,
)
from sdg_assets.stages.seeds import seed_rank
from sdg_assets.teacher.control_tokens import control_token_of
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.lengths import LENGTHS
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import (
    Completion,
    Message,
    Request,
    Sampling,
    Teacher,
    build_request,
)
from sdg_assets.thresholds import DEFAULTS, Thresholds

GATE = "generation"
CONTROLLING_DRAFT = "control token"
CONTROLLING_SEED = "control token in the seed"
NEIGHBOUR_POOL = 8
"""How many other seeds are drawn as candidates for an anchor's neighbours."""

# What the new example must change. Each request uses another variation, so that the examples do
# not all have the writer's favourite topic.
VARIATIONS = {
    "new_topic": "Choose a topic that none of the examples touches.",
    "new_entities": "Keep the kind of situation of example 1, with new people, things and numbers.",
    "harder": "Make it need one more step of thought than example 1.",
    "easier": "Make it a little simpler than example 1.",
    "new_form": "Word it in another way than the examples: another opening, another order.",
    "new_domain": "Use the same skill as example 1 in quite another field of life.",
}


@dataclass(frozen=True)
class WriterKnobs:
    """The settings of the writer.

    Attributes:
        examples_per_seed: New examples per seed.
        shots: Seeds shown in a prompt, including the anchor.
        temperature: Sampling temperature.
        max_tokens: Longest completion, in tokens; None: by the writer's class, see
            `teacher.lengths`.
    """

    examples_per_seed: int = 1
    shots: int = 2
    temperature: float = 0.9
    max_tokens: int | None = None

    def longest(self, teacher_class: TeacherClass) -> int:
        """Most tokens of a completion of a writer of this class."""
        return self.max_tokens or LENGTHS[teacher_class].draft


def prompt(kind: AnswerKind, teacher_class: TeacherClass) -> Prompt:
    """The writer's prompt for an answer kind, worded for the writer's class."""
    return Prompt(f"write/{kind.value}", teacher_class=teacher_class)


def generate(
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    writer: Teacher,
    knobs: WriterKnobs,
    thresholds: Thresholds = DEFAULTS,
    *,
    round_robin: bool = False,
) -> Iterator[Work[GeneratedExample | Rejection]]:
    """Creates one piece of work for each new example. Every seed is the anchor equally often.

    The anchor is the seed that the new example imitates; other seeds are shown beside it.

    Args:
        spec: The subtask.
        seeds: The subtask's normalized examples.
        writer: The teacher that writes.
        knobs: The writer's settings.
        thresholds: The thresholds of the gates that test each draft.
        round_robin: Whether every seed is used once before any seed is used again. Otherwise an
            anchor's requests follow each other: their prompts differ only in the last sentence, so
            the engine's prefix cache serves them.

    Yields:
        Work for `converse`. Its result is a `GeneratedExample`, or a `Rejection` by gate
        `generation` (`truncated`, `filtered by the server`, `refusal`, `empty`, `unparsable`,
        `copy of a seed`, `too long`, `control token`, or a fault of the draft), or a `Rejection` by
        one of `gates.draft_gates`. A seed with a control token appears in no prompt: it is rejected
        once, as `control token in the seed`.
    """
    gates = draft_gates(thresholds)
    tokens = {seed.id: control_token_of(seed, [writer.control_tokens]) for seed in seeds}
    for seed in seeds:
        if tokens[seed.id]:
            yield _refused(seed, tokens[seed.id])
    seeds = [seed for seed in seeds if not tokens[seed.id]]
    seed_keys = {_key(s.context, s.question, s.choices) for s in seeds}
    ranking = sorted(range(len(seeds)), key=lambda i: seed_rank(spec, seeds[i].source.row))
    places = {position: place for place, position in enumerate(ranking)}
    writer_class = writer.identity.teacher_class
    rounds, positions = range(knobs.examples_per_seed), range(len(seeds))
    order = (
        ((position, number) for number in rounds for position in positions)
        if round_robin
        else ((position, number) for position in positions for number in rounds)
    )
    for position, number in order:
        # Neighbours rank before their anchor (or are among the first few). So a larger `max_seeds`
        # does not change the prompts of the earlier seeds, and their logged completions are reused.
        earlier = ranking[: max(places[position], NEIGHBOUR_POOL + 1)]
        pool = [seeds[i] for i in _drawn(earlier, seeds[position].id) if i != position]
        work = _write(spec, seeds[position], pool, number, writer, knobs, seed_keys, gates)
        declared = [(Role.WRITER, prompt(seeds[position].answer_kind, writer_class))]
        yield as_declared(work, Stage.GENERATED.value, declared)


def _refused(seed: Example, token: str) -> Work[GeneratedExample | Rejection]:
    """Work without requests that refuses the seed."""
    yield from ()
    return Rejection(
        gate=GATE,
        reason=CONTROLLING_SEED,
        detail=f"{token!r} controls a model",
        row=seed.model_dump(mode="json"),
    )


def _write(
    spec: SubtaskSpec,
    anchor: Example,
    pool: list[Example],
    round_number: int,
    writer: Teacher,
    knobs: WriterKnobs,
    seed_keys: set[str],
    gates: Sequence[Gate],
) -> Work[GeneratedExample | Rejection]:
    kind = answer_format(anchor.answer_kind)
    rng = random.Random(f"{anchor.id}:{round_number}")  # noqa: S311 – repeatable, not secret
    shots = [anchor, *_neighbours(anchor, pool, knobs.shots - 1)]
    names = sorted(VARIATIONS)
    # Each anchor starts at a variation that its id selects and goes on in order. So all variations
    # are used equally often over the seeds, even with one example per seed.
    variation = names[(int(anchor.id[:8], 16) + round_number) % len(names)]
    wanted_answer = (
        anchor.choices[(int(anchor.id[8:16], 16) + round_number) % len(anchor.choices)]
        if kind.choices_are_given
        else ""
    )
    messages = _fitting(spec, shots, variation, wanted_answer, kind, writer, knobs)
    origin = {
        "seed_ids": [s.id for s in shots],
        "variation": variation,
        "source": anchor.source.model_dump(),
    }
    if messages is None:
        return Rejection(
            gate=GATE,
            reason="too long",
            detail=f"the anchor alone leaves no room in {writer.max_model_len} tokens; "
            "raise the teacher's max_model_len",
            row=origin,
        )
    model = kind.draft_model(anchor)
    request = build_request(
        writer.identity,
        Role.WRITER,
        prompt(anchor.answer_kind, writer.identity.teacher_class).version,
        messages,
        Sampling(
            temperature=knobs.temperature,
            max_tokens=knobs.longest(writer.identity.teacher_class),
            sample=round_number,
        ),
        model.model_json_schema(),
    )
    (completion,) = yield [request]
    row = {**origin, "completion": completion.model_dump()}
    try:
        content = _parse(completion, kind, anchor, rng)
    except DraftError as error:
        return Rejection(gate=GATE, reason=str(error), row=row)
    if _key(content.context, content.question, content.choices) in seed_keys:
        return Rejection(gate=GATE, reason="copy of a seed", row=row)
    example = _example(spec, anchor, shots, content, variation, request, completion, writer)
    if refusal := first_refusals([example], gates).get(0):
        return refusal.rejection(example)
    # The gates look for common control tokens in some fields; this looks for the writer's own
    # tokens in all fields.
    if token := control_token_of(example, [writer.control_tokens]):
        detail = f"{token!r} controls a model"
        return Rejection(gate=GATE, reason=CONTROLLING_DRAFT, detail=detail, row=row)
    return example


def _parse(
    completion: Completion, kind: AnswerFormat, anchor: Example, rng: random.Random
) -> Content:
    text = completion.text.strip()
    if completion.finish_reason == "length":
        raise DraftError("truncated")
    if completion.finish_reason == "content_filter":
        raise DraftError("filtered by the server")
    if not text:
        raise DraftError("empty")
    if _refuses(text):
        raise DraftError("refusal")
    start, end = text.find("{"), text.rfind("}")
    try:
        draft = kind.draft_model(anchor).model_validate_json(text[start : end + 1])
    except ValidationError as error:
        raise DraftError("unparsable") from error
    if not draft.question:
        raise DraftError("empty question")
    return kind.assemble(draft, anchor, rng)


def _refuses(text: str) -> bool:
    opening = text[:120].lower()
    return "{" not in text and any(
        phrase in opening
        for phrase in ("i'm sorry", "i am sorry", "i cannot", "i can't", "as an ai")
    )


def _example(
    spec: SubtaskSpec,
    anchor: Example,
    shots: Sequence[Example],
    content: Content,
    variation: str,
    request: Request,
    completion: Completion,
    writer: Teacher,
) -> GeneratedExample:
    return GeneratedExample(
        id=content_id(
            spec.task, spec.key, content.context, content.question, content.choices, content.answer
        ),
        task=spec.task,
        subtask=spec.key,
        family=spec.family,
        domain=spec.domain,
        language=spec.language,
        answer_kind=anchor.answer_kind,
        source=anchor.source,
        seed_ids=[s.id for s in shots],
        teacher=writer.identity.stamp,
        prompt_version=request.prompt_version,
        variation=variation,
        completion_id=completion.request_id,
        **vars(content),
    )


def _fitting(
    spec: SubtaskSpec,
    shots: list[Example],
    variation: str,
    wanted_answer: str,
    kind: AnswerFormat,
    writer: Teacher,
    knobs: WriterKnobs,
) -> tuple[Message, ...] | None:
    """The prompt with as many neighbours as fit the writer's context; None if not even the anchor.

    Neighbours that do not fit are removed from `shots`, the last first.
    """
    anchor = shots[0]
    while shots:
        messages = prompt(anchor.answer_kind, writer.identity.teacher_class).render(
            frame=spec.frame or kind.default_frame,
            drafts=[kind.draft_of(s).model_dump_json() for s in shots],
            variation=VARIATIONS[variation],
            wanted_answer=wanted_answer,
            context=bool(anchor.context),
            choices=len(anchor.choices),
            labels=anchor.choices,
        )
        longest = knobs.longest(writer.identity.teacher_class)
        if writer.count_tokens(messages) + longest <= writer.max_model_len:
            return messages
        shots.pop()
    return None


def _drawn(positions: Sequence[int], anchor_id: str) -> list[int]:
    rng = random.Random(anchor_id)  # noqa: S311 – repeatable, not secret
    return rng.sample(positions, min(NEIGHBOUR_POOL + 1, len(positions)))


def _neighbours(anchor: Example, pool: list[Example], count: int) -> list[Example]:
    """The seeds of the pool that differ most from the anchor and from each other."""
    candidates, selected = list(pool), [anchor]
    while candidates and len(selected) <= count:
        farthest = min(candidates, key=lambda c: max(_similarity(c, s) for s in selected))
        candidates.remove(farthest)
        selected.append(farthest)
    return selected[1:]


def _similarity(left: Example, right: Example) -> float:
    """Jaccard similarity of the words of two examples' contexts and questions, 0 to 1."""
    a, b = (set(normalized(f"{e.context} {e.question}").split()) for e in (left, right))
    return len(a & b) / len(a | b) if a | b else 1.0


def _key(context: str, question: str, choices: Sequence[str]) -> str:
    return content_id(
        normalized(context), normalized(question), sorted(normalized(c) for c in choices)
    )
