"""Tells OpenLineage what each step reads and makes, if a variable of its client says where.

`dagster-openlineage` (0.2.1) works with Dagster 1.13, but its sensor leaves out the inputs of a
step and its partitions, gives several assets of a run one run id, and has no way to add a licence.
So a step makes its own events with OpenLineage's client.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from sdg_assets.assets.endings import EndedError
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import Role, Stage
from sdg_assets.release import Release
from sdg_assets.stages.stage import STAGES
from sdg_assets.store.partitions import Store
from sdg_assets.store.places import Place

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent

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
    """Passes on the results of a step that makes partitions, and reports it to OpenLineage.

    Args:
        context: The step's context.
        stage: The stage.
        subtask: Partition → its subtask.
        store: The store.
        results: Materializations of partitions, check evaluations and so on, as Dagster gets them.

    Yields:
        The results.
    """
    if not _is_on(context):
        yield from results
        return
    from sdg_assets.lineage.datasets import input_datasets, output_datasets

    made: list[dg.AssetMaterialization] = []

    def inputs() -> Iterator[InputDataset]:
        return input_datasets(store, [subtask(key) for key in context.partition_keys], stage)

    def outputs() -> Iterator[OutputDataset]:
        published = [(subtask(each.partition or ""), _teachers(each)) for each in made]
        return output_datasets(store, published, stage)

    task = context.asset_key.path[0]
    with _traced(context, f"{task}.{stage.value}", stage, inputs, outputs), closing(results):
        for result in results:
            if isinstance(result, dg.AssetMaterialization):
                made.append(result)
            yield result


@contextmanager
def release_lineage(
    context: dg.AssetExecutionContext, store: Store
) -> Iterator[Callable[[Release[Place], Sequence[SubtaskSpec]], None]]:
    """Reports the block, which cuts a release, to OpenLineage.

    Args:
        context: The step's context.
        store: The store.

    Yields:
        A function that takes the release and its subtasks.
    """
    made: list[tuple[Release[Place], Sequence[SubtaskSpec]]] = []
    if not _is_on(context):
        yield lambda release, specs: None
        return
    from sdg_assets.lineage.datasets import input_datasets, release_dataset

    def inputs() -> Iterator[InputDataset]:
        for _, specs in made:
            yield from input_datasets(store, specs, Stage.CURATED)

    def outputs() -> Iterator[OutputDataset]:
        return (release_dataset(store, release) for release, _ in made)

    with _traced(context, Stage.CURATED.value, Stage.CURATED, inputs, outputs):
        yield lambda release, specs: made.append((release, specs))


def _is_on(context: dg.AssetExecutionContext) -> bool:
    """Whether steps report themselves; warns if they cannot."""
    if not is_configured():
        return False
    if importlib.util.find_spec("openlineage") is None:
        context.log.warning(MISSING)
        return False
    return True


@contextmanager
def _traced(
    context: dg.AssetExecutionContext,
    name: str,
    stage: Stage,
    inputs: Callable[[], Iterable[InputDataset]],
    outputs: Callable[[], Iterable[OutputDataset]],
) -> Iterator[None]:
    """Reports the block as a run of a job.

    Args:
        context: The step's context.
        name: The job's name.
        stage: The stage, for its description.
        inputs: What the step reads. Called when it starts; if nothing is known then, at its end.
        outputs: What it has published. Called at its end.
    """
    from openlineage.client.event_v2 import RunState

    from sdg_assets.lineage.emitter import ABORT_SECONDS, FINISH_SECONDS, Emitter
    from sdg_assets.lineage.events import TracedStep

    step = TracedStep(
        os.environ.get("OPENLINEAGE_NAMESPACE") or NAMESPACE,
        name,
        STAGES[stage].description,
        context.run.run_id,
        context.run.job_name,
        context.retry_number,
        dg.__version__,
    )
    emitter = Emitter()
    read: list[InputDataset] = []
    began = datetime.now(UTC)

    def start() -> RunEvent:
        read.extend(inputs())
        return step.event(RunState.START, read, at=began)

    def end(state: RunState, seconds: float, error: str = "") -> None:
        at = datetime.now(UTC)
        emitter.emit(lambda: step.event(state, read or [*inputs()], [*outputs()], at, error))
        emitter.finish(seconds)
        if emitter.failure:
            context.log.warning(f"lineage did not reach OpenLineage: {emitter.failure}")

    emitter.start()
    emitter.emit(start)
    try:
        yield
    except Exception as error:
        is_ended = isinstance(error, EndedError)
        description = error.description if isinstance(error, dg.Failure) else None
        end(
            RunState.ABORT if is_ended else RunState.FAIL,
            ABORT_SECONDS if is_ended else FINISH_SECONDS,
            description or f"{type(error).__name__}: {error}",
        )
        raise
    except BaseException:
        end(RunState.ABORT, ABORT_SECONDS)
        raise
    end(RunState.COMPLETE, FINISH_SECONDS)


def _teachers(materialization: dg.AssetMaterialization) -> list[str]:
    """The models that answered for a partition, as `model@revision`."""
    recorded = (materialization.metadata.get(role.value) for role in Role)
    versions = [str(each.value) for each in recorded if each is not None]
    return list(dict.fromkeys(version.rpartition("+")[0] for version in versions))
