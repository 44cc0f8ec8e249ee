"""The teacher in this step: a vLLM engine that takes requests as a stream.

`LLM.generate` takes a list and returns when its slowest row is finished. Here requests enter the
engine at any time, and each finished one is returned at once. On a CPU the engine computes in this
process, on a GPU in one of its own; see `teacher/engine/`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from sdg_assets.errors import SdgError, TeacherError, TeacherGoneError, TransientError
from sdg_assets.teacher.backend import Backend, TeacherSpec
from sdg_assets.teacher.encoding import ChatEncoder
from sdg_assets.teacher.engine.arguments import (
    arguments_of,
    gpus_of,
    identity_of,
    refuse_formats_of_servers,
    refuse_missing_gpus,
    refuse_replicas_on_cpu,
)
from sdg_assets.teacher.engine.core import FIRST_GUESS, GUESS_WEIGHT, Core, Output
from sdg_assets.teacher.engine.errors import explained
from sdg_assets.teacher.engine.hardware import countable_gpus, has_gpu
from sdg_assets.teacher.engine.starting import start
from sdg_assets.teacher.models import (
    HUB_ID,
    ResolvedModel,
    TeacherCard,
    card_of,
    card_of_model,
    resolve,
    resolve_tokenizer,
    some_keys,
    teacher_cards,
)
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    FinishReason,
    Message,
    Request,
    Sampling,
    TeacherIdentity,
    finish_reason,
    output_limit,
    too_long,
)
from sdg_assets.teacher.stopping import EngineWork, FrozenError, engine_work
from sdg_assets.teacher.thinking import thought_budget
from sdg_assets.teacher.thought_parser import Preparation, ThoughtParser
from sdg_assets.teacher.thoughts import Parted, settled

# Set before vllm is imported.
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    # By default OpenMP's threads spin while they wait for each other: with other work on a 2-core
    # machine the engine fell from 23 to 2.4 tokens/s. Sleeping threads leave the core free.
    "OMP_WAIT_POLICY": "PASSIVE",
}
UNSTARTED_CAPACITY = 256
"""Capacity before the engine has started, if nobody sets `max_num_seqs`; vLLM's least default."""


class EngineTeacher:
    """A vLLM engine behind the `Teacher` protocol.

    The engine starts with the first request: a rerun whose completions are all in the log needs
    only the tokenizer.
    """

    needs_polling: bool = True

    def __init__(
        self,
        resolved: ResolvedModel,
        stalled_seconds: float | None = None,
        concurrency: int | None = None,
        *,
        own_process: bool | None = None,
        **overrides: Any,  # noqa: ANN401
    ) -> None:
        """Reads the model's configuration and tokenizer.

        Args:
            resolved: The model's directory or hub id, with its card.
            stalled_seconds: Seconds without a token after which the engine counts as frozen.
            concurrency: The capacity; None: as many requests as the engine can hold.
            own_process: Whether the engine gets a process of its own; None: on a GPU.
            **overrides: vLLM engine arguments, which override those of the card.

        Raises:
            TeacherError: The model cannot be read.
        """
        _set_environment()
        from transformers import AutoConfig, AutoTokenizer

        self._model = resolved.path_or_id
        self._stalled_seconds = stalled_seconds
        self._concurrency = concurrency
        self._own_process = own_process
        self._unusable: Exception | None = None
        self.thinking = resolved.card.thinking
        self._arguments = arguments_of(resolved.card, overrides)
        refuse_formats_of_servers(self._model, self._arguments)
        remote = {"trust_remote_code": bool(self._arguments.get("trust_remote_code"))}
        try:
            tokenizer = AutoTokenizer.from_pretrained(self._model, **remote)
            config = AutoConfig.from_pretrained(self._model, **remote)
        except (OSError, ValueError, ImportError) as error:
            raise explained(error, self._model) from error
        # Models that also see keep the text's part in `text_config`.
        own = getattr(config.get_text_config(), "max_position_embeddings", None)
        longest = self._arguments.get("max_model_len") or own
        if not longest:
            raise TeacherError(
                f"teacher {self._model}: its configuration does not say how long its context is; "
                "state it: SDG_ENGINE='{\"max_model_len\": …}'"
            )
        self.max_model_len = int(longest)
        self.identity = identity_of(resolved, self._arguments)
        self._tokenizer = tokenizer
        self._encoder = ChatEncoder(tokenizer, self._model, self.thinking)
        self.control_tokens = self._encoder.control_tokens
        self._submitted: dict[str, tuple[Request, float]] = {}
        self._unsent: list[Completion] = []
        self._last_token = time.monotonic()
        self.tokens = 0
        """Tokens that the engine has written so far, those of unfinished answers included."""
        self.wait_until: float | None = None
        """Moment (`time.monotonic`) after which a poll waits no longer; for measurements."""
        self.bell: threading.Event | None = None
        self._waits_since: float | None = None
        """The last sign of progress of an engine in a process of its own, if a bell ended the last
        poll: otherwise no poll would last long enough to notice that it is frozen."""
        self._answered, self._answered_tokens = 0, 0
        # A prompt is tokenized twice: to count its tokens, and to send it a moment later.
        self._tokenize = lru_cache(maxsize=256)(self._encoder.encode)

    @cached_property
    def core(self) -> Core:
        """The engine, started.

        Raises:
            TeacherError: It cannot work as configured; the message says what to change.
            TeacherGoneError: There is too little memory now.
        """
        if self._unusable:  # it failed for an earlier partition with the same settings
            raise TeacherError(str(self._unusable))
        arguments = {"enable_prefix_caching": True, **self._arguments}
        with engine_work():
            try:
                return start(
                    self._model, arguments, self._count_tokens, own_process=self._own_process
                )
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

    def _count_tokens(self, new: int) -> None:
        """Notes that the engine has written tokens. A streamed engine calls it in its thread."""
        if new:
            self.tokens += new
            self._last_token = time.monotonic()

    @property
    def capacity(self) -> int:
        """Requests worth having under way: what the engine computes together, and a short queue.

        The engine's KV cache is divided by the tokens of a request, as the finished ones needed
        them. Before the engine has started, its `max_num_seqs` alone counts.
        """
        if self._concurrency:
            return self._concurrency
        core: Core | None = self.__dict__.get("core")
        if core is None:
            return int(self._arguments.get("max_num_seqs", UNSTARTED_CAPACITY))
        # The guess counts like some answers: the first ones to finish are the short ones.
        guess = GUESS_WEIGHT * min(FIRST_GUESS, self.max_model_len)
        tokens = (guess + self._answered_tokens) / (GUESS_WEIGHT + self._answered)
        return core.room.requests(tokens)

    @cached_property
    def gpus(self) -> int:
        """GPUs of the engine; 0 if it computes on the CPU."""
        return gpus_of(self._arguments).number if has_gpu() else 0

    @property
    def waiting(self) -> int:
        """Requests beyond those that the engine can compute together; with long ones, more wait."""
        core: Core | None = self.__dict__.get("core")
        return max(0, len(self._submitted) - core.room.sequences) if core else 0

    @property
    def computes_here(self) -> bool:
        """Whether the started engine computes in this process; else in processes of its own."""
        return self.core.in_process

    def start(self) -> None:
        """Starts the engine now instead of with the first request."""
        _ = self.core

    def stop(self) -> None:
        """Ends the engine, if it runs, and frees its memory. Requests under way are dropped."""
        self._submitted.clear()
        core = self.__dict__.pop("core", None)
        if core is not None:
            core.stop()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of prompt tokens of a conversation, chat template included."""
        return len(self._tokens(messages))

    def submit(self, request: Request) -> None:
        """Adds a request to the running batch.

        A request that does not fit into the context is not sent: the next poll returns its
        completion, `too_long`. One that is under way already, from a conversation that was
        interrupted, is not sent again.
        """
        # vLLM would answer it twice, and the second answer belongs to no request.
        if request.id in self._submitted:
            return
        prompt = self.prompt(request)
        length = len(prompt["prompt_token_ids"])
        if length + output_limit(self.thinking, request.sampling) > self.max_model_len:
            self._unsent.append(too_long(request, length))
            return
        core, prepared = self.core, self._prepared(request, prompt["prompt_token_ids"])
        try:
            core.add(request.id, prompt, self.parameters(request, prepared), prepared)
        except Exception as error:
            raise explained(error, self._model) from error
        self._submitted[request.id] = request, time.monotonic()

    def prompt(self, request: Request) -> dict[str, list[int]]:
        """The request's token ids for vLLM; only the chat template produces control ids."""
        return {"prompt_token_ids": self._tokens(request.messages, request.sampling.thinking)}

    def parameters(self, request: Request, prepared: Preparation | None = None) -> Any:  # noqa: ANN401 – vllm.SamplingParams
        """The request's `SamplingParams`; the engine enforces its JSON schema."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if prepared is None:
            prepared = self._prepared(request, self.prompt(request)["prompt_token_ids"])
        sampling = request.sampling
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            max_tokens=output_limit(self.thinking, sampling),
            thinking_token_budget=self._thought_budget(sampling),
            structured_outputs=prepared.structured_outputs,
            skip_special_tokens=prepared.skip_special_tokens,
            # Otherwise vLLM builds an output for each request at each step.
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _thought_budget(self, sampling: Sampling) -> int | None:
        """Tokens after which the started engine ends a thought; None: it does not.

        `max_tokens` is thought and answer together: without this a long thought would take the
        answer's share.
        """
        core: Core | None = self.__dict__.get("core")
        if core is None or not core.ends_thoughts:
            return None
        return thought_budget(self.thinking, sampling.thinking) or None

    def _prepared(self, request: Request, prompt: Sequence[int]) -> Preparation:
        if self.thoughts:
            return self.thoughts.prepare(request, prompt)
        from vllm.sampling_params import StructuredOutputsParams

        schema = request.json_schema
        return Preparation(StructuredOutputsParams(json=schema) if schema else None)

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """Takes finished requests. With `wait`, lets the engine work until one is finished.

        Raises:
            TeacherError: The engine failed, and would fail again.
            TeacherGoneError: The engine is frozen, or its process has ended.
        """
        outcomes: list[Completion | FailedRequest] = [*self._unsent]
        self._unsent.clear()
        core = self.__dict__.get("core")  # without a started engine no request is under way
        if core is None:
            return outcomes
        wait = wait and not outcomes
        with engine_work(self._stalled_seconds if wait else None) as work:
            try:
                return outcomes + self._finished(core, work, wait=wait)
            except (Exception, FrozenError) as error:  # noqa: BLE001 – raised below
                failure, is_frozen = error, work.is_frozen
        raise self._dead(failure, frozen=is_frozen) from failure

    def _finished(
        self, core: Core, work: EngineWork, *, wait: bool
    ) -> list[Completion | FailedRequest]:
        """Takes finished requests; with `wait`, as soon as there is one, or the bell rings."""
        outcomes = self._taken(core, wait=False)
        if self._waits_since is not None:
            work.last = self._waits_since
        while wait and not outcomes:
            work.last = max(work.last, self._last_token)
            # An engine that computes here makes a step, even if the bell has rung already.
            outcomes = self._taken(core, wait=core.in_process or not self._is_called)
            is_over = self.wait_until is not None and time.monotonic() > self.wait_until
            is_called = self._is_called
            # An engine that computes here stands still between two polls, and is not frozen.
            is_interrupted = is_called and not outcomes and not core.in_process
            self._waits_since = work.last if is_interrupted else None
            if is_over or is_called or not core.has_unfinished:
                break
        return outcomes

    @property
    def _is_called(self) -> bool:
        return self.bell is not None and self.bell.is_set()

    def _taken(self, core: Core, *, wait: bool) -> list[Completion | FailedRequest]:
        outcomes = [self._outcome(output) for output in core.finished(wait=wait)]
        if outcomes:
            self._waits_since = None
        return outcomes

    def _dead(self, error: BaseException, *, frozen: bool) -> Exception:
        """Drops the failed engine, so that the next request starts a new one; returns the error."""
        self._waits_since = None
        with suppress(Exception):  # it is broken; the error that broke it counts
            self.stop()
        if frozen:
            return TeacherGoneError(
                f"teacher {self._model}: the engine produced no token for "
                f"{(self._stalled_seconds or 0) / 60:g} min; is it frozen? Raise "
                "SDG_STALLED_MINUTES if it may take longer"
            )
        return explained(error, self._model)

    def _tokens(self, messages: Sequence[Message], mode: str = "") -> list[int]:
        return self._tokenize(tuple(messages), mode)

    def _outcome(self, output: Output) -> Completion | FailedRequest:
        now, result = time.monotonic(), output.result
        request, began = self._submitted.pop(output.request_id)
        if isinstance(result, Exception):
            return FailedRequest(output.request_id, explained(result, self._model))
        answer = result.outputs[0]
        try:
            reason = finish_reason(answer.finish_reason, self._model)
            parted = self._parted(request, result.prompt_token_ids, answer, reason)
        except SdgError as error:
            return FailedRequest(output.request_id, error)
        prompt_tokens, cached_tokens = len(result.prompt_token_ids), result.num_cached_tokens or 0
        self._answered += 1
        self._answered_tokens += prompt_tokens - cached_tokens + len(answer.token_ids)
        return Completion(
            request_id=output.request_id,
            text=parted.answer,
            reasoning=parted.reasoning,
            finish_reason=parted.finish_reason,
            limits=request.limits,
            prompt_tokens=prompt_tokens,
            output_tokens=len(answer.token_ids),
            reasoning_tokens=parted.reasoning_tokens,
            cached_tokens=cached_tokens,
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
            return settled(None, request, "", answer.text, reason, teacher=self._model)
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
        return f"a directory, a hub id (org/name) or one of {some_keys(catalog=catalog)}"

    def check(self, spec: TeacherSpec) -> None:
        """Refuses tokenizers of servers, and more GPUs or replicas than the machine can hold.

        Pods of a cluster have GPUs of their own, which only they can count.
        """
        card = self.card(spec)
        arguments = arguments_of(card, spec.engine)
        refuse_formats_of_servers(spec.name, arguments)
        if card.packaged or (spec.runs_here and not has_gpu()):
            refuse_replicas_on_cpu(spec.name, arguments)
        elif spec.runs_here and (gpus := countable_gpus()):
            refuse_missing_gpus(spec.name, arguments, gpus)

    def fetch(self, spec: TeacherSpec) -> None:
        """Downloads the weights, unless they are on disk."""
        resolve(spec.name, catalog=spec.catalog)

    def open(self, spec: TeacherSpec) -> EngineTeacher:
        """The engine, which starts with the first request and is kept for later partitions."""
        if spec not in self._running:
            # The same model with other arguments would hold the memory that this one needs.
            self.stop_unused([running for running in self._running if running.name != spec.name])
            self.check(spec)
            resolved = resolve(spec.name, catalog=spec.catalog)
            self._running[spec] = EngineTeacher(
                resolved, spec.stalled_seconds, spec.concurrency, **spec.engine
            )
        return self._running[spec]

    def counter(self, spec: TeacherSpec) -> EngineTeacher:
        """An engine that cannot start: only its configuration and tokenizer are on this machine."""
        return EngineTeacher(resolve_tokenizer(spec.name, spec.catalog), **spec.engine)

    def identity(self, spec: TeacherSpec) -> TeacherIdentity:
        """The model's revision, and the arguments that change its answers."""
        resolved = resolve(spec.name, fetch=False, catalog=spec.catalog)
        return identity_of(resolved, arguments_of(resolved.card, spec.engine))

    def card(self, spec: TeacherSpec) -> TeacherCard:
        """The model's card in `teachers.yaml`, or one whose facts are unknown."""
        directory = _directory(spec)
        if directory:
            return card_of_model(str(directory), catalog=spec.catalog)
        return card_of(spec.name, spec.catalog)

    def loaded(self, spec: TeacherSpec) -> TeacherCard:
        """The model's card, with the GPUs that `SDG_ENGINE` gives it.

        It is always loaded into the step's process.
        """
        card = self.card(spec)
        return card.model_copy(update={"gpus": gpus_of(arguments_of(card, spec.engine))})

    def needs_internet(self, spec: TeacherSpec, *, cached: bool) -> bool:
        """Whether the weights are neither on a volume nor in packages."""
        return not (cached or self.card(spec).packaged)

    def stop_unused(self, wanted: Collection[TeacherSpec]) -> None:
        """Stops the other engines and frees their memory: a GPU rarely has room for two."""
        for spec in [running for running in self._running if running not in wanted]:
            self._running.pop(spec).stop()


BACKEND = EngineBackend()


def import_vllm() -> None:
    """Imports vLLM as an engine would, for somebody who has time before one starts."""
    _set_environment()
    from vllm import LLM  # noqa: F401


def _set_environment() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _directory(spec: TeacherSpec) -> Path | None:
    """The directory that a teacher's name denotes; None for a key of `teachers.yaml`."""
    directory = Path(spec.name).expanduser()
    if not spec.name or spec.name in teacher_cards(spec.catalog):
        return None
    return directory if directory.is_absolute() or directory.is_dir() else None
