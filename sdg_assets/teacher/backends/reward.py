"""A judge that is not a chat model: a reward or scoring model behind a vLLM server.

It implements the `Teacher` protocol, so its scores go through the same log as every completion. The
text of a completion is `{"reward": x}`, where x is the score before any activation function.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from sdg_assets.errors import TeacherError
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher, ServerBackend, form_of
from sdg_assets.teacher.requests import Completion, Request
from sdg_assets.teacher.server.replies import Classification, ReplyT, ReportedUsage, Scoring


class RewardTeacher(EndpointTeacher):
    """Scores a conversation of a question (user) and its answer (assistant).

    With the API `reward` the conversation goes through the model's chat template to `/classify`, as
    reward models are trained. They have one label, or two of which the second is "good". With
    `score` question and answer go as a pair to `/score`, as cross-encoders are trained.
    """

    def __init__(self, spec: TeacherSpec) -> None:
        """Connects as `EndpointTeacher` does.

        Args:
            spec: The teacher; its `api` says which of the server's APIs scores.
        """
        assert spec.api in RewardBackend.apis
        super().__init__(spec)
        self._api = spec.api

    def longest_output(self, request: Request) -> int:
        """0: it writes nothing."""
        return 0

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request to the scoring API."""
        messages = self.words.harmless(request.messages)
        body: dict[str, Any] = {"model": self.model, "use_activation": False}
        if self._api == "reward":
            return {**body, "messages": [message.model_dump() for message in messages]}
        question, answer = (message.content for message in messages)
        return {**body, "text_1": question, "text_2": answer}

    async def complete(self, request: Request, body: dict[str, Any]) -> Completion:
        """Sends the body of a request and returns the score as a completion without output tokens.

        Raises:
            TeacherError: The model is not a scoring model, or has more than two labels.
            TransientError: No server answers.
            TooLongError: Question and answer exceed the model's context.
        """
        began = time.monotonic()
        usage: ReportedUsage | None
        if self._api == "reward":
            classified = await self._ask("/classify", Classification, body, request)
            reward, usage = self._of_labels(classified.data[0].probs), classified.usage
        else:
            scored = await self._ask("/score", Scoring, body, request)
            reward, usage = scored.data[0].score, scored.usage
        return Completion(
            request_id=request.id,
            text=json.dumps({"reward": round(reward, 6)}),
            finish_reason="stop",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=0,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _ask(
        self, path: str, kind: type[ReplyT], body: dict[str, Any], request: Request
    ) -> ReplyT:
        try:
            return await self.fleet.ask(path, kind, body, form=form_of(request))
        except TeacherError as error:
            raise TeacherError(
                f"{error}. SDG_JUDGE_API={self._api} needs a server that serves a scoring model "
                f"at {path}; a chat model judges with SDG_JUDGE_API=rubric"
            ) from error

    def _of_labels(self, logits: list[float]) -> float:
        if len(logits) == 1:
            return float(logits[0])
        if len(logits) == 2:  # the sigmoid of the difference is the softmax of the second
            return float(logits[1] - logits[0])
        raise TeacherError(
            f"teacher {self.model}: {len(logits)} labels; a reward model has one, or two of which "
            "the second is good. Set SDG_JUDGE to such a model, or SDG_JUDGE_API=rubric"
        )


class RewardBackend(ServerBackend[RewardTeacher]):
    """Servers that are asked for scores."""

    name = "reward"
    apis = ("reward", "score")

    def names(self, catalog: Path | None) -> str:
        """Addresses."""
        return "http://..., the address of a vLLM server that serves the scoring model"


BACKEND = RewardBackend(RewardTeacher)
