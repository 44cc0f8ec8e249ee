"""Tells OpenLineage what each step reads and makes, if a variable of its client says where.

`dagster-openlineage` (0.2.1) works with Dagster 1.13, but its sensor leaves out the inputs of a
step and its partitions, gives several assets of a run one run id, and has no way to add a licence.
So a step makes its own events with OpenLineage's client.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from sdg_assets.assets.endings import EndedError
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import Role, Stage
from sdg_assets.stages.stage import STAGES
from sdg_assets.store.partitions import Store

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent

    from sdg_assets.lineage.events import TracedStep

NAMESPACE = "sdg"
"""The namespace of jobs, unless `OPENLINEAGE_NAMESPACE` names another."""
MISSING = (
    "no lineage: OpenLineage is configured, but its client is not installed; install the extra "
    "`lineage`, or unset OPENLINEAGE_URL"
)


def is_configured() -> bool:
    """Whether a variable of OpenLineage's client says where events go.

    They are no settings of this package: the client reads them, and they may hold a key.
    """
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    names = {name for name, value in os.environ.items() if value.strip()}
    named = names & {"OPENLINEAGE_URL", "OPENLINEAGE_CONFIG"}
    return bool(named) or any(name.startswith("OPENLINEAGE__TRANSPORT") for name in names)


def with_lineage(
    context: dg.AssetExecutionContext,
    stage: Stage,
    subtask: Callable[[str], SubtaskSpec],
    store: Store,
    results: Generator[Any],
) -> Generator[Any]:
    """Passes on a step's results, and reports the step to OpenLineage if it is configured.

    Args:
        context: The step's context.
        stage: The stage.
        subtask: Partition → its subtask.
        store: The store.
        results: Materializations of partitions, check evaluations and so on, as Dagster gets them.

    Yields:
        The results.
    """
    if not is_configured():
        yield from results
        return
    try:
        import openlineage.client  # noqa: F401
    except ImportError:
        context.log.warning(MISSING)
        yield from results
        return
    made: list[dg.AssetMaterialization] = []
    with _traced(context, stage, subtask, store, made), closing(results):
        for result in results:
            if isinstance(result, dg.AssetMaterialization):
                made.append(result)
            yield result


@contextmanager
def _traced(
    context: dg.AssetExecutionContext,
    stage: Stage,
    subtask: Callable[[str], SubtaskSpec],
    store: Store,
    made: Iterable[dg.AssetMaterialization],
) -> Iterator[None]:
    """Reports the block as a run; `made` is read at its end."""
    from openlineage.client.event_v2 import RunState

    from sdg_assets.lineage.datasets import input_datasets, output_datasets
    from sdg_assets.lineage.emitter import ABORT_SECONDS, FINISH_SECONDS, Emitter

    step, emitter = _step_of(context, stage), Emitter()
    inputs: list[InputDataset] = []
    began = datetime.now(UTC)

    def start() -> RunEvent:
        specs = [subtask(key) for key in context.partition_keys]
        inputs.extend(input_datasets(store, specs, stage))
        return step.event(RunState.START, inputs, at=began)

    def end(state: RunState, seconds: float, error: str = "") -> None:
        at = datetime.now(UTC)

        def build() -> RunEvent:
            published = [(subtask(each.partition or ""), _teachers(each)) for each in made]
            outputs: list[OutputDataset] = list(output_datasets(store, published, stage))
            return step.event(state, inputs, outputs, at, error)

        emitter.emit(build)
        emitter.finish(seconds)
        if emitter.failure:
            context.log.warning(f"lineage did not reach OpenLineage: {emitter.failure}")

    emitter.start()
    emitter.emit(start)
    try:
        yield
    except Exception as error:
        is_ended = isinstance(error, EndedError)
        state, seconds = (
            (RunState.ABORT, ABORT_SECONDS) if is_ended else (RunState.FAIL, FINISH_SECONDS)
        )
        description = error.description if isinstance(error, dg.Failure) else None
        end(state, seconds, description or f"{type(error).__name__}: {error}")
        raise
    except BaseException:
        end(RunState.ABORT, ABORT_SECONDS)
        raise
    end(RunState.COMPLETE, FINISH_SECONDS)


def _step_of(context: dg.AssetExecutionContext, stage: Stage) -> TracedStep:
    from sdg_assets.lineage.events import TracedStep

    task = context.asset_key.path[0]
    return TracedStep(
        os.environ.get("OPENLINEAGE_NAMESPACE") or NAMESPACE,
        f"{task}.{stage.value}",
        STAGES[stage].description,
        context.run.run_id,
        context.run.job_name,
        context.retry_number,
        dg.__version__,
    )


def _teachers(materialization: dg.AssetMaterialization) -> list[str]:
    """The models that answered for a partition, as `model@revision`."""
    told = (materialization.metadata.get(role.value) for role in Role)
    versions = [str(each.value) for each in told if each is not None]
    return list(dict.fromkeys(version.rpartition("+")[0] for version in versions))
