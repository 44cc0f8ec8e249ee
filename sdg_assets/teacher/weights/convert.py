"""Converts GGUF to a directory that vLLM loads.

`python -m sdg_assets.teacher.weights.convert FILE OUT`

vLLM does not read GGUF on a CPU. The conversion runs in a process of its own, because its memory
(at least five times the file's size) is freed only when the process ends.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from sdg_assets.processes.cpus import usable_cpus


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

    _quicken_gguf()
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


def _quicken_gguf() -> None:
    """Makes transformers read the file once, and dequantize it on all cores.

    It reads the file for the tokenizer, the configuration and the weights. With the 300,000 tokens
    and merges of the embedded teacher that took 35 of the conversion's 80 s.
    """
    import gguf
    import numpy as np

    class Reader(gguf.GGUFReader):  # type: ignore[misc]
        """A reader whose slices are plain arrays: a slice of a `memmap` takes twice as long."""

        @property
        def data(self) -> Any:  # noqa: ANN401 – numpy's array
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:  # noqa: ANN401
            self._data = mapped.view(np.ndarray)

    read, dequantize, cores = lru_cache(maxsize=1)(Reader), gguf.dequantize, usable_cpus()
    pool = ThreadPoolExecutor(cores)

    def in_parts(blocks: Any, kind: Any) -> Any:  # noqa: ANN401 – gguf's number of a format
        parts = np.array_split(blocks, min(4 * cores, len(blocks)))
        return np.concatenate(list(pool.map(dequantize, parts, [kind] * len(parts))))

    gguf.GGUFReader = lambda path: read(Path(path).resolve())
    gguf.dequantize = in_parts
    gguf.get_tensor_name_map = lru_cache(gguf.get_tensor_name_map)  # else made for each module


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=convert.__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tied", action="store_true")
    arguments = parser.parse_args()
    convert(arguments.source, arguments.out, tied=arguments.tied)
