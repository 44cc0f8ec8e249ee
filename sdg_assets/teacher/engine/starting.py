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
        arguments = with_cpu_dtype(arguments)
        refuse_replicas_on_cpu(model, arguments)
    if not on_cpu if own_process is None else own_process:
        return StreamedCore(model, arguments, on_tokens)
    return SteppedCore(model, arguments, on_tokens)


def with_cpu_dtype(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The engine arguments for this CPU: with its `dtype`, unless one is pinned."""
    if arguments.get("dtype", "auto") != "auto":
        return dict(arguments)
    log.info("the engine computes in %s", cpu_dtype())
    return {**arguments, "dtype": cpu_dtype().name}
