"""Runs a stage for each partition of a run. A failed partition does not fail the others."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg

from sdg_assets.assets.endings import INTERRUPTS, StepEnd
from sdg_assets.assets.filling import Ready
from sdg_assets.assets.provenance import Input, inputs_of, newest_materializations
from sdg_assets.assets.reporting import evaluations, materialization, report_finished
from sdg_assets.assets.writing import InvariantBrokenError, PartitionReport
from sdg_assets.dagster_internals import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from sdg_assets.errors import PermanentError, SdgError
from sdg_assets.settings import settings
from sdg_assets.store.disk import clear_refusals
from sdg_assets.store.partitions import ABANDONED
from sdg_assets.store.places import clear_scratch
from sdg_assets.teacher.stream import EVERYBODYS


def each_partition(
    context: dg.AssetExecutionContext,
    checks: Iterable[dg.AssetCheckSpec],
    prepare: Callable[[Iterator[str]], Generator[Ready]],
) -> Generator[Any]:
    """Makes every partition of the run and reports each result to Dagster.

    A slow partition is observed as soon as it is finished, but all are materialized together at
    the end: a backfill starts the next stage for every partition that is materialized, so single
    materializations would start one run, and load one teacher, per partition. A retry skips
    partitions that an earlier attempt materialized.

    Args:
        context: The step's context.
        checks: The asset's checks, evaluated per partition.
        prepare: Takes partitions from an iterator, and yields each as soon as it can be published,
            with the function that publishes it: see `one_by_one`.

    Yields:
        The materializations and check evaluations.

    Raises:
        dg.Failure: Some partitions failed; the others are materialized. Retries are off if every
            failure is permanent.
        EndedError: The run was interrupted; finished partitions are materialized.
    """
    with suppress(SdgError, OSError):  # housekeeping: real problems with the directory show later
        clear_scratch(datetime.now(UTC) - ABANDONED)
    end = StepEnd(context)
    done = _done_before(context)
    succeeded: dict[str, tuple[PartitionReport, dict[dg.AssetKey, Input]]] = {}
    failed: dict[str, Exception] = {}
    fatal: SdgError | None = None
    interruption: Exception | None = None
    inputs: dict[str, dict[dg.AssetKey, Input]] = {}
    began: dict[str, float] = {}

    def begun() -> Iterator[str]:
        """The partitions to make; their inputs are noted before anything reads them."""
        for key in context.partition_keys:
            if key in done:
                context.log.info(f"{key}: materialized by an earlier attempt")
            elif fatal:
                failed[key] = type(fatal)(f"not begun: {fatal}")
            else:
                began[key] = time.monotonic()
                inputs[key] = inputs_of(context, key)
                yield key

    try:
        with closing(prepare(begun())) as ready:
            for key, publish in ready:
                try:
                    with clear_refusals(settings().store):
                        report = publish()
                except SdgError as error:
                    context.log.error(f"{key}: {error}")
                    failed[key] = error
                    # The next partition would fail with the same error; with a full disk it would
                    # also pay for answers that cannot be stored.
                    if isinstance(error, EVERYBODYS):
                        fatal = error
                except Exception as error:
                    # A bug in one partition; the results of the others are still valid.
                    context.log.exception(f"{key}: {type(error).__name__}")
                    failed[key] = error
                else:
                    succeeded[key] = report, inputs[key]
                    report_finished(context, key, report, time.monotonic() - began[key])
    except INTERRUPTS:
        unfinished = [key for key in began if key not in succeeded and key not in failed]
        interruption = end.interruption(", ".join(unfinished))
    for key, (report, used) in succeeded.items():  # all together: see the docstring
        yield materialization(context, key, report, used)
    outcomes = {key: report.checks for key, (report, _) in succeeded.items()}
    for key, failure in failed.items():
        if isinstance(failure, InvariantBrokenError):
            outcomes[key] = failure.report.checks
    yield from evaluations(context.instance, context.asset_key, outcomes)
    if interruption:
        raise interruption
    if failed:
        causes = {key: _error_text(error) for key, error in failed.items()}
        raise dg.Failure(
            description="\n".join(f"{key}: {cause}" for key, cause in causes.items()),
            metadata={"failed": causes, "succeeded": sorted(done | succeeded.keys())},
            allow_retries=not all(isinstance(e, PermanentError) for e in failed.values()),
        )
    # Downstream steps of the same run wait for this result. Without the mark Dagster would write a
    # second materialization of every partition.
    yield dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
    for spec in checks:
        yield dg.Output(None, output_name=spec.get_python_identifier())


def one_by_one(
    work: Callable[[str], PartitionReport],
) -> Callable[[Iterator[str]], Generator[Ready]]:
    """Prepares partitions for a stage that needs no teacher: each is made when its turn comes.

    Args:
        work: Writes and publishes one partition.
    """
    return lambda keys: ((key, partial(work, key)) for key in keys)


def _error_text(error: Exception) -> str:
    return str(error) if isinstance(error, SdgError) else f"{type(error).__name__}: {error}"


def _done_before(context: dg.AssetExecutionContext) -> set[str]:
    """Partitions whose newest materialization is by this run or by the runs that it retries."""
    runs = {context.run.run_id}
    if context.run.is_resume_retry and (
        group := context.instance.get_run_group(context.run.run_id)
    ):
        runs |= {run.run_id for run in group[1]}
    keys = list(context.partition_keys)
    newest = newest_materializations(context.instance, context.asset_key, keys)
    return {key for key, record in newest.items() if record.run_id in runs}
