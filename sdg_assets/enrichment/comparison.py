"""Has a model decide whether two answers mean the same, where no rule can decide.

The judge compares prose by a prompt of this project. A verifier compares prose and short answers by
the prompt that it was trained on (`verifiers.py`). The verdicts are kept in the row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sdg_assets.answers import answer_format
from sdg_assets.answers.wording import normalized
from sdg_assets.enrichment.ballot import Ballot
from sdg_assets.enrichment.judge import Judge, judged_parts
from sdg_assets.enrichment.verifiers import VERIFIERS
from sdg_assets.records import (
    Equivalence,
    Example,
    GeneratedExample,
    JudgeApi,
    Verdict,
    VerdictWord,
    VerifierFamily,
)
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import FAULTS, Completion, Request, Template

COMPARISON = Prompt("judge/comparison")


class Comparison(BaseModel):
    """The judge's answer: whether two answers mean the same."""

    model_config = ConfigDict(extra="forbid")

    difference: str = Field(max_length=200)
    same: bool


SCHEMA = Comparison.model_json_schema()


def prompts(judge_api: JudgeApi) -> tuple[Prompt, ...]:
    """The prompts that ask a model to compare; a reward model cannot compare."""
    if judge_api == "verifier":
        return tuple(verifier.prompt.prompt for verifier in VERIFIERS.values())
    return (COMPARISON,) if judge_api == "rubric" else ()


def comparison_request(judge: Judge, example: Example, answer: str) -> Request:
    """Asks whether an answer means the same as the example's."""
    schema = None if judge.api == "verifier" else SCHEMA
    values = {"example": judged_parts(example), "answer": answer}
    return judge.request(_prompt_of(judge), values, schema)


def _prompt_of(judge: Judge) -> Template:
    return VERIFIERS[family_of(judge)].prompt if judge.api == "verifier" else COMPARISON


def verdict_of(judge: Judge, completion: Completion) -> VerdictWord:
    """The verdict in a completion."""
    if completion.finish_reason in FAULTS:
        return "cut_off"
    if judge.api == "verifier":
        return VERIFIERS[family_of(judge)].read(completion.text)
    try:
        same = Comparison.model_validate_json(completion.text.strip()).same
    except ValidationError:
        return "unreadable"
    return "correct" if same else "incorrect"


def family_of(judge: Judge) -> VerifierFamily:
    """The family of the verifier that takes the judge's place; the backend has checked it."""
    family = judge.teacher.identity.verifier
    assert family
    return family


class ComparedAnswers:
    """Which of the votes' answers mean the same: by rule, and by a model where there is one."""

    def __init__(self, example: GeneratedExample, judge: Judge | None) -> None:
        """Starts without verdicts.

        Args:
            example: The question with the writer's answer.
            judge: None if there is no judge.
        """
        self._example, self._format = example, answer_format(example.answer_kind)
        self._judge = judge if judge and judge.compares(example.answer_kind) else None
        self._verdicts: dict[str, VerdictWord] = {}
        self.invalid = 0
        """Number of ballots whose answer the verifier found invalid."""

    @property
    def equivalence(self) -> Equivalence | None:
        """The verdicts, as a row keeps them; None if only rules compare."""
        if self._judge is None:
            return None
        return Equivalence(
            verdicts=[Verdict(answer=a, verdict=v) for a, v in self._verdicts.items()],
            verifier=self._judge.teacher.identity.stamp,
            prompt_version=_prompt_of(self._judge).version,
        )

    def requests(self, answers: Iterable[str | None]) -> dict[str, Request]:
        """The requests to the judge for answers that are new: answer → request.

        Args:
            answers: The answers of the votes so far; None for a vote without an answer.
        """
        if self._judge is None:
            return {}
        requests: dict[str, Request] = {}
        for answer in dict.fromkeys(answer for answer in answers if answer is not None):
            if answer in self._verdicts:
                continue
            if self._is_equal(answer):
                self._verdicts[answer] = "equal"
            else:
                requests[answer] = comparison_request(self._judge, self._example, answer)
        return requests

    def note(self, answers: Iterable[str], replies: Iterable[Completion]) -> None:
        """Stores the judge's verdicts on these answers."""
        assert self._judge
        for answer, reply in zip(answers, replies, strict=True):
            self._verdicts[answer] = verdict_of(self._judge, reply)

    def counted(self, ballot: Ballot) -> Ballot:
        """The ballot; without its answer if the model found that invalid, or was cut off.

        If a reply that was cut off counted as disagreement, a judge with too small a budget would
        have right answers refused, or even corrected.
        """
        verdict = self._verdicts.get(ballot.answer) if ballot.answer is not None else None
        if verdict == "cut_off":
            return replace(ballot, answer=None, fault="not_compared")
        if verdict != "invalid":
            return ballot
        self.invalid += 1
        return replace(ballot, answer=None)

    def same(self, left: str, right: str) -> bool:
        """Whether two answers mean the same.

        With a judge: both agree with the writer, or neither does and they are the same by rule.
        """
        if self._judge:
            agree = self._agrees(left), self._agrees(right)
            if any(agree):
                return all(agree)
        return self._format.same(left, right, self._example)

    def _agrees(self, answer: str) -> bool:
        is_writers = answer == self._example.answer
        return is_writers or self._verdicts.get(answer) in ("equal", "correct")

    def _is_equal(self, answer: str) -> bool:
        """Whether no model need be asked: equal words, or a kind whose own rule is certain."""
        if self._example.answer_kind.policy.is_compared_by_judge:
            return normalized(answer) == normalized(self._example.answer)
        return self._format.same(answer, self._example.answer, self._example)
