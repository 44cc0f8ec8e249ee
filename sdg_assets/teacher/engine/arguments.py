"""An engine's arguments: where they come from, which are refused, what they say of a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdg_assets.errors import TeacherError
from sdg_assets.records import TeacherStamp
from sdg_assets.teacher.models import TEMPLATE_MODES, Gpus, ResolvedModel, TeacherCard
from sdg_assets.teacher.requests import TeacherIdentity

# Arguments that change the model's answers, and so belong to its identity.
_NUMERIC = ("dtype", "quantization")
# Arguments whose product is the number of the engine's GPUs.
_SPREAD = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


def arguments_of(card: TeacherCard, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for vLLM: the card's GPUs and engine, then the deployment's overrides."""
    spread = {
        "tensor_parallel_size": card.gpus.tensor_parallel,
        "data_parallel_size": card.gpus.data_parallel,
    }
    parser = {"reasoning_parser": card.thinking.parser} if card.thinking else {}
    return {
        **{name: count for name, count in spread.items() if count > 1},
        **parser,
        **card.engine,
        **overrides,
    }


def gpus_of(arguments: Mapping[str, Any]) -> Gpus:
    """The GPUs that an engine with these arguments takes; a pipeline's stages count as parallel."""
    tensor, pipeline, data = _spread(arguments).values()
    return Gpus(tensor_parallel=tensor * pipeline, data_parallel=data)


def refuse_formats_of_servers(model: str, arguments: Mapping[str, Any]) -> None:
    """Refuses a model whose prompts only vLLM's server can build.

    With a `tokenizer_mode` vLLM renders conversations by code of its own: Mistral's and DeepSeek's
    newest models have no chat template. Here prompts are built by the chat template, so that no
    text of a data set becomes a control token.

    Raises:
        TeacherError: The arguments have such a `tokenizer_mode`.
    """
    mode = arguments.get("tokenizer_mode", "auto")
    if mode not in TEMPLATE_MODES:
        raise TeacherError(
            f"teacher {model}: with the tokenizer_mode {mode!r} only vLLM's server builds its "
            f"prompts; start `vllm serve` with it and set SDG_TEACHER to the server's address, or, "
            "if the model has a chat template, set "
            'SDG_ENGINE=\'{"tokenizer_mode": "auto"}\''
        )


def refuse_missing_gpus(model: str, arguments: Mapping[str, Any], gpus: int) -> None:
    """Refuses an engine for more GPUs than the machine has, before its weights are downloaded.

    An engine that spans several machines is accepted: only the others can count their GPUs.

    Args:
        model: The teacher's name, for the error.
        arguments: vLLM engine arguments.
        gpus: GPUs of this machine.

    Raises:
        TeacherError: The arguments ask for more.
    """
    if _spans_machines(arguments):
        return
    if (wanted := gpus_of(arguments).number) > gpus:
        spread = _spread(arguments).items()
        parts = " x ".join(f"{name} {count}" for name, count in spread if count > 1)
        raise TeacherError(
            f"teacher {model}: needs {wanted} GPUs ({parts}), and this machine has {gpus}; lower "
            "these numbers with SDG_ENGINE, choose a smaller teacher, or name a server in "
            "SDG_TEACHER; for steps on a cluster, set SDG_EXECUTOR=k8s"
        )


def refuse_replicas_on_cpu(model: str, arguments: Mapping[str, Any]) -> None:
    """Refuses data parallel on a CPU, whose cores one engine uses already.

    Raises:
        TeacherError: The arguments ask for replicas.
    """
    if (replicas := gpus_of(arguments).data_parallel) > 1:
        raise TeacherError(
            f"teacher {model}: data_parallel {replicas} needs a GPU for each replica, and this "
            "engine runs on a CPU; take data_parallel out of the card's gpus, or "
            "data_parallel_size out of SDG_ENGINE"
        )


def _spread(arguments: Mapping[str, Any]) -> dict[str, int]:
    """The arguments of `_SPREAD`, in their order; 1 where they are not given."""
    return {name: int(arguments.get(name) or 1) for name in _SPREAD}


def _spans_machines(arguments: Mapping[str, Any]) -> bool:
    """Whether an engine may have GPUs of other machines, as far as its arguments tell."""
    names = ("distributed_executor_backend", "data_parallel_backend")
    has_ray = any(arguments.get(name) == "ray" for name in names)
    return has_ray or "data_parallel_size_local" in arguments or arguments.get("nnodes", 1) > 1


def identity_of(resolved: ResolvedModel, arguments: Mapping[str, Any]) -> TeacherIdentity:
    """The identity of a model run with these arguments; needs neither the model nor vLLM.

    A `dtype` that the card or `SDG_ENGINE` pins is part of it. One that the engine chooses for its
    CPU is not: both formats hold the same weights, the identity must be the same on the machine
    that observes the teacher as on the one that runs it, and a log must go on where a laptop or a
    pod with another CPU continues it. Pin `dtype` to keep the answers of mixed CPUs apart.

    The context's length is the one of the arguments, also where the model's own is shorter or there
    is none: the machine that observes the teacher may not have its configuration.
    """
    numeric = {k: arguments[k] for k in _NUMERIC if k in arguments}
    card = resolved.card
    stamp = TeacherStamp(model=card.model, revision=resolved.revision, license=card.license)
    return TeacherIdentity(
        stamp,
        numeric,
        card.judges,
        card.teacher_class,
        card.thinking,
        card.sampling,
        max_model_len=arguments.get("max_model_len"),
    )
