"""vLLM's own parsers on outputs in the formats of the models that it names them after.

The outputs are written for these tests in the published formats; the tokenizers are small ones
with the same control tokens. gpt-oss has its real vocabulary, which Harmony brings along.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from sdg_assets.errors import TeacherError
from sdg_assets.teacher.encoding import ChatEncoder
from sdg_assets.teacher.requests import (
    FinishReason,
    Message,
    Request,
    Sampling,
    TeacherIdentity,
)
from sdg_assets.teacher.thinking import Thinking
from sdg_assets.teacher.thought_parser import ThoughtParser
from sdg_assets.teacher.thoughts import Parted, parted_by_marks
from sdg_assets_tests.support.records import STAMP
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.thinkers import ALWAYS, BY_SYSTEM, SWITCHED
from sdg_assets_tests.teacher.chat_tokenizers import CHATML, FAMILIES, Family, tokenizer_of

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
# Qwen3's template: without thinking, it writes an empty thought into the prompt itself.
QWEN_3 = CHATML.removesuffix("{% endif %}") + (
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
# DeepSeek-R1's template opens the thought, so that outputs begin within it.
DEEPSEEK_R1 = CHATML.removesuffix("{% endif %}") + "<think>\n{% endif %}"
THOUGHT, ANSWER = "The mill stands by the river.", '{"a": "river"}'
OPENED, UNOPENED = f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}", f"{THOUGHT}\n</think>\n\n{ANSWER}"
HARMONY = (
    f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{ANSWER}"
)


def family(template: str, *plain: str) -> Family:
    return Family(template, FAMILIES["qwen"].special, plain)


TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
KINDS: dict[str, Family] = {
    "qwen3": family(QWEN_3, *TAGS),
    "deepseek_r1": family(DEEPSEEK_R1, *TAGS),
    "deepseek_v3": family(QWEN_3, *TAGS),
    "glm45": family(QWEN_3, *TAGS, "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
    "kimi_k2": family(QWEN_3, *TAGS),
    "minimax_m2": family(DEEPSEEK_R1, *TAGS),
    "nemotron_v3": family(QWEN_3, *TAGS),
    "gemma4": family(CHATML, "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>"),
    "seed_oss": family(CHATML, "<seed:think>", "</seed:think>"),
}


@cache
def tokenizer(parser: str) -> Any:
    return tokenizer_of(KINDS.get(parser, KINDS["qwen3"]))


@cache
def parser_of(name: str) -> ThoughtParser:
    card = ALWAYS if name == "openai_gptoss" else SWITCHED
    return ThoughtParser(card.model_copy(update={"parser": name}), tokenizer(name), "a/teacher")


def ids_of(parser: str, text: str) -> list[int]:
    if parser == "openai_gptoss":
        from vllm.entrypoints.openai.parser.harmony_utils import get_encoding

        return list(get_encoding().encode(text, allowed_special="all"))
    return list(tokenizer(parser).encode(text, add_special_tokens=False))


def request(mode: str = "", schema: dict[str, Any] | None = None) -> Request:
    messages = [Message(role="user", content="What runs past the mill?")]
    sampling = Sampling(thinking=mode)
    return request_of(TeacherIdentity(STAMP), messages, sampling, schema)


def parted(parser: str, text: str, finish: FinishReason = "stop", mode: str = "") -> Parted:
    ids = ids_of(parser, text)
    return parser_of(parser).part(request(mode), ids_of(parser, "Why?"), text, ids, finish)


FORMATS = [
    ("qwen3", OPENED),
    ("qwen3", UNOPENED),
    ("deepseek_r1", OPENED),
    ("deepseek_r1", UNOPENED),
    ("deepseek_v3", OPENED),
    ("glm45", OPENED),
    ("kimi_k2", OPENED),
    ("minimax_m2", UNOPENED),
    ("nemotron_v3", UNOPENED),
    ("gemma4", f"<|channel>thought\n{THOUGHT}<channel|>{ANSWER}"),
    ("seed_oss", f"<seed:think>{THOUGHT}</seed:think>{ANSWER}"),
    ("openai_gptoss", HARMONY),
    ("openai_gptoss", HARMONY + "<|return|>"),
    ("openai_gptoss", HARMONY.replace("final<", "final <|constrain|>json<")),
]


@pytest.mark.engine
@pytest.mark.parametrize(("parser", "text"), FORMATS)
def test_thought_and_answer_come_apart(parser: str, text: str) -> None:
    whole = parted(parser, text)

    assert (whole.reasoning, whole.answer.strip()) == (THOUGHT, ANSWER)
    assert whole.finish_reason == "stop"
    thought, answer, total = (len(ids_of(parser, part)) for part in (THOUGHT, ANSWER, text))
    assert thought - 2 <= whole.reasoning_tokens <= total - answer


@pytest.mark.engine
@pytest.mark.parametrize(("parser", "text"), FORMATS)
def test_an_output_that_was_cut_off_says_where(parser: str, text: str) -> None:
    thinking = parted(parser, text[: text.index(THOUGHT) + 12], "length")
    answering = parted(parser, text[: text.index(ANSWER) + 4], "length")

    assert (thinking.finish_reason, thinking.answer) == ("thinking", "")
    assert thinking.reasoning
    assert THOUGHT.startswith(thinking.reasoning)
    assert (answering.finish_reason, answering.reasoning) == ("length", THOUGHT)
    assert answering.answer.strip() == ANSWER[:4]


@pytest.mark.engine
@pytest.mark.parametrize("parser", ["qwen3", "deepseek_r1", "deepseek_v3", "glm45", "kimi_k2"])
def test_an_answer_without_a_thought_stays_an_answer(parser: str) -> None:
    assert parted(parser, ANSWER, mode="off") == Parted(ANSWER)
    thought_all_the_same = parted(parser, OPENED, mode="off")
    assert thought_all_the_same.answer.strip() == ANSWER
    assert thought_all_the_same.reasoning == THOUGHT


@pytest.mark.engine
def test_thinking_off_an_answer_that_was_cut_off_is_no_thought() -> None:
    assert parted("deepseek_r1", "The ri", "length", mode="off") == Parted("The ri", "", "length")
    assert parted("qwen3", f"<think>\n{THOUGHT}", "length", mode="off").finish_reason == "thinking"


@pytest.mark.engine
def test_an_output_that_a_parser_cannot_read_is_kept_as_a_thought_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("unexpected tokens remaining in message header")

    monkeypatch.setattr(parser_of("qwen3")._kind, "parse", fails)

    whole = parted("qwen3", OPENED, mode="on")

    assert (whole.answer, whole.reasoning) == ("", OPENED)


@pytest.mark.engine
def test_structure_applies_after_the_thought_and_at_once_without_one() -> None:
    prompts = {
        mode: ChatEncoder(tokenizer("qwen3"), "t", SWITCHED).encode(request().messages, mode)
        for mode in ("", "on", "off")
    }
    prepared = {
        mode: parser_of("qwen3").prepare(request(mode, SCHEMA), prompt)
        for mode, prompt in prompts.items()
    }

    ended = {mode: preparation.reasoning_ended for mode, preparation in prepared.items()}
    assert ended == {"": False, "on": False, "off": True}
    assert all(p.structured_outputs.json == SCHEMA for p in prepared.values())
    arguments = prepared["off"].parser_arguments
    assert arguments == {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.mark.engine
def test_harmony_constrains_the_final_channel_and_leaves_the_thought_free() -> None:
    prepared = parser_of("openai_gptoss").prepare(request("low", SCHEMA), [1])

    tag = prepared.structured_outputs.structural_tag
    assert "<|channel|>analysis<|message|>" in tag
    assert '"any_text"' in tag
    assert "<|channel|>final" in tag
    assert prepared.structured_outputs.json is None


@pytest.mark.engine
@pytest.mark.parametrize(("name", "fault"), [("qwen9", "registered"), ("mistral", "tokenizer")])
def test_a_parser_that_cannot_be_used_is_a_clear_error(name: str, fault: str) -> None:
    card = SWITCHED.model_copy(update={"parser": name})

    with pytest.raises(TeacherError, match="names vLLM's reasoning parser") as caught:
        ThoughtParser(card, tokenizer("qwen3"), "a/teacher")
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Yes.", ("", "Yes.")),
        ("<think>So.</think>Yes.", ("So.", "Yes.")),
        ("\n<think>\nSo.\n</think>Yes.", ("So.", "Yes.")),
        ("So.</think>Yes.", ("So.", "Yes.")),
        ("<think>So", ("So", "")),
        ("[THINK]So.[/THINK]Yes.", ("So.", "Yes.")),
        ("<mm:think>So.</mm:think>Yes.", ("So.", "Yes.")),
        ("◁think▷So.◁/think▷Yes.", ("So.", "Yes.")),
        ("<|START_THINKING|>So.<|END_THINKING|>Yes.", ("So.", "Yes.")),
        ("<|channel>thought\nSo.<channel|>Yes.", ("So.", "Yes.")),
        (HARMONY, (THOUGHT, ANSWER)),
        (HARMONY.partition("<|end|>")[0], (THOUGHT, "")),
        ("analysisWe add.assistantfinalThe sum is 4.", ("We add.", "The sum is 4.")),
        ("analysisWe add", ("We add", "")),
        ("Write <think> in your code.", ("", "Write <think> in your code.")),
        ("analysis of the data", ("", "analysis of the data")),
    ],
)
def test_marks_that_no_parser_read_part_thought_and_answer(
    text: str, parts: tuple[str, str]
) -> None:
    assert parted_by_marks(text) == parts


def encoded(thinking: Thinking, template: str, mode: str, system: str = "") -> str:
    model = tokenizer_of(family(template, *TAGS))
    messages = [Message(role="user", content="What runs past the </think> mill?")]
    if system:
        messages.insert(0, Message(role="system", content=system))
    return str(model.decode(ChatEncoder(model, "t", thinking).encode(messages, mode)))


def test_thinking_off_is_seen_in_the_tokens_of_the_prompt() -> None:
    on, off = (encoded(SWITCHED, QWEN_3, mode) for mode in ("on", "off"))

    assert off == f"{on}<think>\n\n</think>\n\n"
    assert encoded(SWITCHED, QWEN_3, "") == on


def test_a_system_switch_is_seen_in_the_tokens_of_the_prompt() -> None:
    on = encoded(BY_SYSTEM, CHATML, "on", "Be brief.")

    assert "<|im_start|>system\ndetailed thinking on\n\nBe brief.<|im_end|>" in on
    assert "detailed" not in encoded(BY_SYSTEM, CHATML, "off", "Be brief.")
    assert "<|im_start|>system\ndetailed thinking on<|im_end|>" in encoded(BY_SYSTEM, CHATML, "on")
