"""A judge that is no chat model: a reward or scoring model behind a vLLM server.

It speaks the `Teacher` protocol, so its scores go through the same log as every completion: the
text of a completion is `{"reward": x}`, x before any activation.
"""

from __future__ import annotations

import json
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from sdg_assets.errors import TeacherError
from sdg_assets.teacher.endpoint import EndpointTeacher
from sdg_assets.teacher.requests import Completion, Request

ScoringApi = Literal["reward", "score"]


class RewardTeacher(EndpointTeacher):
    """Scores a conversation of a question (user) and its answer (assistant).

    `reward`: the conversation goes through the model's chat template to `/classify`, as reward
    models are trained (one label; of two, the second is "good"). `score`: question and answer go as
    a pair to `/score`, as cross-encoders are.
    """

    def __init__(
        self, url: str, api: ScoringApi, concurrency: int = 64, catalog: Path | None = None
    ) -> None:
        """Connects as `EndpointTeacher` does.

        Args:
            url: The server's address, with or without `/v1`.
            api: Which of the server's APIs scores.
            concurrency: Requests under way at a time.
            catalog: Where `teachers.yaml` lies, if not built in.
        """
        super().__init__(url, concurrency, catalog)
        self._api = api

    def complete(self, request: Request) -> Completion:
        """The score as a completion without tokens of its own.

        Raises:
            TeacherError: The model has no score to give: it has another number of labels.
            TransientError: The server does not answer.
        """
        began = time.monotonic()
        messages = self.words.harmless(request.messages)
        question, answer = (message["content"] for message in messages)
        body: dict[str, Any] = {"model": self.model, "use_activation": False}
        if self._api == "reward":
            body["messages"] = messages
            answered = self._score("/classify", body)
            reward = self._of_labels(answered["data"][0]["probs"])
        else:
            answered = self._score("/score", {**body, "text_1": question, "text_2": answer})
            reward = float(answered["data"][0]["score"])
        return Completion(
            request_id=request.id,
            text=json.dumps({"reward": round(reward, 6)}),
            finish_reason="stop",
            prompt_tokens=int((answered.get("usage") or {}).get("prompt_tokens") or 0),
            output_tokens=0,
            seconds=round(time.monotonic() - began, 3),
        )

    def _score(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.send("POST", path, body)
        except TeacherError as error:
            raise TeacherError(
                f"{error}. SDG_JUDGE_API={self._api} needs a server that serves a scoring model "
                f"at {path}; a chat model judges with SDG_JUDGE_API=rubric"
            ) from error

    def _of_labels(self, logits: list[float]) -> float:
        if len(logits) == 1:
            return float(logits[0])
        if len(logits) == 2:  # the logistic of the difference is the softmax of the second
            return float(logits[1] - logits[0])
        raise TeacherError(
            f"teacher {self.model}: {len(logits)} labels; a reward model has one, or two of which "
            "the second is good. Set SDG_JUDGE to such a model, or SDG_JUDGE_API=rubric"
        )


@lru_cache(maxsize=4)
def reward_teacher(
    url: str, api: ScoringApi, concurrency: int, catalog: Path | None = None
) -> RewardTeacher:
    """The client of that server, checked once per process.

    Raises:
        TransientError: The server does not answer.
        TeacherError: It cannot be used.
    """
    return RewardTeacher(url, api, concurrency, catalog)
