"""A judge that is not a chat model: a reward or scoring model behind a vLLM server.

It implements the `Teacher` protocol, so its scores go through the same log as every completion. The
text of a completion is `{"reward": x}`, where x is the score before any activation function.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal

from sdg_assets.addresses import Credentials
from sdg_assets.errors import TeacherError
from sdg_assets.teacher.backend import CONCURRENCY, STALLED_SECONDS, TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher, ServerBackend
from sdg_assets.teacher.requests import Completion, Request
from sdg_assets.teacher.server.replies import Classification, ReplyT, ReportedUsage, Scoring

ScoringApi = Literal["reward", "score"]


class RewardTeacher(EndpointTeacher):
    """Scores a conversation of a question (user) and its answer (assistant).

    `reward`: the conversation goes through the model's chat template to `/classify`, as reward
    models are trained. They have one label, or two of which the second is "good". `score`: question
    and answer go as a pair to `/score`, as cross-encoders are trained.
    """

    def __init__(
        self,
        url: str,
        api: ScoringApi,
        concurrency: int = CONCURRENCY,
        catalog: Path | None = None,
        *,
        credentials: Credentials | None = None,
        stalled_seconds: float = STALLED_SECONDS,
    ) -> None:
        """Connects as `EndpointTeacher` does.

        Args:
            url: The server's address, with or without `/v1`.
            api: Which of the server's APIs scores.
            concurrency: Most requests under way at a time.
            catalog: Directory of `teachers.yaml`; None: the built-in file.
            credentials: User and password for the server.
            stalled_seconds: Seconds without progress after which the server counts as frozen.
        """
        super().__init__(
            url, concurrency, catalog, credentials=credentials, stalled_seconds=stalled_seconds
        )
        self._api = api

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request to the scoring API."""
        messages = self.conversation(request.messages)
        body: dict[str, Any] = {"model": self.model, "use_activation": False}
        if self._api == "reward":
            return {**body, "messages": messages}
        question, answer = (message["content"] for message in messages)
        return {**body, "text_1": question, "text_2": answer}

    async def complete(self, request: Request, body: dict[str, Any]) -> Completion:
        """Sends the body of a request and returns the score as a completion without output tokens.

        Raises:
            TeacherError: The model is not a scoring model, or has more than two labels.
            TransientError: The server does not answer.
        """
        began = time.monotonic()
        usage: ReportedUsage | None
        if self._api == "reward":
            classified = await self._ask("/classify", Classification, body)
            reward, usage = self._of_labels(classified.data[0].probs), classified.usage
        else:
            scored = await self._ask("/score", Scoring, body)
            reward, usage = scored.data[0].score, scored.usage
        return Completion(
            request_id=request.id,
            text=json.dumps({"reward": round(reward, 6)}),
            finish_reason="stop",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=0,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _ask(self, path: str, kind: type[ReplyT], body: dict[str, Any]) -> ReplyT:
        try:
            return await self.server.ask("POST", path, kind, body)
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


def _connect(spec: TeacherSpec) -> RewardTeacher:
    assert spec.api != "rubric", "the backend has other APIs"
    return RewardTeacher(
        spec.name,
        spec.api,
        spec.concurrency or CONCURRENCY,
        spec.catalog,
        credentials=spec.credentials,
        stalled_seconds=spec.stalled_seconds,
    )


BACKEND = RewardBackend(_connect)
