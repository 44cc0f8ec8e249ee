"""Small tokenizers with the chat templates and control tokens of common model families.

The models themselves are on the Hub. What matters here is how the Transformers library reads the
tokens: which are marked special, which are not and control all the same, and where the contents
stand in the template.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA_3 = (
    "<bos>{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}"
    "{% endif %}{% for m in turns %}<start_of_turn>{{ m.role }}\n{{ first if loop.first }}"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
GEMMA_2 = (
    "<bos>{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "<s>{% for m in messages %}{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}"
    "[/SYSTEM_PROMPT]{% else %}[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}"
)
DEEPSEEK = (
    "<｜begin▁of▁sentence｜>{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% else %}<｜User｜>{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A family's template and added tokens."""

    template: str
    special: tuple[str, ...]
    plain: tuple[str, ...] = ()
    """Control tokens that are not marked special."""
    harmless: tuple[str, ...] = ()
    """Added tokens that are text."""
    normalized: bool = False
    """Whether the tokenizer folds a text before it looks for the plain ones."""


FAMILIES = {
    "qwen": Family(
        CHATML,
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        ("<think>", "</think>", "<tool_call>", "<|fim_middle|>"),
    ),
    "llama": Family(
        LLAMA,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    "gemma-3": Family(
        GEMMA_3,
        ("<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>"),
        ("<unused7>", "[multimodal]"),
        ("\n\n", "<b>", "</table>"),
    ),
    "gemma-2": Family(GEMMA_2, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")),
    "mistral": Family(
        MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
    ),
    "deepseek": Family(
        DEEPSEEK,
        ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        ("<｜User｜>", "<｜Assistant｜>"),
        normalized=True,
    ),
}


def tokenizer_of(family: Family) -> Any:
    """A byte-level BPE tokenizer of Transformers with the family's tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.normalizer = normalizers.NFKC() if family.normalized else None
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        ["the river runs past the mill and the mill stands by the river"] * 4,
        BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False),
    )
    raw.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in family.special])
    plain = (*family.plain, *family.harmless)
    raw.add_tokens([AddedToken(t, normalized=family.normalized) for t in plain])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw)
    tokenizer.chat_template = family.template
    return tokenizer
