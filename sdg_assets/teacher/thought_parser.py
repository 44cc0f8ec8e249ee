"""vLLM's own reasoning parsers in this process, as its servers use them.

A `ThoughtParser` prepares a request, so that structured output applies to the answer, after the
thought, and parts the output.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.errors import TeacherError
from sdg_assets.teacher.requests import FinishReason, Request
from sdg_assets.teacher.thinking import Thinking, thinks
from sdg_assets.teacher.thoughts import Parted, counted_as, response_format, settled

log = logging.getLogger(__name__)


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
        """Parts an output. One that vLLM's parser cannot read is all thought, without an answer.

        Args:
            request: The request that it answers.
            prompt: The token ids of the prompt.
            text: The output as text.
            output: The token ids of the output.
            finish_reason: How the output ended.
        """
        parser = self._parser(request)
        parser.set_prompt_token_ids(list(prompt))
        try:
            thought, answer, _ = parser.parse(
                text, self._chat(request), model_output_token_ids=list(output)
            )
        except Exception as error:  # noqa: BLE001 – of any of vLLM's parsers, on one odd output
            log.warning("teacher %s: vLLM's parser cannot read an output: %s", self._teacher, error)
            thought, answer = text, ""
        else:
            thought, answer = self._switched(request, text, (thought or "").strip(), answer or "")
        parted = settled(
            self._thinking, request, thought, answer, finish_reason, teacher=self._teacher
        )
        if not parted.reasoning:
            return parted
        counted = parser.count_reasoning_tokens(output) or _before_answer(parser, output)
        return counted_as(parted, len(output), counted)

    def _switched(self, request: Request, text: str, thought: str, answer: str) -> tuple[str, str]:
        """Thought and answer of an output that the parser may have read without its switch.

        Parsers of models that always think call an output without tags a thought, also if the
        system turn has switched thinking off. `settled` finds the tags that the text may have.
        """
        is_thinking = thinks(self._thinking, request.sampling.thinking)
        if not is_thinking and not answer and thought == text.strip():
            return "", text
        return thought, answer

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


def add_request(
    engine: Any,  # noqa: ANN401 – vLLM's LLMEngine
    request_id: str,
    prompt: Mapping[str, Sequence[int]],
    parameters: Any,  # noqa: ANN401 – vllm.SamplingParams
    prepared: Preparation,
) -> None:
    """Adds a request to an engine.

    `LLMEngine.add_request` does not pass on whether the thought has ended and how the parser is
    called, which `AsyncLLM.add_request` does.
    """
    if not prepared.parser_arguments or parameters.structured_outputs is None:
        engine.add_request(request_id, prompt, parameters)
        return
    made = engine.input_processor.process_inputs(
        request_id, prompt, parameters, supported_tasks=engine.get_supported_tasks()
    )
    made.reasoning_ended = prepared.reasoning_ended
    made.reasoning_parser_kwargs = prepared.parser_arguments
    engine.add_request(request_id, made, made.params)
