"""Turns errors of vLLM's engine into messages that say what to change."""

from __future__ import annotations

from sdg_assets.errors import TeacherError, TransientError


def explained(error: BaseException, model: str) -> Exception:
    """Translates an error of vLLM into one of this package.

    Args:
        error: The exception that the engine raised.
        model: The directory or hub id that it loads.

    Returns:
        A `TransientError` if memory may be free later, else a `TeacherError`.
    """
    text = " ".join(str(error).split())
    if type(error).__name__ == "EngineDeadError":
        return TransientError(
            f"teacher {model}: the engine's process has ended; if it was killed, give the step "
            "more memory"
        )
    if "max seq len" in text or "max_model_len" in text or "cache blocks" in text:
        return TeacherError(
            f"teacher {model}: too little KV-cache space for its maximum length: lower "
            f"max_model_len or raise kv_cache_memory_bytes / gpu_memory_utilization ({text[:300]})"
        )
    if "out of memory" in text.lower() or "Available memory" in text:
        return TransientError(
            f"teacher {model}: not enough memory to start: free some, lower "
            f"kv_cache_memory_bytes, or use a smaller model ({text[:300]})"
        )
    if isinstance(error, OSError | ValueError) and "config" in text:
        return TeacherError(f"teacher {model}: not a model directory vLLM can load ({text[:300]})")
    return TeacherError(f"teacher {model}: {type(error).__name__}: {text[:500]}")
