"""Converts GGUF to a directory that vLLM loads.

`python -m sdg_assets.teacher.weights.convert FILE OUT`

vLLM does not read GGUF on a CPU. The conversion runs in a process of its own, because its memory
(at least five times the file's size) is freed only when the process ends.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def convert(source: Path, out: Path, *, tied: bool) -> None:
    """Dequantizes a GGUF file to bfloat16 safetensors, with its tokenizer and chat template.

    Args:
        source: The GGUF file.
        out: Directory to write.
        tied: Whether the model shares its input and output embeddings. Some files store that
            matrix twice, and loading such a file makes two separate matrices.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    if tied and not model.config.tie_word_embeddings:
        # The output copy is quantized less coarsely than the input copy.
        model.model.embed_tokens.weight.data.copy_(model.lm_head.weight.data)
        model.config.tie_word_embeddings = True
        model.tie_weights()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for file in out.iterdir():
        file.chmod(0o644)  # safetensors writes 0600, which a shared cache cannot use


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=convert.__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tied", action="store_true")
    arguments = parser.parse_args()
    convert(arguments.source, arguments.out, tied=arguments.tied)
