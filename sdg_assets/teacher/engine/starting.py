"""Starts the engine that suits the hardware."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from sdg_assets.teacher.engine.arguments import refuse_replicas_on_cpu
from sdg_assets.teacher.engine.core import Core
from sdg_assets.teacher.engine.hardware import cpu_dtype, runs_on_cpu
from sdg_assets.teacher.engine.stepped import SteppedCore
from sdg_assets.teacher.engine.streamed import StreamedCore

log = logging.getLogger(__name__)

CPU_BLOCK = 32
"""Tokens of a block of the KV cache on a CPU. Only whole blocks are shared: with vLLM's 128,
each vote on a question of 80 tokens reads it anew."""


def start(
    model: str,
    arguments: Mapping[str, Any],
    on_tokens: Callable[[int], None],
    *,
    own_process: bool | None = None,
) -> Core:
    """Starts an engine: in this thread on a CPU, in processes of its own on a GPU.

    Args:
        model: A model's directory or hub id.
        arguments: vLLM engine arguments.
        on_tokens: Called with the number of new tokens of each engine step.
        own_process: Whether the engine gets a process of its own; None: on a GPU.

    Raises:
        Exception: As vLLM raises it.
    """
    on_cpu = runs_on_cpu()
    if on_cpu:
        arguments = for_cpu(arguments)
        refuse_replicas_on_cpu(model, arguments)
    if not on_cpu if own_process is None else own_process:
        return StreamedCore(model, arguments, on_tokens)
    return SteppedCore(model, arguments, on_tokens)


def for_cpu(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The engine arguments, with this CPU's `dtype` and small blocks unless others are pinned."""
    arguments = {"block_size": CPU_BLOCK, **arguments}
    if arguments.get("dtype", "auto") == "auto":
        log.info("the engine computes in %s", cpu_dtype())
        arguments["dtype"] = cpu_dtype().name
    return arguments
