"""Models under the names of their packagings, and models that only look alike."""

from __future__ import annotations

import pytest

from sdg_assets.teacher.packaging import is_packaging_of, owner_of, unpackaged

QWEN, GPT_OSS = "Qwen/Qwen3-32B", "openai/gpt-oss-20b"
LLAMA, GLM = "meta-llama/Llama-3.3-70B-Instruct", "zai-org/GLM-4.6-FP8"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("Qwen/Qwen3-32B-FP8", QWEN),
        ("Qwen/Qwen3-32B-AWQ", QWEN),
        ("Qwen/Qwen3-32B-GPTQ-Int4", QWEN),
        ("Qwen/Qwen3-32B-MLX-4bit", QWEN),
        ("RedHatAI/Qwen3-32B-FP8-dynamic", QWEN),
        ("RedHatAI/Qwen3-32B-quantized.w4a16", QWEN),
        ("nvidia/Qwen3-32B-NVFP4", QWEN),
        ("unsloth/Qwen3-32B-unsloth-bnb-4bit", QWEN),
        ("unsloth/Qwen3-32B-GGUF:Q4_K_M", QWEN),
        ("mradermacher/Qwen3-32B-i1-GGUF", QWEN),
        ("bartowski/Qwen_Qwen3-32B-GGUF", QWEN),
        ("lmstudio-community/qwen3-32b", QWEN),
        ("Qwen3-32B-UD-Q4_K_XL.gguf", QWEN),
        ("/models/Qwen3-32B-Q8_0-00001-of-00002.gguf", QWEN),
        ("C:\\models\\Qwen3-32B-IQ4_XS.gguf", QWEN),
        ("/cache/unsloth_Qwen3-32B-GGUF_Qwen3-32B-Q4_K_M.gguf", QWEN),
        ("/models/Qwen3-32B/", QWEN),
        ("unsloth/gpt-oss-20b", GPT_OSS),
        ("unsloth/gpt-oss-20b-BF16", GPT_OSS),
        ("gpt-oss-20b-mxfp4.gguf", GPT_OSS),
        ("amd/Llama-3.3-70B-Instruct-FP8-KV", LLAMA),
        ("zai-org/GLM-4.6", GLM),
        ("QuantTrio/GLM-4.6-AWQ", GLM),
        ("nvidia/DeepSeek-R1-0528-FP4-v2", "deepseek-ai/DeepSeek-R1-0528"),
        (
            "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
            "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-FP8",
        ),
    ],
)
def test_a_packaging_is_the_model(name: str, model: str) -> None:
    assert is_packaging_of(name, model)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8", "Qwen/Qwen3-30B-A3B"),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507-FP8", "Qwen/Qwen3-30B-A3B-Instruct-2507"),
        ("Qwen/Qwen3-30B-A3B-FP8", "Qwen/Qwen3-30B-A3B-Instruct-2507"),
        ("Qwen/Qwen3-32B-Base", QWEN),
        ("someone/Qwen3-32B-abliterated-GGUF", QWEN),
        ("someone/My-Qwen3-32B-FP8", QWEN),
        ("unsloth/Qwen3-32B-128K-GGUF", QWEN),
        ("nvidia/Qwen3-32B-Eagle3", QWEN),
        ("Qwen/Qwen3-3", QWEN),
        ("deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-V3-0324"),
        ("deepseek-ai/DeepSeek-R1-FP4", "deepseek-ai/DeepSeek-R1-0528"),
        ("unsloth/DeepSeek-R1-Distill-Qwen-32B", "deepseek-ai/DeepSeek-R1"),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-Base-BF16", GLM),
        ("google/gemma-3-27b-it-qat-q4_0-gguf", "google/gemma-3-27b-it"),
        ("prod", QWEN),
        ("FP8", QWEN),
    ],
)
def test_another_model_is_none(name: str, model: str) -> None:
    assert not is_packaging_of(name, model)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("unsloth/gpt-oss-20b", "unsloth"),
        ("unsloth/Qwen3-32B-GGUF:Q4_K_M", "unsloth"),
        ("gpt-oss-20b", ""),
        ("/models/gpt-oss-20b", ""),
        ("models/gpt-oss-20b.gguf", ""),
        ("C:\\models\\gpt-oss-20b", ""),
    ],
)
def test_only_a_hub_id_has_an_owner(name: str, owner: str) -> None:
    assert owner_of(name) == owner


def test_a_name_of_nothing_but_packaging_keeps_its_first_word() -> None:
    assert unpackaged("gguf-q4_k_m") == "gguf"
