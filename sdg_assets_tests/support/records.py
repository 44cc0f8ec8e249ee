"""Builds complete, valid records; a test names only the fields that matter to it."""

from __future__ import annotations

from typing import Any

from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    Example,
    GeneratedExample,
    Judgement,
    Rubric,
    Seed,
    Source,
    TeacherStamp,
    Vote,
    content_id,
)

STAMP = TeacherStamp(model="org/teacher", revision="r1", license="Apache-2.0")
CAPITALS = ["Paris", "Rome", "Madrid", "Lisbon"]


def source(
    row: int = 0,
    license: str = "MIT",  # noqa: A002 – the field's name
    dataset: str = "org/quiz",
) -> Source:
    return Source(
        dataset=dataset, config="main", split="train", row=row, revision="r0", license=license
    )


def seed(row: int = 0, **columns: Any) -> Seed:
    return Seed(source=source(row), row=columns)


def _fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "task": "quiz",
        "subtask": "quiz",
        "family": "knowledge",
        "domain": "trivia",
        "language": "en",
        "answer_kind": AnswerKind.MULTIPLE_CHOICE,
        "question": "What is the capital of France?",
        "source": source(),
        **changes,
    }
    if fields["answer_kind"].selects:
        fields.setdefault("choices", CAPITALS)
        fields.setdefault("answer_index", 0)
        if "answer" not in fields:
            fields["answer"] = fields["choices"][fields["answer_index"]]
    fields.setdefault("answer", "42")
    identity = (fields["subtask"], fields["question"], fields.get("choices"), fields["answer"])
    fields.setdefault("id", content_id(*identity, fields.get("context", "")))
    return fields


def example(**changes: Any) -> Example:
    """A multiple-choice question about capitals, with the given fields changed."""
    return Example(**_fields(**changes))


def numeric(question: str = "How much is six times seven?", **changes: Any) -> Example:
    """A question whose answer is 42."""
    return example(answer_kind=AnswerKind.NUMERIC, question=question, **changes)


def generated(**changes: Any) -> GeneratedExample:
    """`example` as a generated row."""
    written = {
        "seed_ids": ["seed-1"],
        "teacher": STAMP,
        "prompt_version": "write/multiple_choice@00000000",
        "variation": "new_topic",
        "topic": "geography/rivers and seas/Nile",
        "angle": "a museum label",
        "completion_id": "completion-1",
    }
    return GeneratedExample(**_fields(**{**written, **changes}))


def enriched(**changes: Any) -> EnrichedExample:
    """`generated` with three votes of three for its answer."""
    written = {k: v for k, v in changes.items() if k in GeneratedExample.model_fields}
    fields = dict(generated(**written)) | changes
    solved = {
        "reasoning": f"Think. Answer: {fields['answer']}",
        "knowledge": "France is a country in Europe.",
        "votes": [Vote(answer=fields["answer"], count=3)],
        "votes_cast": 3,
        "vote_share": 1.0,
        "outcome": "agreed",
        "solver": STAMP,
    }
    return EnrichedExample(**{**solved, **fields})


def judgement(score: float = 1.0, **criteria: float) -> Judgement:
    """A rubric's scores: `score` for each criterion that is not named."""
    rubric = Rubric(**dict.fromkeys(Rubric.model_fields, score) | criteria)
    scores = rubric.model_dump().values()
    return Judgement(
        score=sum(scores) / len(scores),
        criteria=rubric,
        reasons=["dull"],
        judge=STAMP,
        prompt_version="judge/rubric@00000000",
    )
