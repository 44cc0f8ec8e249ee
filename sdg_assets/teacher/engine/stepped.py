"""An engine in this thread: it computes while somebody waits for it.

The best choice on a CPU, where another process would compete for the same cores.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from sdg_assets.teacher.engine.core import Output, ends_thoughts, room_of
from sdg_assets.teacher.thought_parser import Preparation, add_request


class SteppedCore:
    """vLLM's `LLM`, stepped by hand."""

    in_process = True

    def __init__(
        self, model: str, arguments: Mapping[str, Any], on_tokens: Callable[[int], None]
    ) -> None:
        """Loads the model; for the arguments see `core.start`."""
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        from vllm import LLM

        self._llm: Any = LLM(model=model, **arguments)
        self._engine = self._llm.llm_engine
        self.room = room_of(self._engine.vllm_config)
        self.ends_thoughts = ends_thoughts(self._engine.vllm_config)
        self.steps, self.step_seconds = 0, 0.0
        compute = self._engine.engine_core.get_output

        def counted() -> Any:  # noqa: ANN401 – vLLM's EngineCoreOutputs
            began = time.process_time()
            outputs = compute()
            self.steps += 1
            self.step_seconds += time.process_time() - began
            on_tokens(sum(len(output.new_token_ids) for output in outputs.outputs))
            return outputs

        self._engine.engine_core.get_output = counted

    def add(
        self,
        request_id: str,
        prompt: Mapping[str, Any],
        parameters: Any,  # noqa: ANN401 – vLLM's
        prepared: Preparation | None = None,
    ) -> None:
        """Adds a prompt to the running batch."""
        add_request(self._engine, request_id, prompt, parameters, prepared or Preparation())

    def finished(self, *, wait: bool) -> list[Output]:
        """With `wait`, runs one step of the engine; without, nothing can have finished."""
        if not wait or not self.has_unfinished:
            return []
        return [Output(o.request_id, o) for o in self._engine.step() if o.finished]

    @property
    def has_unfinished(self) -> bool:
        """Whether a request is under way."""
        return bool(self._engine.has_unfinished_requests())

    def generate(self, prompts: list[Any], parameters: list[Any]) -> list[Any]:
        """`LLM.generate` on the same engine."""
        return list(self._llm.generate(prompts, parameters, use_tqdm=False))

    def forget(self) -> None:
        """Empties the prefix cache."""
        self._llm.reset_prefix_cache()

    def stop(self) -> None:
        """Frees the model.

        vLLM freezes the heap when it has loaded a model, so a cycle among its objects would keep
        them for ever: 1.4 GiB stayed of each stopped SmolLM2.
        """
        del self._engine.engine_core.get_output
        del self._engine, self._llm
        gc.unfreeze()
        gc.collect()
