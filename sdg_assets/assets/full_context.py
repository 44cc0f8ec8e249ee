"""Whether a role's output leaves room for a prompt in its teacher's context."""

from __future__ import annotations

from dataclasses import replace

from sdg_assets.assets.knobs import SolverConfig, WriterConfig
from sdg_assets.enrichment.judge import SCORING_APIS, Judge
from sdg_assets.errors import TeacherError
from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets.teacher.requests import Sampling, Teacher, output_limit

LEAST_PROMPT = 64
"""Tokens of a very short prompt: no role's instructions alone are shorter."""
_LENGTH_SETTINGS = {Role.WRITER: "SDG_WRITER_MAX_TOKENS", Role.SOLVER: "SDG_SOLVER_MAX_TOKENS"}


def refuse_full_context(role: Role, teacher: Teacher, settings: Settings) -> None:
    """Refuses a teacher whose context the longest output of a role fills up.

    A server of 8,192 tokens that serves Qwen3-32B, whose thoughts may take as many, refused every
    row as too long: nothing was asked, and nothing failed. A context that nobody states, neither
    card nor settings nor server, is not checked: then the server refuses what does not fit.

    Raises:
        TeacherError: No prompt fits beside thought and answer; the message says what to set.
    """
    context = teacher.identity.max_model_len
    sampling = _sampling(role, teacher, settings)
    if context is None or sampling is None:
        return
    thinking = teacher.identity.thinking
    output = output_limit(thinking, sampling)
    needed = output + LEAST_PROMPT
    if needed <= context:
        return
    answer, thought = sampling.max_tokens, output - sampling.max_tokens
    limits = f"an answer of {answer} tokens"
    if thought:
        limits = f"a thought of {thought} and {limits}"
    advice = [
        f"give it a context of at least {needed} tokens, better twice that: SDG_ENGINE="
        f"'{{\"max_model_len\": {2 * needed}}}' for a model that a step loads, --max-model-len of a"
        " server"
    ]
    if thinking and thought:
        advice.append("lower `max_tokens` of `thinking` in its card in teachers.yaml (SDG_CATALOG)")
        if "off" in thinking.modes:
            advice.append(f"let it answer at once: SDG_THINKING={role}:off")
    if role in _LENGTH_SETTINGS:
        advice.append(f"lower the answer's limit: {_LENGTH_SETTINGS[role]}")
    raise TeacherError(
        f"the {role} {teacher.identity.stamp.model} may write {limits}, but its context holds "
        f"{context} tokens with the prompt, so every row would be too long. Do one of these: "
        f"{'; '.join(advice)}"
    )


def _sampling(role: Role, teacher: Teacher, settings: Settings) -> Sampling | None:
    """How a role's usual request is sampled; None for a model that writes no text."""
    mode = settings.thinking.get(role, "")
    if role is Role.WRITER:
        return WriterConfig().knobs(settings).sampling(teacher.identity, 0)
    if role is Role.JUDGE:
        judge = Judge(teacher, settings.judge_api, thinking=mode)
        return None if judge.api in SCORING_APIS else judge.sampling
    knobs = SolverConfig().knobs(settings)
    if role is Role.PROBE:  # as `enrichment.probe` asks it
        knobs = replace(knobs, temperature=None, max_tokens=None, thinking=mode)
    return knobs.sampling(teacher.identity, 0)
