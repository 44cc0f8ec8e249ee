"""A reward model as the judge: a real model in a real vLLM server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdg_assets.enrichment.judge import Judge
from sdg_assets.errors import TeacherError
from sdg_assets.records import EnrichedExample, JudgeApi, Role
from sdg_assets.settings import Settings, settings
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import FailedRequest
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.records import enriched
from sdg_assets_tests.support.vllm_server import vllm_server

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def reward_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The quick teacher with an untrained head of one label; its scores have no meaning."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("reward")
    quick = resolve("smollm2-135m").path_or_id
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(quick, num_labels=1)
    model.config.pad_token_id = model.config.eos_token_id
    model.save_pretrained(folder / "model")
    transformers.AutoTokenizer.from_pretrained(quick).save_pretrained(folder / "model")
    with vllm_server(folder / "log", folder / "model") as url:
        yield url


def scored(settings: Settings, row: EnrichedExample) -> float:
    teacher = open_teacher(settings, Role.JUDGE)
    judge = Judge(teacher, settings.judge_api)
    request = judge.rating_request(row)
    assert request
    teacher.submit(request)
    (completion,) = teacher.poll()
    if isinstance(completion, FailedRequest):
        raise completion.error
    assert completion.prompt_tokens > 10
    judgement = judge.judgement(completion)
    assert judgement.judge.model == "model"
    return judgement.score


@pytest.mark.parametrize("api", ["reward", "score"])
def test_a_served_reward_model_scores_rows(
    api: JudgeApi, reward_server: str, configure: Configure
) -> None:
    configure(judge=reward_server, judge_api=api)
    row, other = enriched(), enriched(answer_index=2, reasoning="It is on the Manzanares.")

    first = scored(settings(), row)

    assert 0 < first < 1
    assert scored(settings(), row) == first
    assert scored(settings(), other) != first


def test_a_chat_server_cannot_take_a_reward_models_place(server: str, configure: Configure) -> None:
    configure(judge=server, judge_api="reward")

    with pytest.raises(TeacherError, match="SDG_JUDGE_API=reward needs a server that serves"):
        scored(settings(), enriched())
