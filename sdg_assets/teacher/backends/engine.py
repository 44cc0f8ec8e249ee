"""The teacher in this process: a vLLM engine that takes requests as a stream.

`LLM.generate` takes a list and returns when its slowest row is finished. Here requests enter the
engine at any time, and each finished one is returned at once.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from sdg_assets.errors import SdgError, TeacherError, TeacherGoneError, TransientError
from sdg_assets.records import TeacherStamp
from sdg_assets.teacher.backend import Backend, TeacherSpec
from sdg_assets.teacher.encoding import ChatEncoder
from sdg_assets.teacher.engine_errors import explained
from sdg_assets.teacher.models import (
    HUB_ID,
    ResolvedModel,
    TeacherCard,
    card_of,
    card_of_model,
    resolve,
    teacher_cards,
)
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    FinishReason,
    Message,
    Request,
    TeacherIdentity,
    finish_reason,
    output_limit,
)
from sdg_assets.teacher.stopping import FrozenError, engine_work
from sdg_assets.teacher.thought_parser import Preparation, ThoughtParser, add_request
from sdg_assets.teacher.thoughts import Parted, settled

# Set before vllm is imported. One process: a killed run leaves no orphaned engine behind, and
# errors keep their types.
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    # By default OpenMP's threads spin while they wait for each other: with other work on a 2-core
    # machine the engine fell from 23 to 2.4 tokens/s. Sleeping threads leave the core free.
    "OMP_WAIT_POLICY": "PASSIVE",
}
# Engine arguments that change the model's answers, and so belong to its identity.
_NUMERIC = ("dtype", "quantization", "max_model_len")


def identity_of(resolved: ResolvedModel, arguments: Mapping[str, Any]) -> TeacherIdentity:
    """The identity of a model run with these arguments; needs neither the model nor vLLM."""
    numeric = {k: arguments[k] for k in _NUMERIC if k in arguments}
    card = resolved.card
    stamp = TeacherStamp(model=card.model, revision=resolved.revision, license=card.license)
    return TeacherIdentity(stamp, numeric, card.judges, card.thinking, card.sampling)


class EngineTeacher:
    """A vLLM engine behind the `Teacher` protocol.

    The engine starts with the first request: a rerun whose completions are all in the log needs
    only the tokenizer.
    """

    def __init__(
        self,
        resolved: ResolvedModel,
        stalled_seconds: float | None = None,
        **overrides: Any,  # noqa: ANN401
    ) -> None:
        """Reads the model's configuration and tokenizer.

        Args:
            resolved: The model's directory or hub id, with its card.
            stalled_seconds: Seconds without a token after which the engine counts as frozen.
            **overrides: vLLM engine arguments, which override those of the card.

        Raises:
            TeacherError: The model cannot be read.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from transformers import AutoConfig, AutoTokenizer

        self._model = resolved.path_or_id
        self._stalled_seconds = stalled_seconds
        self._unusable: Exception | None = None
        self.thinking = resolved.card.thinking
        parser = {"reasoning_parser": self.thinking.parser} if self.thinking else {}
        gpus = resolved.card.gpus
        spread = {
            "tensor_parallel_size": gpus.tensor_parallel,
            "data_parallel_size": gpus.data_parallel,
        }
        self._arguments: dict[str, Any] = {
            **{name: count for name, count in spread.items() if count > 1},
            **parser,
            **resolved.card.engine,
            **overrides,
        }
        try:
            tokenizer = AutoTokenizer.from_pretrained(self._model)
            config = AutoConfig.from_pretrained(self._model)
        except (OSError, ValueError) as error:
            raise explained(error, self._model) from error
        longest = self._arguments.get("max_model_len") or config.max_position_embeddings
        self.max_model_len = int(longest)
        self.identity = identity_of(resolved, self._arguments)
        self._tokenizer = tokenizer
        self._encoder = ChatEncoder(tokenizer, self._model, self.thinking)
        self.control_tokens = self._encoder.control_tokens
        self._submitted: dict[str, tuple[Request, float]] = {}
        # A prompt is tokenized twice: to count its tokens, and to send it a moment later.
        self._tokenize = lru_cache(maxsize=256)(self._encoder.encode)

    @cached_property
    def llm(self) -> Any:  # noqa: ANN401 – vllm.LLM
        """The engine, started.

        Raises:
            TeacherError: It cannot work as configured; the message says what to change.
            TeacherGoneError: There is too little memory now.
        """
        if self._unusable:  # it failed for an earlier partition with the same settings
            raise TeacherError(str(self._unusable))
        arguments = {"enable_prefix_caching": True, **self._arguments}
        with engine_work():
            from vllm import LLM

            try:
                return LLM(model=self._model, **arguments)
            except Exception as error:
                raise self._not_started(explained(error, self._model)) from error

    @cached_property
    def thoughts(self) -> ThoughtParser | None:
        """Tells thought from answer; None for a model that does not think.

        Raises:
            TeacherError: The parser that its card names cannot be used.
        """
        if self.thinking is None:
            return None
        return ThoughtParser(self.thinking, self._tokenizer, self._model)

    def _not_started(self, error: Exception) -> Exception:
        """Remembers a permanent error: every partition of the run would meet it again."""
        if isinstance(error, TransientError):
            return TeacherGoneError(str(error))
        self._unusable = error
        return error

    def start(self) -> None:
        """Starts the engine now instead of with the first request."""
        _ = self.llm

    def stop(self) -> None:
        """Ends the engine, if it runs, and frees its memory."""
        if self.__dict__.pop("llm", None) is not None:
            gc.collect()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of prompt tokens of a conversation, chat template included."""
        return len(self._tokens(messages))

    def submit(self, request: Request) -> None:
        """Adds a request to the running batch."""
        engine, prompt = self.llm.llm_engine, self.prompt(request)
        prepared = self._prepared(request, prompt["prompt_token_ids"])
        try:
            add_request(engine, request.id, prompt, self.parameters(request, prepared), prepared)
        except Exception as error:
            raise explained(error, self._model) from error
        self._submitted[request.id] = request, time.monotonic()

    def prompt(self, request: Request) -> dict[str, list[int]]:
        """The request's token ids for vLLM; only the chat template produces control ids."""
        return {"prompt_token_ids": self._tokens(request.messages, request.sampling.thinking)}

    def parameters(self, request: Request, prepared: Preparation | None = None) -> Any:  # noqa: ANN401 – vllm.SamplingParams
        """The request's `SamplingParams`; the engine enforces its JSON schema."""
        from vllm import SamplingParams

        if prepared is None:
            prepared = self._prepared(request, self.prompt(request)["prompt_token_ids"])
        sampling = request.sampling
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            max_tokens=output_limit(self.thinking, sampling),
            structured_outputs=prepared.structured_outputs,
            skip_special_tokens=prepared.skip_special_tokens,
        )

    def _prepared(self, request: Request, prompt: Sequence[int]) -> Preparation:
        if self.thoughts:
            return self.thoughts.prepare(request, prompt)
        from vllm.sampling_params import StructuredOutputsParams

        schema = request.json_schema
        return Preparation(StructuredOutputsParams(json=schema) if schema else None)

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """Steps the engine until a request is finished. Without `wait` it returns nothing.

        The engine works only during a poll, so nothing finishes between two polls.

        Raises:
            TeacherError: The engine failed, and would fail again.
            TeacherGoneError: The engine is frozen.
        """
        llm = self.__dict__.get("llm")  # without a started engine no request is under way
        finished: list[Completion | FailedRequest] = []
        if not wait or llm is None:
            return finished
        with engine_work(self._stalled_seconds) as work:
            while not finished and llm.llm_engine.has_unfinished_requests():
                try:
                    outputs = llm.llm_engine.step()
                except (Exception, FrozenError) as error:
                    raise self._dead(error, frozen=work.is_frozen) from error
                if outputs:
                    work.progressed()
                finished = [self._outcome(output) for output in outputs if output.finished]
        return finished

    def _dead(self, error: BaseException, *, frozen: bool) -> Exception:
        """Drops the failed engine, so that the next request starts a new one; returns the error."""
        self.__dict__.pop("llm", None)
        self._submitted.clear()
        if frozen:
            return TeacherGoneError(
                f"teacher {self._model}: the engine produced no token for "
                f"{(self._stalled_seconds or 0) / 60:g} min; is it frozen? Raise "
                "SDG_STALLED_MINUTES if it may take longer"
            )
        return explained(error, self._model)

    def _tokens(self, messages: Sequence[Message], mode: str = "") -> list[int]:
        return self._tokenize(tuple(messages), mode)

    def _outcome(self, output: Any) -> Completion | FailedRequest:  # noqa: ANN401 – vLLM's RequestOutput
        answer, now = output.outputs[0], time.monotonic()
        request, began = self._submitted.pop(output.request_id)
        try:
            reason = finish_reason(answer.finish_reason, self._model)
        except SdgError as error:
            return FailedRequest(output.request_id, error)
        parted = self._parted(request, output.prompt_token_ids, answer, reason)
        return Completion(
            request_id=output.request_id,
            text=parted.answer,
            reasoning=parted.reasoning,
            finish_reason=parted.finish_reason,
            prompt_tokens=len(output.prompt_token_ids),
            output_tokens=len(answer.token_ids),
            reasoning_tokens=parted.reasoning_tokens,
            cached_tokens=output.num_cached_tokens or 0,
            seconds=round(now - began, 3),
        )

    def _parted(
        self,
        request: Request,
        prompt: Sequence[int],
        answer: Any,  # noqa: ANN401 – vLLM's CompletionOutput
        reason: FinishReason,
    ) -> Parted:
        if self.thoughts is None:
            return settled(None, request, "", answer.text, reason)
        return self.thoughts.part(request, prompt, answer.text, answer.token_ids, reason)


class EngineBackend(Backend):
    """Teachers that this process loads: keys of `teachers.yaml`, hub ids and directories."""

    name = "engine"
    kind = "vllm"

    def __init__(self) -> None:
        """Starts without engines."""
        self._running: dict[TeacherSpec, EngineTeacher] = {}

    def serves(self, spec: TeacherSpec) -> bool:
        """Whether the name is a key, a hub id or a directory.

        An absolute path need not exist here: on a cluster only the GPU nodes may have it.
        """
        is_known = spec.name in teacher_cards(spec.catalog) or HUB_ID.fullmatch(spec.name)
        return bool(is_known) or _directory(spec) is not None

    def names(self, catalog: Path | None) -> str:
        """Directories, hub ids and the keys of `teachers.yaml`."""
        return f"a directory, a hub id (org/name) or one of {', '.join(teacher_cards(catalog))}"

    def open(self, spec: TeacherSpec) -> EngineTeacher:
        """The engine, which starts with the first request and is kept for later partitions."""
        if spec not in self._running:
            # The same model with other arguments would hold the memory that this one needs.
            self.stop_unused([running for running in self._running if running.name != spec.name])
            resolved = resolve(spec.name, catalog=spec.catalog)
            self._running[spec] = EngineTeacher(resolved, spec.stalled_seconds, **spec.engine)
        return self._running[spec]

    def identity(self, spec: TeacherSpec) -> TeacherIdentity:
        """The model's revision, and the arguments that change its answers."""
        resolved = resolve(spec.name, fetch=False, catalog=spec.catalog)
        return identity_of(resolved, {**resolved.card.engine, **spec.engine})

    def card(self, spec: TeacherSpec) -> TeacherCard:
        """The model's card in `teachers.yaml`, or one whose facts are unknown."""
        directory = _directory(spec)
        if directory:
            return card_of_model(str(directory), catalog=spec.catalog)
        return card_of(spec.name, spec.catalog)

    def loaded(self, spec: TeacherSpec) -> TeacherCard:
        """The model's card: it is always loaded into the step's process."""
        return self.card(spec)

    def needs_internet(self, spec: TeacherSpec, *, cached: bool) -> bool:
        """Whether the weights are neither on a volume nor in packages."""
        return not (cached or self.card(spec).packaged)

    def stop_unused(self, wanted: Collection[TeacherSpec]) -> None:
        """Stops the other engines and frees their memory: a GPU rarely has room for two."""
        for spec in [running for running in self._running if running not in wanted]:
            self._running.pop(spec).stop()


BACKEND = EngineBackend()


def _directory(spec: TeacherSpec) -> Path | None:
    """The directory that a teacher's name denotes; None for a key of `teachers.yaml`."""
    directory = Path(spec.name).expanduser()
    if not spec.name or spec.name in teacher_cards(spec.catalog):
        return None
    return directory if directory.is_absolute() or directory.is_dir() else None
