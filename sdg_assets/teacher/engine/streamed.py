"""An engine in processes of its own: it computes all the time, also while Python is busy here.

The alternative was a vLLM server that the step starts and stops itself. This is the same engine
without the server's detour: prompts go in as token ids, which keeps a data set's text from becoming
a control token, there is no port, HTTP or JSON in between, and an error keeps its type. Replicas
share the requests by load here as there. On an H200 a 135M model wrote 18,700 tokens/s here, and
12,000 with the engine in this process, where it waits for Python. `benchmarks/on_a_gpu.py` measures
all three.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

from sdg_assets.teacher.engine.children import ErrorsOfChildren, tied_to_this_process
from sdg_assets.teacher.engine.core import Output, ends_thoughts, room_of
from sdg_assets.teacher.thought_parser import Preparation

LOOK_SECONDS = 1.0


class StreamedCore:
    """vLLM's `AsyncLLM`, fed and read by an event loop in a thread of this process."""

    in_process = False
    steps, step_seconds = 0, 0.0

    def __init__(
        self, model: str, arguments: Mapping[str, Any], on_tokens: Callable[[int], None]
    ) -> None:
        """Loads the model in processes of its own; for the arguments see `core.start`."""
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
        # A fork would copy the locks of this process's threads in whatever state they are.
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
        self._on_tokens = on_tokens
        self._outputs: queue.SimpleQueue[Output] = queue.SimpleQueue()
        self._under_way = 0
        self._death: Exception | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="engine", daemon=True).start()
        try:
            self._llm: Any = self._await(self._start(model, arguments))
        except BaseException:
            self._end_loop()
            raise
        self.room = room_of(self._llm.vllm_config)
        self.ends_thoughts = ends_thoughts(self._llm.vllm_config)

    async def _start(self, model: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 – AsyncLLM
        """Starts the engine in the loop's thread, which lives as long as the engine."""
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        options = AsyncEngineArgs(
            model=model, disable_log_stats=True, enable_log_requests=False, **arguments
        )
        with tied_to_this_process() as errors:
            try:
                # The limits of vLLM's offline engine: for throughput, not for latency.
                llm = AsyncLLM.from_engine_args(options, usage_context=UsageContext.LLM_CLASS)
            except RuntimeError as error:
                raise _root_cause(error, errors) from error
        receive = llm.engine_core.get_output_async

        async def counted() -> Any:  # noqa: ANN401 – vLLM's EngineCoreOutputs
            outputs = await receive()
            self._on_tokens(sum(len(output.new_token_ids) for output in outputs.outputs))
            return outputs

        llm.engine_core.get_output_async = counted
        return llm

    def add(
        self,
        request_id: str,
        prompt: Mapping[str, Any],
        parameters: Any,  # noqa: ANN401 – vLLM's
        prepared: Preparation | None = None,
    ) -> None:
        """Hands the prompt to the loop's thread."""
        from vllm.sampling_params import RequestOutputKind

        parameters.output_kind = RequestOutputKind.FINAL_ONLY
        self._under_way += 1
        work = self._complete(request_id, prompt, parameters, prepared or Preparation())
        asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _complete(
        self,
        request_id: str,
        prompt: Mapping[str, Any],
        parameters: Any,  # noqa: ANN401 – vLLM's
        prepared: Preparation,
    ) -> None:
        # Every outcome must reach the polling thread, or it would wait for ever.
        try:
            result: Any = None
            outputs = self._llm.generate(
                prompt,
                parameters,
                request_id,
                reasoning_ended=prepared.reasoning_ended if prepared.parser_arguments else None,
                reasoning_parser_kwargs=prepared.parser_arguments or None,
            )
            async for output in outputs:
                result = output
        except BaseException as error:
            result = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            self._outputs.put(Output(request_id, result))
            if not isinstance(error, Exception):
                raise
        else:
            self._outputs.put(Output(request_id, result))

    def finished(self, *, wait: bool) -> list[Output]:
        """Takes all finished outputs; with `wait`, waits up to a second for the first.

        Raises:
            EngineDeadError: The engine has died, and all that it had finished was taken before.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        if self._death:
            raise self._death
        outputs: list[Output] = []
        while self._under_way:
            try:
                block = wait and not outputs and not self._death
                output = self._outputs.get(block, LOOK_SECONDS if block else None)
            except queue.Empty:
                break
            self._under_way -= 1
            if isinstance(output.result, EngineDeadError):
                self._death = output.result
            else:
                outputs.append(output)
        if self._death and not outputs:
            raise self._death
        return outputs

    @property
    def has_unfinished(self) -> bool:
        """Whether an output, or the engine's death, has not been taken yet."""
        return self._under_way > 0 or self._death is not None

    def generate(self, prompts: list[Any], parameters: list[Any]) -> list[Any]:
        """Sends all prompts at once, and waits for the last."""
        for number, (prompt, own) in enumerate(zip(prompts, parameters, strict=True)):
            self.add(f"raw-{number}", prompt, own)
        outputs: list[Output] = []
        while self.has_unfinished:
            outputs += self.finished(wait=True)
        for output in outputs:
            if isinstance(output.result, Exception):
                raise output.result
        return [output.result for output in outputs]

    def forget(self) -> None:
        """Empties the prefix cache."""
        self._await(self._llm.reset_prefix_cache())

    def stop(self) -> None:
        """Ends the engine's processes."""
        self._llm.shutdown()
        self._end_loop()

    def _await(self, work: Any) -> Any:  # noqa: ANN401 – a coroutine and its result
        """Waits for a coroutine of the loop; a signal ends the wait."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while not futures.wait([future], LOOK_SECONDS).done:
            pass
        return future.result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


def _root_cause(error: RuntimeError, errors: ErrorsOfChildren) -> RuntimeError:
    return RuntimeError(errors.first() or str(error))
