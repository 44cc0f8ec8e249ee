"""One run, many partitions: each succeeds or fails by itself."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from sdg_assets.assets.endings import INTERRUPTS, StepEnd
from sdg_assets.assets.provenance import Input, inputs_of, newest_materializations
from sdg_assets.assets.reporting import evaluations, materialization, tell_finished
from sdg_assets.assets.writing import InvariantBrokenError, PartitionReport
from sdg_assets.dagster_internals import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from sdg_assets.errors import FullDiskError, PermanentError, SdgError, TeacherGoneError
from sdg_assets.settings import settings
from sdg_assets.store.disk import clear_refusals
from sdg_assets.store.partitions import ABANDONED
from sdg_assets.store.places import clear_scratch


def each_partition(
    context: dg.AssetExecutionContext,
    checks: Iterable[dg.AssetCheckSpec],
    work: Callable[[str], PartitionReport],
) -> Iterator[Any]:
    """Runs `work` for every partition of the run and tells Dagster how each one went.

    A partition that took long is observed as soon as it is done. It is materialized when all are:
    a backfill starts the next stage for whatever it finds materialized, and fed one by one it would
    start a run, and load a teacher, for each. A retry leaves out what was materialized before.

    Args:
        context: The step's context.
        checks: The asset's checks, evaluated per partition.
        work: Writes one partition.

    Yields:
        The materializations and check evaluations.

    Raises:
        dg.Failure: Some partitions failed; those that did not are materialized all the same. Not
            to be retried when every failure is permanent.
        EndedError: The run was interrupted; what was finished is materialized.
    """
    with suppress(SdgError, OSError):  # housekeeping: what needs the directory says what is wrong
        clear_scratch(datetime.now(UTC) - ABANDONED)
    end = StepEnd(context)
    done = _done_before(context)
    good: dict[str, tuple[PartitionReport, dict[dg.AssetKey, Input]]] = {}
    bad: dict[str, Exception] = {}
    hopeless: SdgError | None = None
    ending: Exception | None = None
    for key in context.partition_keys:
        if key in done:
            context.log.info(f"{key}: materialized by an earlier attempt")
            continue
        if hopeless:
            bad[key] = type(hopeless)(f"not begun: {hopeless}")
            continue
        began = time.monotonic()
        try:
            inputs = inputs_of(context, key)
            with clear_refusals(settings().store):
                good[key] = work(key), inputs
        except INTERRUPTS:
            ending = end.told(key)
            break
        except SdgError as error:
            context.log.error(f"{key}: {error}")
            bad[key] = error
            # The next partition would meet the same, and with a full disk pay for answers that
            # nobody could keep.
            hopeless = error if isinstance(error, TeacherGoneError | FullDiskError) else None
        except Exception as error:
            # A bug: its siblings' results are as good as without it.
            context.log.exception(f"{key}: {type(error).__name__}")
            bad[key] = error
        else:
            tell_finished(context, key, good[key][0], time.monotonic() - began)
    for key, (report, inputs) in good.items():  # in one go: see above
        yield materialization(context, key, report, inputs)
    outcomes = {key: report.checks for key, (report, _) in good.items()}
    for key, failure in bad.items():
        if isinstance(failure, InvariantBrokenError):
            outcomes[key] = failure.report.checks
    yield from evaluations(context.instance, context.asset_key, outcomes)
    if ending:
        raise ending
    if bad:
        raise dg.Failure(
            description="\n".join(f"{key}: {_said(error)}" for key, error in bad.items()),
            metadata={"failed": list(bad), "succeeded": sorted(done | good.keys())},
            allow_retries=not all(isinstance(e, PermanentError) for e in bad.values()),
        )
    # What is downstream in the same run waits for it. Without the mark Dagster would write a second
    # materialization of every partition.
    yield dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
    for spec in checks:
        yield dg.Output(None, output_name=spec.get_python_identifier())


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, SdgError) else f"{type(error).__name__}: {error}"


def _done_before(context: dg.AssetExecutionContext) -> set[str]:
    """Partitions whose newest materialization is by this run, or by one that it is a retry of."""
    runs = {context.run.run_id}
    if context.run.is_resume_retry and (
        group := context.instance.get_run_group(context.run.run_id)
    ):
        runs |= {run.run_id for run in group[1]}
    keys = list(context.partition_keys)
    newest = newest_materializations(context.instance, context.asset_key, keys)
    return {key for key, record in newest.items() if record.run_id in runs}
