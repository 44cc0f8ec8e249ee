"""How a role's tokens are sampled: the setting, else what the model's makers recommend."""

from __future__ import annotations

from functools import lru_cache

from sdg_assets.teacher.requests import Sampling, TeacherIdentity
from sdg_assets.teacher.thinking import SamplingAdvice, thinks


def sampling_of(
    identity: TeacherIdentity,
    *,
    thinking: str,
    temperature: float | None,
    otherwise: Sampling,
    sample: int = 0,
) -> Sampling:
    """The sampling of one request.

    Args:
        identity: The teacher, with the recommendations of its card.
        thinking: The role's thinking mode; empty: the model's default.
        temperature: The temperature of the settings; None: as recommended.
        otherwise: The values that neither settings nor card give, and the length of the answer.
        sample: The number of the sample.
    """
    recommended = identity.sampling
    advice = recommended.thinking if thinks(identity.thinking, thinking) else recommended.answering
    return _sampling(advice, thinking, temperature, otherwise, sample)


# A partition's requests differ only in `sample`. Typed, because 0 and 0.0 give different ids.
@lru_cache(maxsize=1 << 10, typed=True)
def _sampling(
    advice: SamplingAdvice,
    thinking: str,
    temperature: float | None,
    otherwise: Sampling,
    sample: int,
) -> Sampling:
    values = {name: value for name, value in advice.model_dump().items() if value is not None}
    if temperature is not None:
        values["temperature"] = temperature
    return otherwise.model_copy(update={**values, "thinking": thinking, "sample": sample})
