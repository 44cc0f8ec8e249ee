"""Models that think, as cards describe them."""

from __future__ import annotations

from sdg_assets.teacher.requests import TeacherIdentity
from sdg_assets.teacher.thinking import RecommendedSampling, SamplingAdvice, Thinking
from sdg_assets_tests.support.records import STAMP

SWITCHED = Thinking.model_validate(
    {
        "default": "on",
        "switch": "template",
        "on": {"enable_thinking": True},
        "off": {"enable_thinking": False},
        "parser": "qwen3",
        "max_tokens": 1000,
    }
)
ALWAYS = Thinking.model_validate(
    {
        "default": "on",
        "switch": "none",
        "efforts": {"low": {"reasoning_effort": "low"}, "high": {"reasoning_effort": "high"}},
        "parser": "openai_gptoss",
        "max_tokens": 1000,
    }
)
BY_SYSTEM = Thinking.model_validate(
    {
        "default": "off",
        "switch": "system",
        "on": "detailed thinking on",
        "parser": "deepseek_r1",
        "max_tokens": 1000,
    }
)
RECOMMENDED = RecommendedSampling(
    thinking=SamplingAdvice(temperature=0.6, top_p=0.95, top_k=20, min_p=0.0),
    answering=SamplingAdvice(temperature=0.65, top_p=0.8, top_k=20),
)
THINKER = TeacherIdentity(STAMP, thinking=SWITCHED, sampling=RECOMMENDED)
