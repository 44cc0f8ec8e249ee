"""The teacher in this process: a vLLM engine, fed as a stream.

`LLM.generate` takes a list and returns when its slowest row is done. Here requests enter the
engine whenever they come and finished ones leave at once.
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
    Message,
    Request,
    TeacherIdentity,
    finish_reason,
)
from sdg_assets.teacher.stopping import FrozenError, engine_work

# Set before vllm is imported. One process: a killed run leaves no orphaned engine behind, and its
# errors keep their types. Offline: a model that is already here must not wait for the Hub.
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    # On a CPU OpenMP's threads spin while they wait for each other: with other work on a 2-core
    # machine the engine fell from 23 to 2.4 tokens/s. Asleep they leave the core to that work.
    "OMP_WAIT_POLICY": "PASSIVE",
}
# Engine arguments that change what the model says, and so belong to its identity.
_NUMERIC = ("dtype", "quantization", "max_model_len")


def identity_of(resolved: ResolvedModel, arguments: Mapping[str, Any]) -> TeacherIdentity:
    """Who a model is when the engine has these arguments; needs neither the model nor vLLM."""
    numeric = {k: arguments[k] for k in _NUMERIC if k in arguments}
    card = resolved.card
    stamp = TeacherStamp(model=card.model, revision=resolved.revision, license=card.license)
    return TeacherIdentity(stamp, numeric, card.judges)


class EngineTeacher:
    """A vLLM engine behind the `Teacher` protocol.

    The engine starts with the first request: a rerun whose completions are all in the log needs
    the tokenizer and nothing else.
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
            stalled_seconds: An engine that produces no token for so long counts as frozen.
            **overrides: vLLM engine arguments on top of the card's, passed through.

        Raises:
            TeacherError: There is no model that can be read.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from transformers import AutoConfig, AutoTokenizer

        self._model = resolved.path_or_id
        self._stalled_seconds = stalled_seconds
        self._unusable: Exception | None = None
        gpus = resolved.card.gpus
        spread = {
            "tensor_parallel_size": gpus.tensor_parallel,
            "data_parallel_size": gpus.data_parallel,
        }
        self._arguments: dict[str, Any] = {
            **{name: count for name, count in spread.items() if count > 1},
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
        self._encoder = ChatEncoder(tokenizer, self._model)
        self.control_tokens = self._encoder.control_tokens
        self._submitted: dict[str, float] = {}
        # A prompt is counted when it is built and tokenized when it is sent, a moment later.
        self._tokenize = lru_cache(maxsize=256)(self._encoder.encode)

    @cached_property
    def llm(self) -> Any:  # noqa: ANN401 – vllm.LLM
        """The engine, started.

        Raises:
            TeacherError: It cannot work as configured; says what to change.
            TeacherGoneError: There is too little memory now.
        """
        if self._unusable:  # the next partition has the same settings
            raise TeacherError(str(self._unusable))
        arguments = {"enable_prefix_caching": True, **self._arguments}
        with engine_work():
            from vllm import LLM

            try:
                return LLM(model=self._model, **arguments)
            except Exception as error:
                raise self._not_started(explained(error, self._model)) from error

    def _not_started(self, error: Exception) -> Exception:
        """What is wrong with one start is wrong for every partition of the run."""
        if isinstance(error, TransientError):
            return TeacherGoneError(str(error))
        self._unusable = error
        return error

    def start(self) -> None:
        """Starts the engine now instead of with the first request."""
        _ = self.llm

    def stop(self) -> None:
        """Ends the engine, if it runs, and gives its memory back."""
        if self.__dict__.pop("llm", None) is not None:
            gc.collect()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of a conversation, chat template included."""
        return len(self._tokens(messages))

    def submit(self, request: Request) -> None:
        """Adds a request to the running batch."""
        engine = self.llm.llm_engine
        try:
            engine.add_request(request.id, self.prompt(request), self.parameters(request))
        except Exception as error:
            raise explained(error, self._model) from error
        self._submitted[request.id] = time.monotonic()

    def prompt(self, request: Request) -> dict[str, list[int]]:
        """The request as vLLM takes it: token ids, control ids from the chat template alone."""
        return {"prompt_token_ids": self._tokens(request.messages)}

    def parameters(self, request: Request) -> Any:  # noqa: ANN401 – vllm.SamplingParams
        """The request's sampling parameters, with its JSON schema enforced by the engine."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        schema = request.json_schema
        return SamplingParams(
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            max_tokens=request.sampling.max_tokens,
            structured_outputs=StructuredOutputsParams(json=schema) if schema else None,
        )

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """Steps the engine until something is finished; nothing is finished between two polls.

        Raises:
            TeacherError: The engine failed in a way that will come again.
            TeacherGoneError: It is frozen.
        """
        llm = self.__dict__.get("llm")  # not started for this: without it nothing is under way
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
        """Forgets the engine: whoever comes next starts another one."""
        self.__dict__.pop("llm", None)
        self._submitted.clear()
        if frozen:
            return TeacherGoneError(
                f"teacher {self._model}: the engine produced no token for "
                f"{(self._stalled_seconds or 0) / 60:g} min; is it frozen? Raise "
                "SDG_STALLED_MINUTES if it may take longer"
            )
        return explained(error, self._model)

    def _tokens(self, messages: Sequence[Message]) -> list[int]:
        return self._tokenize(tuple(messages))

    def _outcome(self, output: Any) -> Completion | FailedRequest:  # noqa: ANN401 – vLLM's RequestOutput
        answer, now = output.outputs[0], time.monotonic()
        try:
            reason = finish_reason(answer.finish_reason, self._model)
        except SdgError as error:
            return FailedRequest(output.request_id, error)
        return Completion(
            request_id=output.request_id,
            text=answer.text,
            finish_reason=reason,
            prompt_tokens=len(output.prompt_token_ids),
            output_tokens=len(answer.token_ids),
            cached_tokens=output.num_cached_tokens or 0,
            seconds=round(now - self._submitted.pop(output.request_id, now), 3),
        )


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
            # One with other arguments would hold the memory that this one needs.
            self.stop_unused([known for known in self._running if known.name != spec.name])
            resolved = resolve(spec.name, catalog=spec.catalog)
            self._running[spec] = EngineTeacher(resolved, spec.stalled_seconds, **spec.engine)
        return self._running[spec]

    def identity(self, spec: TeacherSpec) -> TeacherIdentity:
        """The model's revision, and the arguments that change what it says."""
        resolved = resolve(spec.name, fetch=False, catalog=spec.catalog)
        return identity_of(resolved, {**resolved.card.engine, **spec.engine})

    def card(self, spec: TeacherSpec) -> TeacherCard:
        """What `teachers.yaml` says of the model, if anything."""
        directory = _directory(spec)
        if directory:
            return card_of_model(str(directory), catalog=spec.catalog)
        return card_of(spec.name, spec.catalog)

    def loaded(self, spec: TeacherSpec) -> TeacherCard:
        """The same card: the model is loaded here."""
        return self.card(spec)

    def needs_internet(self, spec: TeacherSpec, *, cached: bool) -> bool:
        """Only for weights that are neither in the image nor on a volume."""
        return not (cached or self.card(spec).packaged)

    def stop_unused(self, wanted: Collection[TeacherSpec]) -> None:
        """Stops the other engines and frees their memory: a GPU seldom holds two."""
        for spec in [known for known in self._running if known not in wanted]:
            self._running.pop(spec).stop()


BACKEND = EngineBackend()


def _directory(spec: TeacherSpec) -> Path | None:
    """The directory that a teacher's name stands for; a key of `teachers.yaml` is none."""
    directory = Path(spec.name).expanduser()
    if not spec.name or spec.name in teacher_cards(spec.catalog):
        return None
    return directory if directory.is_absolute() or directory.is_dir() else None
