"""Tells a model's thought from its answer.

In this process vLLM's own reasoning parsers do it, as its servers do: `ThoughtParser` prepares a
request (structured output then applies to the answer, after the thought) and parts its output. A
server parts its outputs itself; `parted_reply` reads them. Both also part the tags that a parser
left in an answer, so no raw thought reaches a training text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sdg_assets.errors import TeacherError
from sdg_assets.teacher.requests import FinishReason, Request
from sdg_assets.teacher.thinking import Thinking, thinks

_OPENED = re.compile(r"\A\s*(?:<(?P<tag>think|thinking|seed:think)>|\[THINK\])")
_CLOSED = re.compile(r"</(?:think|thinking|seed:think)>|\[/THINK\]")


@dataclass(frozen=True)
class Parted:
    """An output, parted into thought and answer."""

    answer: str
    reasoning: str = ""
    finish_reason: FinishReason = "stop"
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Preparation:
    """What a request needs so that vLLM lets the model think before a structured answer."""

    structured_outputs: Any = None
    """vLLM's `StructuredOutputsParams`; None for free text."""
    skip_special_tokens: bool = True
    """Whether the detokenizer drops special tokens; some parsers need them."""
    reasoning_ended: bool = True
    """Whether the prompt leaves no room for a thought: structure then applies at once."""
    parser_arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments of the engine's own parser, which finds the end of the thought."""


class ThoughtParser:
    """One of vLLM's reasoning parsers, as its card names it; Harmony for gpt-oss."""

    def __init__(self, thinking: Thinking, tokenizer: Any, teacher: str) -> None:  # noqa: ANN401 – of transformers
        """Loads the parser.

        Args:
            thinking: How the model thinks.
            tokenizer: The model's tokenizer.
            teacher: The teacher's name, for errors.

        Raises:
            TeacherError: The installed vLLM has no such parser, or it does not fit the tokenizer.
        """
        from vllm.parser.parser_manager import ParserManager
        from vllm.tokenizers.hf import get_cached_tokenizer

        self._thinking, self._teacher = thinking, teacher
        # Each output gets a new parser, and each parser reads the whole vocabulary: without the
        # cache that takes tens of milliseconds.
        self._tokenizer = get_cached_tokenizer(tokenizer)
        try:
            kind = ParserManager.get_parser(
                reasoning_parser_name=thinking.parser,
                is_harmony=thinking.parser == "openai_gptoss",
                model_name=teacher,
                tokenizer=self._tokenizer,
            )
        except Exception as error:
            raise TeacherError(
                f"teacher {teacher}: its card in teachers.yaml names vLLM's reasoning parser "
                f"{thinking.parser!r}, which cannot be used: {error}"
            ) from error
        assert kind is not None
        self._kind: Any = kind

    def prepare(self, request: Request, prompt: Sequence[int]) -> Preparation:
        """What vLLM must know about a request.

        Args:
            request: The request.
            prompt: The token ids of its prompt.
        """
        parser, chat = self._parser(request), self._chat(request)
        chat = parser.adjust_request(chat)
        off = not thinks(self._thinking, request.sampling.thinking)
        ended = True if off else chat.resolve_reasoning_ended(parser, list(prompt))
        return Preparation(
            structured_outputs=chat.extract_structured_outputs(),
            skip_special_tokens=chat.skip_special_tokens,
            reasoning_ended=bool(ended),
            parser_arguments={"chat_template_kwargs": self._arguments(request)},
        )

    def part(
        self,
        request: Request,
        prompt: Sequence[int],
        text: str,
        output: Sequence[int],
        finish_reason: FinishReason,
    ) -> Parted:
        """Parts an output.

        Args:
            request: The request that it answers.
            prompt: The token ids of the prompt.
            text: The output as text.
            output: The token ids of the output.
            finish_reason: How the output ended.
        """
        parser = self._parser(request)
        parser.set_prompt_token_ids(list(prompt))
        thought, answer, _ = parser.parse(
            text, self._chat(request), model_output_token_ids=list(output)
        )
        parted = settled(
            self._thinking, request, (thought or "").strip(), answer or "", finish_reason
        )
        if not parted.reasoning:
            return parted
        counted = parser.count_reasoning_tokens(output) or _before_answer(parser, output)
        return counted_as(parted, len(output), counted)

    def _arguments(self, request: Request) -> dict[str, Any]:
        """The template's arguments; some parsers take thinking for off if none says it is on."""
        mode = request.sampling.thinking or self._thinking.default
        return dict(self._thinking.instruction(mode).template)

    def _parser(self, request: Request) -> Any:  # noqa: ANN401 – vLLM's Parser
        return self._kind(self._tokenizer, None, chat_template_kwargs=self._arguments(request))

    def _chat(self, request: Request) -> Any:  # noqa: ANN401 – vLLM's ChatCompletionRequest
        """The request as vLLM's server would get it: its parsers take no other."""
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

        body: dict[str, Any] = {"messages": [{"role": "user", "content": ""}]}
        if request.json_schema:
            body["response_format"] = response_format(request.json_schema)
        return ChatCompletionRequest.model_validate(body)


def _before_answer(parser: Any, output: Sequence[int]) -> int:  # noqa: ANN401 – vLLM's Parser
    """Tokens before the answer. Some parsers count no thought that the prompt opened."""
    ids = list(output)
    try:
        answer = parser.reasoning_parser.extract_content_ids(ids)
    except NotImplementedError:  # of Harmony, which counts every thought
        return 0
    return len(ids) - len(answer) if answer else 0


def response_format(json_schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer, as OpenAI's API takes it."""
    schema = {"name": "draft", "schema": json_schema, "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def thinking_body(thinking: Thinking | None, mode: str) -> dict[str, Any]:
    """The fields of a server's request that choose a thinking mode by the chat template.

    Args:
        thinking: How the model thinks; None: it does not.
        mode: The mode; empty: the model's default.
    """
    template = dict(thinking.instruction(mode).template) if thinking else {}
    if not template:
        return {}
    body: dict[str, Any] = {"chat_template_kwargs": template}
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
    """
    thought = (reasoning or "").strip()
    parted = settled(thinking, request, thought, content or "", finish_reason)
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
) -> Parted:
    """Thought, answer and finish reason, after a parser has parted an output.

    Args:
        thinking: How the model thinks; None: it does not.
        request: The request that was answered.
        thought: The thought, as the parser gave it.
        answer: The answer, as the parser gave it.
        finish_reason: How the output ended.
    """
    is_thinking = thinks(thinking, request.sampling.thinking)
    # Parsers of models that always think take an output without an end of a thought for one.
    if not is_thinking and thought and not answer.strip():
        thought, answer = "", thought
    if not thought:
        thought, answer = parted_by_tags(answer)
    if finish_reason == "length" and not answer.strip() and (thought or is_thinking):
        finish_reason = "thinking"
    return Parted(answer, thought, finish_reason)


def parted_by_tags(text: str) -> tuple[str, str]:
    """Thought and answer of a text in which no parser has parted them.

    Args:
        text: The text. Its thought is closed by a tag such as `</think>`; if it was cut off while
            thinking, it begins with the opening tag. Other texts are answers.
    """
    opened = _OPENED.match(text)
    start = opened.end() if opened else 0
    if closed := _CLOSED.search(text, start):
        return text[start : closed.start()].strip(), text[closed.end() :]
    return (text[start:].strip(), "") if opened else ("", text)
