"""The judge scores verified rows by a rubric.

Separate criteria, and a comment before the scores, are established practice for LLM judges (G-Eval,
Prometheus). A reward model may be used instead of the rubric. A verifier takes the judge's place
without scores: it only decides which answers mean the same (`comparison.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sdg_assets.answers import answer_format
from sdg_assets.enrichment.base import Enrichment, EnrichmentContext
from sdg_assets.errors import TeacherError
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    Example,
    GeneratedExample,
    JudgeApi,
    Judgement,
    Role,
    Rubric,
)
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.lengths import LENGTHS
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import (
    FAULTS,
    Completion,
    Message,
    Request,
    Sampling,
    TeacherFacts,
    Template,
    build_request,
)
from sdg_assets.teacher.sampling import sampling_of
from sdg_assets.teacher.thinking import thinks

RUBRIC, REWARD = Prompt("judge/rubric"), Prompt("judge/reward")
SCORING_APIS: tuple[JudgeApi, ...] = ("reward", "score")
"""The APIs of models that write no text."""
BEST = 5
"""Ratings are 1 to 5; they are stored as scores from 0 to 1."""


class Ratings(BaseModel):
    """The judge's answer: the comment comes first, so that the ratings follow from it."""

    model_config = ConfigDict(extra="forbid")

    comment: str = Field(max_length=400)
    self_contained: int = Field(ge=1, le=BEST)
    one_right_answer: int = Field(ge=1, le=BEST)
    same_skill: int = Field(ge=1, le=BEST)
    right_language: int = Field(ge=1, le=BEST)
    harmless: int = Field(ge=1, le=BEST)


RATINGS = Ratings.model_json_schema()


@dataclass(frozen=True)
class Judge:
    """The judge of one subtask: the model, and the description and seeds that it is given."""

    teacher: TeacherFacts
    api: JudgeApi = "rubric"
    frame: str = ""
    seeds: Mapping[str, Example] = field(default_factory=dict)
    """Id → seed, to look up the rows' anchors."""
    thinking: str = ""
    """Its thinking mode; empty: the model's default."""
    may_be_writer: bool = False
    """Whether it may judge rows that its own model wrote."""

    @property
    def sampling(self) -> Sampling:
        """Greedy, unless it thinks: greedy thoughts often repeat themselves without an end."""
        identity = self.teacher.identity
        longest = LENGTHS[identity.teacher_class].judgement
        greedy = Sampling(temperature=0.0, top_p=1.0, max_tokens=longest)
        if not thinks(identity.thinking, self.thinking):
            return greedy.model_copy(update={"thinking": self.thinking})
        return sampling_of(identity, thinking=self.thinking, temperature=None, otherwise=greedy)

    @property
    def _scores_by(self) -> Prompt:
        """The prompt for a row's score, in the words for the judge's class."""
        return _prompt(self.api).worded_for(self.teacher.identity.teacher_class)

    def compares(self, kind: AnswerKind) -> bool:
        """Whether it decides if two answers of a kind mean the same; a reward model cannot."""
        policy = kind.policy
        if self.api == "verifier":
            return policy.is_compared_by_judge or policy.is_compared_by_verifier
        return self.api == "rubric" and policy.is_compared_by_judge

    def check_writer(self, row: GeneratedExample) -> None:
        """Checks that the judge's model did not write the row, unless it may have.

        Models prefer their own texts. Another revision of a model counts as the same model.

        Raises:
            TeacherError: It did, and may not.
        """
        model = self.teacher.identity.stamp.model
        if model == row.teacher.model and not self.may_be_writer:
            raise TeacherError(
                f"the judge {model} wrote row {row.id}, and a model may not judge its own rows: "
                "set SDG_JUDGE to another model, or SDG_WITH_JUDGE=false for rows without a "
                "judge, or allow it with SDG_JUDGE_MAY_BE_WRITER=true"
            )

    def rating_request(self, row: EnrichedExample) -> Request:
        """The request for a verified row's score."""
        if self.api == "reward":
            return self.request(_Exchange(self._scores_by), {"row": judged_parts(row)})
        seed = self.seeds.get(row.seed_ids[0]) if row.seed_ids else None
        values = {
            "frame": self.frame,
            "seed": _draft_of(seed) if seed else "",
            "language": row.language,
            "row": judged_parts(row),
        }
        return self.request(self._scores_by, values, RATINGS)

    def judgement(self, completion: Completion) -> Judgement:
        """The score in a completion. An unreadable completion scores 0, with the reason."""
        score, criteria, reasons = _read(completion, self.api)
        return Judgement(
            score=score,
            criteria=criteria,
            reasons=reasons,
            judge=self.teacher.identity.stamp,
            prompt_version=self._scores_by.version,
        )

    def request(
        self,
        prompt: Template,
        values: Mapping[str, Any],
        json_schema: dict[str, Any] | None = None,
    ) -> Request:
        """A request to the judge.

        Args:
            prompt: The prompt.
            values: The values of its variables: JSON values.
            json_schema: The schema of the answer; None for a verifier's one word, and for a reward
                model, which writes no text.
        """
        sampling = self.sampling
        if self.api in SCORING_APIS:  # it reads the whole context and writes nothing
            sampling = sampling.model_copy(update={"max_tokens": 0})
        return build_request(
            self.teacher.identity, Role.JUDGE, prompt, values, sampling, json_schema
        )


def judged_parts(row: Example) -> dict[str, Any]:
    """The parts of a row that a judge may read, as values of its prompts."""
    reasoning = row.reasoning if isinstance(row, EnrichedExample) else ""
    parts = ("context", "question", "choices", "tests", "answer")
    return {**{part: getattr(row, part) for part in parts}, "reasoning": reasoning}


@dataclass(frozen=True)
class _Exchange:
    """A prompt whose parts are a user's turn and the assistant's answer, for a reward model."""

    prompt: Prompt

    @property
    def version(self) -> str:
        return self.prompt.version

    def render(self, **values: Any) -> tuple[Message, ...]:  # noqa: ANN401 – template variables
        question, answer = self.prompt.render(**values)
        return (
            Message(role="user", content=question.content),
            Message(role="assistant", content=answer.content),
        )


class JudgeEnrichment(Enrichment):
    """Has every verified row scored, if there is a judge."""

    name = "judge"
    role = Role.JUDGE
    columns = frozenset({"judge"})

    def prompts(self, kind: AnswerKind, judge_api: JudgeApi) -> tuple[Prompt, ...]:
        """The rubric, or the prompt of a reward model; a verifier gives no scores."""
        del kind
        return () if judge_api == "verifier" else (_prompt(judge_api),)

    def is_wanted(self, row: EnrichedExample, context: EnrichmentContext) -> bool:
        """Every verified row is scored, except by a verifier."""
        del row
        return context.judge_api != "verifier"

    def ask(self, row: EnrichedExample, context: EnrichmentContext) -> Work[Mapping[str, Any]]:
        """Makes one request. A row that does not fit the judge gets an unreadable judgement."""
        teacher = context.teachers[Role.JUDGE]
        judge = Judge(
            teacher,
            context.judge_api,
            context.frame,
            context.seeds,
            context.thinking.get(Role.JUDGE, ""),
        )
        (completion,) = yield [judge.rating_request(row)]
        return {"judge": judge.judgement(completion)}

    def numbers(self, added: Mapping[str, Any]) -> Mapping[str, float]:
        """No counts: the checks and the release report the scores themselves."""
        del added
        return {}


def _prompt(api: JudgeApi) -> Prompt:
    return RUBRIC if api == "rubric" else REWARD


def _draft_of(seed: Example) -> str:
    """A seed in the form that the writer saw."""
    return answer_format(seed.answer_kind).draft_of(seed).model_dump_json()


def _read(completion: Completion, api: JudgeApi) -> tuple[float, Rubric | None, list[str]]:
    if completion.finish_reason == "too_long":
        return 0.0, None, ["unreadable: the row does not fit the judge"]
    if completion.finish_reason == "refused":
        return 0.0, None, [f"unreadable: the judge's server refused: {completion.refusal}"]
    try:
        if api == "rubric":
            ratings = Ratings.model_validate_json(completion.text.strip())
        else:
            return _logistic(float(json.loads(completion.text)["reward"])), None, []
    except (ValueError, KeyError, TypeError):
        ended = FAULTS.get(completion.finish_reason, completion.finish_reason)
        return 0.0, None, [f"unreadable: {ended}: {completion.text[:200]}"]
    scores = ratings.model_dump(exclude={"comment"})
    criteria = Rubric(**{name: (rating - 1) / (BEST - 1) for name, rating in scores.items()})
    mean = sum(criteria.model_dump().values()) / len(scores)
    return round(mean, 4), criteria, [ratings.comment.strip()]


def _logistic(reward: float) -> float:
    return round(1 / (1 + math.exp(-max(-60.0, min(60.0, reward)))), 6)


ENRICHMENT = JudgeEnrichment()
