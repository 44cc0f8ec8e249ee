"""Texts of a data set never become control tokens, with any tokenizer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from sdg_assets.errors import TeacherError
from sdg_assets.teacher.encoding import ChatEncoder
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Message
from sdg_assets.teacher.server.words import AskedWords, GuessedWords, LocalWords, Words
from sdg_assets_tests.teacher.chat_tokenizers import FAMILIES, Family, tokenizer_of

ORDINARY = "Is 3 < 4 > 2, or is [a, b] a list? Say <em>why</em>.\n\nThe river runs."
BLANK = ("Answer the question.", "Which river runs past the mill?")


@cache
def tokenizer(family: str) -> Any:
    if family == "smollm2":
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(resolve("smollm2-135m").path_or_id)
    return tokenizer_of(FAMILIES[family])


def controls(family: str) -> list[str]:
    if family == "smollm2":
        return [str(token) for token in tokenizer(family).added_tokens_decoder.values()]
    known = FAMILIES[family]
    return [*known.special, *known.plain]


def conversation(system: str, user: str) -> list[Message]:
    return [Message(role="system", content=system), Message(role="user", content=user)]


def control_ids(family: str, ids: Sequence[int]) -> list[int]:
    control = set(tokenizer(family).convert_tokens_to_ids(controls(family)))
    return [i for i in ids if i in control]


def attacks(tokens: Sequence[str]) -> list[str]:
    """Contents with control tokens: alone, within words, adjacent, and nested."""
    pairs = [*zip(tokens, [*tokens[1:], tokens[0]], strict=True)]
    return [
        *tokens,
        *(f"the river {one} runs {other}past" for one, other in pairs),
        *(one + other for one, other in pairs),
        *(one[:cut] + one + one[cut:] for one in tokens for cut in (1, len(one) // 2)),
        *(f"<{one}>" for one in tokens),
        *(f"\n{one}\n\n" for one in tokens),
    ]


@pytest.mark.parametrize("family", [*FAMILIES, pytest.param("smollm2", marks=pytest.mark.engine)])
def test_no_content_makes_a_control_id(family: str) -> None:
    encoder = ChatEncoder(tokenizer(family), family)
    of_template = control_ids(family, encoder.encode(conversation(*BLANK)))
    assert len(of_template) >= 2

    for content in attacks(controls(family)):
        for system, user in itertools.product((BLANK[0], content), (BLANK[1], content)):
            ids = encoder.encode(conversation(system, user))

            assert control_ids(family, ids) == of_template, content


@pytest.mark.parametrize("family", [*FAMILIES, pytest.param("smollm2", marks=pytest.mark.engine)])
def test_the_model_still_reads_the_words(family: str) -> None:
    reader = tokenizer(family)
    encoder = ChatEncoder(reader, family)
    token = controls(family)[-1]

    ids = encoder.encode(conversation(BLANK[0], f"the river {token} runs"))

    normalizer = reader.backend_tokenizer.normalizer
    written = normalizer.normalize_str(token) if normalizer else token
    assert f"the river {written} runs" in reader.decode(ids, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize(
    "family",
    [*(f for f in FAMILIES if f != "gemma-2"), pytest.param("smollm2", marks=pytest.mark.engine)],
)
def test_an_ordinary_prompt_has_the_ids_that_the_template_gives_it(family: str) -> None:
    # The model was trained on these ids, and the prefix cache holds them.
    reader = tokenizer(family)
    messages = conversation(BLANK[0], ORDINARY)
    plain = [message.model_dump() for message in messages]

    usual = reader.apply_chat_template(plain, add_generation_prompt=True, return_dict=False)

    assert ChatEncoder(reader, family).encode(messages) == list(usual)


@pytest.mark.parametrize(
    "family",
    [*(f for f in FAMILIES if f != "gemma-2"), pytest.param("smollm2", marks=pytest.mark.engine)],
)
def test_prompts_whose_opening_is_remembered_have_the_ids_of_the_whole_text(family: str) -> None:
    reader = tokenizer(family)
    encoder = ChatEncoder(reader, family)
    contents = ["Which river?", ORDINARY, " Which river? ", "\n\nThe mill", "", "é ½", "?"]
    for content in contents * 2:
        messages = conversation(BLANK[0], content)
        plain = [message.model_dump() for message in messages]
        whole = reader.apply_chat_template(plain, add_generation_prompt=True, return_dict=False)

        assert encoder.encode(messages) == list(whole), content


def test_prompts_that_begin_alike_begin_with_the_same_ids() -> None:
    encoder = ChatEncoder(tokenizer("qwen"), "qwen")
    shared = "The river runs <|im_end|> past the mill. " * 20
    one, other = (encoder.encode(conversation(shared, end)) for end in ("Why?", "Where to?"))

    alike = sum(
        1
        for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    )
    assert alike > 0.9 * len(one)


def test_a_template_without_a_system_turn_opens_the_users_turn_with_it() -> None:
    reader = tokenizer("gemma-2")
    ids = ChatEncoder(reader, "gemma-2").encode(conversation("Answer.", "Why?"))

    assert reader.decode(ids) == "<bos><start_of_turn>user\nAnswer.\n\nWhy?<end_of_turn>\n" + (
        "<start_of_turn>model\n"
    )


def test_what_is_a_token_and_no_order_may_stand_in_a_content() -> None:
    known = FAMILIES["gemma-3"]
    tokens = ChatEncoder(tokenizer("gemma-3"), "gemma-3").control_tokens

    assert set(tokens) == {*known.special, *known.plain}
    assert tokens.within("<b>7</b></table>\n\n") == ""


def test_a_tokenizer_without_a_chat_template_is_a_clear_error() -> None:
    reader = tokenizer_of(Family("", ("<s>",)))
    reader.chat_template = None

    with pytest.raises(TeacherError, match="teacher mine: its chat template cannot render system"):
        ChatEncoder(reader, "mine").encode(conversation(*BLANK))


def words_of(kind: str, family: str) -> Words:
    """The prompts of a server with the family's tokenizer: read here, asked for, or guessed at."""
    reader = tokenizer(family)
    if kind == "local":
        return LocalWords(ChatEncoder(reader, family))
    if kind == "guessed":
        return GuessedWords()
    rendered = reader.apply_chat_template(
        [{"role": "user", "content": "Why?"}], add_generation_prompt=True, return_dict=False
    )

    async def is_token(text: str) -> bool:
        return len(reader.encode(text, add_special_tokens=False)) == 1

    return AskedWords(reader.convert_ids_to_tokens(rendered), is_token)


def sent_by(words: Words, content: str) -> str:
    """What the server is sent of a text."""
    messages = [Message(role="user", content=content)]
    asyncio.run(words.learn(messages))
    assert words.knows(messages)
    (sent,) = words.harmless(messages)
    return sent.content


@pytest.mark.parametrize("kind", ["local", "asked", "guessed"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_server_is_sent_no_control_token(family: str, kind: str) -> None:
    reader, words = tokenizer(family), words_of(kind, family)

    for content in attacks(controls(family)):
        sent = sent_by(words, content)

        ids = reader.encode(sent, add_special_tokens=False)
        assert control_ids(family, ids) == [], sent
        assert sent.replace(" ", "") == content.replace(" ", "")


def test_a_server_is_sent_ordinary_text_as_it_is() -> None:
    async def is_token(_: str) -> bool:
        return False

    words = AskedWords(["<|im_start|>", "user", "Ċ", "Why", "?"], is_token)

    assert sent_by(words, ORDINARY) == ORDINARY


def test_a_text_is_broken_up_as_long_as_the_server_has_not_said_what_it_is() -> None:
    async def is_token(_: str) -> bool:
        return False

    words = AskedWords([], is_token)

    assert words.harmless_text("Is <tool> long?") == "Is < tool> long?"
    assert sent_by(words, "Is <tool> long?") == "Is <tool> long?"


def test_html_is_sent_as_it_is_though_nobody_knows_the_control_tokens() -> None:
    assert GuessedWords().harmless_text("<b>x</b> <s> [gMASK]") == "<b>x</b> < s> [ gMASK]"
