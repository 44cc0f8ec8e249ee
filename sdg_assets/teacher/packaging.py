"""Names of models without what says only how their weights are packaged.

`unsloth/Qwen3-32B-GGUF`, `Qwen/Qwen3-32B-FP8` and `/models/Qwen3-32B-Q4_K_M.gguf` are packagings of
`Qwen/Qwen3-32B`. Only known suffixes are removed, and what remains must be equal: nothing else
would keep `-Instruct-2507` and `-Base` apart from the model whose name they begin with.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PRECISIONS = (
    r"(?:nv|mx)?fp4(?:_moe|-v\d)?",
    r"(?:mx)?fp8(?:[-_](?:dynamic|block|static|kv))?",
    r"(?:bf|fp?)(?:16|32)",
    r"int[48]",
    r"[2-8]-?bit",
    r"(?:quantized[-_.])?w\d+a\d+",
    r"awq",
    r"gptq",
    r"autoround",
    r"(?:unsloth-)?bnb(?:-[48]bit)?",
    r"mlx",
    r"(?:i1-)?gguf",
    # llama.cpp's: Q8_0, Q4_K_M, IQ2_XXS, TQ1_0. Unsloth's begin with UD, mradermacher's with i1.
    r"(?:ud-|i1-)?i?q\d(?:_(?:k|0|1|nl))?(?:_(?:xxs|xs|s|m|l|xl))?",
    r"tq\d_\d",
)
_PACKAGING = re.compile(rf"[-_.:](?:{'|'.join(_PRECISIONS)})$")
_FILE = re.compile(r"(?:-\d{5}-of-\d{5})?\.gguf$")
_CACHED = re.compile(r"^.*-gguf_")
"""llama.cpp's cache names files `<owner>_<repository>-GGUF_<file>`."""


def owner_of(name: str) -> str:
    """The owner in a hub id; empty for names without one, and for paths and files."""
    owner, slash, model = name.partition("/")
    is_hub_id = slash and not re.search(r"[/\\]", model) and not model.endswith(".gguf")
    return owner if is_hub_id else ""


@lru_cache(maxsize=1024)
def unpackaged(name: str) -> str:
    """The model in a hub id, a path or a file name: in lower case, without its packaging.

    Args:
        name: The name, such as `unsloth/gpt-oss-20b-GGUF` or `/models/gpt-oss-20b-F16.gguf`.
    """
    model = re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower()
    model = _CACHED.sub("", _FILE.sub("", model))
    while (shorter := _PACKAGING.sub("", model)) != model:
        model = shorter
    return model


def is_packaging_of(name: str, model: str) -> bool:
    """Whether a name is a model in another precision, format or file, by its name alone.

    Args:
        name: The name.
        model: A hub id. Its own packaging counts as little: many models are published as `-FP8`.
    """
    plain, owner = unpackaged(model), owner_of(model).lower()
    # bartowski writes Qwen_Qwen3-32B-GGUF for Qwen/Qwen3-32B, DevQuasar Qwen.Qwen3-32B-GGUF.
    return unpackaged(name) in {plain, f"{owner}_{plain}", f"{owner}.{plain}"}
