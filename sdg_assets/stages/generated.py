"""Stage 3: the writer imitates seeds, with the same capability and new content.

`write` asks (the fill of the stage), `publish` turns the completions into rows.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from more_itertools import chunked

from sdg_assets.answers import AnswerFormat, DraftError, answer_format
from sdg_assets.answers.base import Draft
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.asking import as_declared
from sdg_assets.gates import draft_gates, first_refusals
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.passages.index import PassageIndex
from sdg_assets.records import (
    AnswerKind,
    CitedPassage,
    Content,
    Example,
    GeneratedExample,
    Passage,
    Rejection,
    Role,
    Stage,
    TeacherClass,
    content_id,
)
from sdg_assets.stages.about_passages import draft_about, passage_for, told_about, without_context
from sdg_assets.stages.draws import Draw, draw_of
from sdg_assets.stages.seed_index import SeedCopies
from sdg_assets.stages.shots import Ranking, SeedPrompts
from sdg_assets.teacher.control_tokens import control_token_of
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.lengths import LENGTHS
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import (
    FAULTS,
    Completion,
    Facts,
    Request,
    Sampling,
    TeacherFacts,
    TeacherIdentity,
    build_request,
)
from sdg_assets.teacher.sampling import sampling_of
from sdg_assets.teacher.share import WHOLE, Share
from sdg_assets.thresholds import DEFAULTS, Thresholds

GATE = "generation"
CONTROLLING_DRAFT = "control token"
CONTROLLING_SEED = "control token in the seed"
Anchor = tuple[int, int]
"""A seed's position, and the number of its new example, from 0."""


@dataclass(frozen=True)
class WriterKnobs:
    """The settings of the writer.

    Attributes:
        examples_per_seed: New examples per seed.
        shots: Seeds shown in a prompt, including the anchor.
        temperature: Sampling temperature; None: as the writer's card recommends, else 0.9.
        max_tokens: Longest answer, in tokens; None: by the writer's class, see `teacher.lengths`.
        thinking: Thinking mode of the writer; empty: the model's default.
        passages: What questions of tasks with a context are asked about; None: the writer writes
            the context too.
        variation: See `draws.draw_of`.
        varied_from: See `draws.draw_of`.
    """

    examples_per_seed: int = 1
    shots: int = 2
    temperature: float | None = None
    max_tokens: int | None = None
    thinking: str = ""
    variation: str = ""
    varied_from: int = 0
    passages: PassageIndex | None = field(default=None, repr=False, compare=False)

    def sampling(self, writer: TeacherIdentity, number: int) -> Sampling:
        """How the writer's tokens are sampled for an anchor's example of this number."""
        longest = self.max_tokens or LENGTHS[writer.teacher_class].draft
        return sampling_of(
            writer,
            thinking=self.thinking,
            temperature=self.temperature,
            otherwise=Sampling(temperature=0.9, max_tokens=longest),
            sample=number,
        )


def prompt(kind: AnswerKind, teacher_class: TeacherClass) -> Prompt:
    """The writer's prompt for an answer kind, worded for the writer's class."""
    return Prompt(f"write/{kind.value}", teacher_class=teacher_class)


@dataclass(frozen=True)
class Written:
    """The writer's completion for one new example, and what it was asked.

    Attributes:
        anchor: The seed that the new example imitates.
        shots: The seeds in the prompt, the anchor first.
        draw: How the new example is to differ from the anchor.
        round: The number of the anchor's request, from 0.
        request: The request.
        completion: The answer.
        passage: The passage that it was asked about; None: none.
    """

    anchor: Example
    shots: Sequence[Example]
    draw: Draw
    round: int
    request: Request
    completion: Completion
    passage: Passage | None = None


class Writing:
    """The new examples that a partition asks for: which seeds they imitate, and how.

    Every seed is the anchor equally often. The anchor is the seed that the new example imitates;
    other seeds are shown beside it. Neighbours that do not fit into the writer's context are left
    out, the last first.
    """

    def __init__(
        self,
        spec: SubtaskSpec,
        seeds: Sequence[Example],
        writer: TeacherFacts,
        knobs: WriterKnobs,
    ) -> None:
        """Looks for control tokens in all seeds, and ranks them.

        Args:
            spec: The subtask.
            seeds: The subtask's normalized examples; of many, a `RowFile`.
            writer: The teacher that writes.
            knobs: The writer's settings.
        """
        self._spec, self._seeds, self._writer, self._knobs = spec, seeds, Facts.of(writer), knobs
        self._shown = SeedPrompts()
        self._positions, rows = array("Q"), array("Q")
        self._controlling: dict[int, str] = {}
        for position, seed in enumerate(seeds):
            if token := control_token_of(seed, [writer.control_tokens]):
                self._controlling[position] = token
            else:
                self._positions.append(position)
                rows.append(seed.source.row)
        self._ranking = Ranking(spec, self._positions, rows)

    def __len__(self) -> int:
        """The number of new examples."""
        return len(self._positions) * self._knobs.examples_per_seed

    @property
    def refused(self) -> Iterator[Rejection]:
        """The seeds with a control token of the writer: they appear in no prompt."""
        for position, token in self._controlling.items():
            yield Rejection(
                gate=GATE,
                reason=CONTROLLING_SEED,
                detail=f"{token!r} controls a model",
                row=self._seeds[position].model_dump(mode="json"),
            )

    def anchors(self, *, round_robin: bool = False, share: Share = WHOLE) -> Iterator[Anchor]:
        """The anchors, one for each new example.

        Args:
            round_robin: Whether every seed is used once before any seed is used again. Otherwise
                an anchor's requests follow each other: their prompts differ only in the last
                sentence, so the engine's prefix cache serves them.
            share: The anchors that this process fills.
        """
        rounds = range(self._knobs.examples_per_seed)
        order = (
            ((position, number) for number in rounds for position in self._positions)
            if round_robin
            else ((position, number) for position in self._positions for number in rounds)
        )
        if share == WHOLE:
            return order
        return ((p, number) for p, number in order if share.holds(self._seeds[p].id))

    def work(self, anchor: Anchor) -> Work[Written | Rejection]:
        """The work on the new example of an anchor."""
        position, number = anchor
        seed = self._seeds[position]
        pool = [self._seeds[i] for i in self._ranking.earlier(position, seed.id)]
        work = _write(self._spec, seed, pool, number, self._writer, self._knobs, self._shown)
        declared = [(Role.WRITER, prompt(seed.answer_kind, self._writer.identity.teacher_class))]
        return as_declared(work, Stage.GENERATED.value, declared)


def write(
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    writer: TeacherFacts,
    knobs: WriterKnobs,
    *,
    round_robin: bool = False,
    share: Share = WHOLE,
) -> Iterator[Work[Written | Rejection]]:
    """Creates one piece of work for each new example.

    Args:
        spec: See `Writing`.
        seeds: See `Writing`.
        writer: See `Writing`.
        knobs: See `Writing`.
        round_robin: See `Writing.anchors`.
        share: See `Writing.anchors`.

    Yields:
        Work for `fill` and `replay`; its results are for `publish`. A seed with a control token
        is rejected once, as `control token in the seed`.
    """
    writing = Writing(spec, seeds, writer, knobs)
    yield from map(_refused, writing.refused)
    yield from map(writing.work, writing.anchors(round_robin=round_robin, share=share))


def publish(
    spec: SubtaskSpec,
    copies: SeedCopies,
    written: Iterable[Written | Rejection],
    writer: TeacherFacts,
    thresholds: Thresholds = DEFAULTS,
) -> Iterator[GeneratedExample | Rejection]:
    """Turns the writer's completions into rows, and tests them in batches.

    Args:
        spec: The subtask.
        copies: Of the subtask's normalized examples.
        written: The results of `write`.
        writer: The teacher that wrote.
        thresholds: The thresholds of the gates that test each draft.

    Yields:
        For each result, in order, a `GeneratedExample`, or a `Rejection` by gate `generation`
        (one of `FAULTS`, `refusal`, `empty`, `unparsable`, `copy of a seed`, `control token`, or a
        fault of the draft), or a `Rejection` by one of `gates.draft_gates`.
    """
    gates = draft_gates(thresholds)
    for batch in chunked(written, ROWS_PER_BATCH):
        rows = [
            result if isinstance(result, Rejection) else _read(spec, result, copies, writer)
            for result in batch
        ]
        examples = [(i, row) for i, row in enumerate(rows) if isinstance(row, GeneratedExample)]
        refused = first_refusals([row for _, row in examples], gates)
        for place, (i, row) in enumerate(examples):
            result = batch[i]
            if refusal := refused.get(place):
                rows[i] = refusal.rejection(row)
            # The gates look for common control tokens in some fields; this looks for the writer's
            # own tokens in all fields.
            elif token := control_token_of(row, [writer.control_tokens]):
                assert isinstance(result, Written)
                detail = f"{token!r} controls a model"
                rows[i] = _rejected(result, CONTROLLING_DRAFT, detail)
        yield from rows


def _refused(rejection: Rejection) -> Work[Written | Rejection]:
    """Work without requests that refuses a seed."""
    yield from ()
    return rejection


def _write(
    spec: SubtaskSpec,
    anchor: Example,
    pool: Sequence[Example],
    round_number: int,
    writer: TeacherFacts,
    knobs: WriterKnobs,
    shown: SeedPrompts,
) -> Work[Written]:
    """Asks for one new example, with fewer neighbours for as long as the prompt is too long."""
    kind = answer_format(anchor.answer_kind)
    shots = [anchor, *shown.neighbours(anchor, pool, knobs.shots - 1)]
    draw = draw_of(spec, anchor.id, round_number, knobs.variation, knobs.varied_from)
    passage = passage_for(knobs.passages, anchor, round_number, writer)
    if passage:
        draw = replace(draw, topic=None, angle="", angle_instruction="")
    wanted_answer = (
        anchor.choices[(int(anchor.id[8:16], 16) + round_number) % len(anchor.choices)]
        if kind.choices_are_given
        else ""
    )
    sampling = knobs.sampling(writer.identity, round_number)
    while True:
        values = {
            "frame": spec.frame or kind.default_frame,
            "drafts": [shown.draft(shot) for shot in shots],
            "variation": draw.instruction,
            "topic": draw.topic.leaf if draw.topic else "",
            "field": draw.topic.field if draw.topic else "",
            "angle": draw.angle_instruction,
            "is_in_english": spec.language == "en",
            "wanted_answer": wanted_answer,
            "context": bool(anchor.context),
            "choices": len(anchor.choices),
            "labels": anchor.choices,
        }
        schema = _schema(kind.draft_model(anchor))
        if passage:
            values, schema = told_about(passage, values), without_context(schema)
        template = prompt(anchor.answer_kind, writer.identity.teacher_class)
        request = build_request(writer.identity, Role.WRITER, template, values, sampling, schema)
        (completion,) = yield [request]
        if completion.finish_reason != "too_long" or len(shots) == 1:
            return Written(anchor, shots, draw, round_number, request, completion, passage)
        shots = shots[:-1]


@lru_cache(maxsize=1 << 10)
def _schema(model: type[Draft]) -> dict[str, Any]:
    return model.model_json_schema()


def _read(
    spec: SubtaskSpec, written: Written, copies: SeedCopies, writer: TeacherFacts
) -> GeneratedExample | Rejection:
    """The example in a completion, before any gate."""
    anchor = written.anchor
    rng = random.Random(f"{anchor.id}:{written.round}")  # noqa: S311 – repeatable, not secret
    if written.completion.finish_reason == "too_long":
        shown = f"the passage {written.passage.id}" if written.passage else "the anchor alone"
        detail = (
            f"{shown} leaves no room in the writer's context; raise the teacher's max_model_len"
        )
        reason = FAULTS["too_long"]
        return Rejection(gate=GATE, reason=reason, detail=detail, row=_origin(written))
    try:
        content = _parse(written, answer_format(anchor.answer_kind), rng)
    except DraftError as error:
        return _rejected(written, str(error), written.completion.refusal)
    if copies.hold(content):
        return _rejected(written, "copy of a seed")
    return _example(spec, written, content, writer)


def _origin(written: Written) -> dict[str, Any]:
    return {
        "seed_ids": [shot.id for shot in written.shots],
        "variation": written.draw.variation,
        "topic": _topic_path(written.draw),
        "angle": written.draw.angle,
        "source": written.anchor.source.model_dump(),
    }


def _rejected(written: Written, reason: str, detail: str = "") -> Rejection:
    """A rejection that keeps what the writer said."""
    row = {**_origin(written), "completion": written.completion.model_dump()}
    return Rejection(gate=GATE, reason=reason, detail=detail, row=row)


def _parse(written: Written, kind: AnswerFormat, rng: random.Random) -> Content:
    anchor, completion = written.anchor, written.completion
    text = completion.text.strip()
    if fault := FAULTS.get(completion.finish_reason):
        raise DraftError(fault)
    if not text:
        raise DraftError("empty")
    if _refuses(text):
        raise DraftError("refusal")
    start, end = text.find("{"), text.rfind("}")
    try:
        found, model = text[start : end + 1], kind.draft_model(anchor)
        passage = written.passage
        draft = draft_about(passage, found, model) if passage else model.model_validate_json(found)
    except ValueError as error:  # pydantic's errors, of JSON and of the model
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
    spec: SubtaskSpec, written: Written, content: Content, writer: TeacherFacts
) -> GeneratedExample:
    anchor = written.anchor
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
        seed_ids=[shot.id for shot in written.shots],
        teacher=writer.identity.stamp,
        prompt_version=written.request.prompt_version,
        variation=written.draw.variation,
        topic=_topic_path(written.draw),
        angle=written.draw.angle,
        completion_id=written.completion.request_id,
        context_from=CitedPassage.of(written.passage) if written.passage else None,
        **vars(content),
    )


def _topic_path(draw: Draw) -> str:
    return draw.topic.path if draw.topic else ""
