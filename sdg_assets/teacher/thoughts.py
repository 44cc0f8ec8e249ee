"""Thought and answer of an output: what a parser or a server parted, and what they left together.

Every output passes `settled`: it parts the tags that a parser left in an answer, so that no raw
thought reaches a training text, names a thought that was cut off, and tells of a teacher that
thinks although its role should not. In this process the parser is `thought_parser.ThoughtParser`; a
server has its own, and `parted_reply` reads its message.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sdg_assets.records import Role
from sdg_assets.teacher.requests import FinishReason, Request
from sdg_assets.teacher.thinking import Thinking, thinks

log = logging.getLogger(__name__)
_MARKS = (
    (r"<(?:think|thinking|seed:think|mm:think)>", r"</(?:think|thinking|seed:think|mm:think)>"),
    (r"\[THINK\]", r"\[/THINK\]"),  # Mistral
    ("◁think▷", "◁/think▷"),  # Kimi
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Cohere
    (r"<\|channel>thought\n", r"<channel\|>"),  # Gemma
    # gpt-oss: its form "harmony", and what is left of it without the special tokens.
    (
        r"<\|channel\|>analysis<\|message\|>",
        r"<\|end\|>\s*<\|start\|>assistant\s*<\|channel\|>final[^<]*<\|message\|>",
    ),
    (r"analysis(?=[A-Z])", r"(?<=\S)assistantfinal(?=\S)"),
)
"""What opens and what closes a thought, by family of models."""
_OPENED = tuple(re.compile(rf"\A\s*{opening}") for opening, _ in _MARKS)
_CLOSED = tuple(re.compile(closing) for _, closing in _MARKS)


@dataclass(frozen=True)
class Parted:
    """An output, parted into thought and answer."""

    answer: str
    reasoning: str = ""
    finish_reason: FinishReason = "stop"
    reasoning_tokens: int = 0


def response_format(json_schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer, as OpenAI's API takes it."""
    schema = {"name": "draft", "schema": json_schema, "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def thinking_body(thinking: Thinking | None, mode: str) -> dict[str, Any]:
    """The fields of a server's request that choose a thinking mode and end a thought at its budget.

    Args:
        thinking: How the model thinks; None: it does not.
        mode: The mode; empty: the model's default.
    """
    if thinking is None:
        return {}
    body: dict[str, Any] = {}
    if budget := thinking.budget(mode):
        # A field of vLLM. `max_tokens` is thought and answer together: without this a long thought
        # would take the answer's share.
        body["thinking_token_budget"] = budget
    template = dict(thinking.instruction(mode).template)
    if not template:
        return body
    body["chat_template_kwargs"] = template
    # vLLM renders gpt-oss's prompts without the model's template, from this field alone.
    if isinstance(effort := template.get("reasoning_effort"), str):
        body["reasoning_effort"] = effort
    return body


def parted_reply(
    thinking: Thinking | None,
    request: Request,
    content: str | None,
    reasoning: str | None,
    finish_reason: FinishReason,
    output_tokens: int,
    reasoning_tokens: int = 0,
    *,
    teacher: str,
) -> Parted:
    """Parts a server's answer.

    Args:
        thinking: How the model thinks; None: it does not.
        request: The request that it answers.
        content: `content` of the message.
        reasoning: `reasoning` or `reasoning_content` of the message; empty without a parser.
        finish_reason: How the output ended.
        output_tokens: Tokens of thought and answer.
        reasoning_tokens: Tokens of the thought, if the server counts them; otherwise they are
            estimated by the share of characters.
        teacher: The teacher's name, for a warning.
    """
    thought = (reasoning or "").strip()
    parted = settled(thinking, request, thought, content or "", finish_reason, teacher=teacher)
    return counted_as(parted, output_tokens, reasoning_tokens)


def counted_as(parted: Parted, output_tokens: int, reasoning_tokens: int) -> Parted:
    """The same parts with the tokens of the thought.

    Args:
        parted: Thought and answer.
        output_tokens: Tokens of both.
        reasoning_tokens: Tokens of the thought as a parser or a server counts them. If it is 0,
            they are estimated by the thought's share of the characters.
    """
    if not parted.reasoning:
        return parted
    share = len(parted.reasoning) / (len(parted.reasoning) + len(parted.answer))
    tokens = reasoning_tokens or round(output_tokens * share)
    return replace(parted, reasoning_tokens=min(tokens, output_tokens))


def settled(
    thinking: Thinking | None,
    request: Request,
    thought: str,
    answer: str,
    finish_reason: FinishReason,
    *,
    teacher: str,
) -> Parted:
    """Thought, answer and finish reason, after a parser has parted an output.

    A thought is never the answer: an output without an answer was cut off while thinking, or is
    empty. The one exception is a complete output of a model that was told not to think. vLLM's
    parser `deepseek_r1` does not see a switch in the system turn (Nemotron) and calls every output
    without `</think>` a thought.

    Args:
        thinking: How the model thinks; None: it does not.
        request: The request that was answered.
        thought: The thought, as the parser gave it.
        answer: The answer, as the parser gave it.
        finish_reason: How the output ended.
        teacher: The teacher's name, for a warning if it thinks although it should not.
    """
    is_thinking = thinks(thinking, request.sampling.thinking)
    is_switched_off = thinking is not None and not is_thinking
    if is_switched_off and finish_reason == "stop" and thought and not answer.strip():
        thought, answer = "", thought
    if not thought:
        thought, answer = parted_by_marks(answer)
    if thought and not is_thinking:
        _warn(teacher, request.role, is_switched_off=is_switched_off)
    if finish_reason == "length" and not answer.strip() and (thought or is_thinking):
        finish_reason = "thinking"
    return Parted(answer, thought, finish_reason)


@cache
def _warn(teacher: str, role: Role, *, is_switched_off: bool) -> None:
    """Warns once a process for a teacher in a role: thousands of outputs may be the same."""
    if is_switched_off:
        log.warning(
            "teacher %s: as %s it thinks although thinking is off: its server ignores the switch "
            "of its card in teachers.yaml, and thoughts use up the tokens of answers. Set "
            "SDG_THINKING=%s:on, or serve the model with its own chat template",
            teacher, role, role,
        )  # fmt: skip
        return
    log.warning(
        "teacher %s: as %s it thinks although its card has no `thinking`: thoughts use up the "
        "tokens of answers. Describe how it thinks (`thinking`) in its card, in teachers.yaml of "
        "your catalog (SDG_CATALOG); SDG_THINKING=%s:off then switches it off",
        teacher, role, role,
    )  # fmt: skip


def parted_by_marks(text: str) -> tuple[str, str]:
    """Thought and answer of a text in which no parser has parted them.

    Args:
        text: The text. Its thought is closed by a mark such as `</think>`; if it was cut off while
            thinking, it begins with the opening mark. Other texts are answers.
    """
    for opening, closing in zip(_OPENED, _CLOSED, strict=True):
        opened = opening.match(text)
        start = opened.end() if opened else 0
        if closed := closing.search(text, start):
            return text[start : closed.start()].strip(), text[closed.end() :]
        if opened:
            return text[start:].strip(), ""
    return "", text
