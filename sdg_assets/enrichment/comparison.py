"""Has the judge decide whether two prose answers mean the same, which no rule can decide."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sdg_assets.answers import answer_format
from sdg_assets.answers.wording import normalized
from sdg_assets.enrichment.judge import Judge, judged_parts
from sdg_assets.records import Example, GeneratedExample, JudgeApi
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import Completion, Request

COMPARISON = Prompt("judge/comparison")


class Comparison(BaseModel):
    """The judge's answer: whether two answers mean the same."""

    model_config = ConfigDict(extra="forbid")

    difference: str = Field(max_length=200)
    same: bool


SCHEMA = Comparison.model_json_schema()


def prompts(judge_api: JudgeApi) -> tuple[Prompt, ...]:
    """The prompts that ask a judge to compare; a reward model cannot compare."""
    return (COMPARISON,) if judge_api == "rubric" else ()


def comparison_request(judge: Judge, example: Example, answer: str) -> Request:
    """Asks whether an answer means the same as the example's."""
    values = {"example": judged_parts(example), "answer": answer}
    return judge.request(COMPARISON, values, SCHEMA)


def says_the_same(completion: Completion) -> bool:
    """The result of a comparison; one that is unreadable or too long counts as different."""
    try:
        return Comparison.model_validate_json(completion.text.strip()).same
    except ValidationError:
        return False


class ComparedAnswers:
    """The judge's results on which prose answers mean the same as the writer's."""

    def __init__(self, example: GeneratedExample, judge: Judge | None) -> None:
        """Starts without results.

        Args:
            example: The question with the writer's answer.
            judge: None if there is no judge.
        """
        self.is_judged = (
            judge is not None and judge.compares and example.answer_kind.policy.is_compared_by_judge
        )
        self._example, self._judge = example, judge
        self._agrees: dict[str, bool] = {example.answer: True}

    def requests(self, answers: Iterable[str | None]) -> dict[str, Request]:
        """The requests to the judge for answers that are new: answer → request.

        Args:
            answers: The answers of the votes so far; None for a vote without an answer.
        """
        if not self.is_judged or self._judge is None:
            return {}
        requests: dict[str, Request] = {}
        for answer in {answer: None for answer in answers if answer is not None}:
            if answer in self._agrees:
                continue
            if normalized(answer) == normalized(self._example.answer):
                self._agrees[answer] = True
            else:
                requests[answer] = comparison_request(self._judge, self._example, answer)
        return requests

    def note(self, answers: Iterable[str], verdicts: Iterable[Completion]) -> None:
        """Stores the judge's results for these answers."""
        for answer, verdict in zip(answers, verdicts, strict=True):
            self._agrees[answer] = says_the_same(verdict)

    def same(self, left: str, right: str) -> bool:
        """Whether both agree with the writer, or neither does and they share most words."""
        agree = self._agrees.get(left, False), self._agrees.get(right, False)
        if any(agree):
            return all(agree)
        return answer_format(self._example.answer_kind).same(left, right, self._example)
