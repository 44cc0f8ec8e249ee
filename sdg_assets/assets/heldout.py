"""The `heldout` assets: hashes of each task's held-out splits and of the protected benchmarks."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from sdg_assets.assets.check_specs import check_specs
from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.keys import BENCHMARKS, asset_key
from sdg_assets.assets.partitions import each_partition, one_by_one
from sdg_assets.assets.reporting import report_beside
from sdg_assets.assets.retries import retries
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.catalog import SeedTask, configured_catalog, load_protected
from sdg_assets.catalog.protected import ProtectedBenchmark
from sdg_assets.checks.outcome import CheckOutcome, Offender
from sdg_assets.errors import AbsentError, SeedSourceError
from sdg_assets.heldout.protection import (
    PROTECTED,
    benchmarks_to_hash,
    empty_splits,
    heldout_key,
    missing_splits,
    split_name,
)
from sdg_assets.heldout.publication import heldout_rows, publish_hashes
from sdg_assets.heldout.splits import HashedSplit, HeldoutRows
from sdg_assets.heldout.vectors import QuestionVectors
from sdg_assets.records import Stage, content_id
from sdg_assets.settings import settings
from sdg_assets.sources.source import SeedSource, open_source
from sdg_assets.stages.stage import STAGES
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.embedder import embedder_of

ROW = STAGES[Stage.HELDOUT]
BENCHMARKS_PER_RUN = 105
"""Must differ from every stage's `partitions_per_run`; see `StageSpec`."""
LISTED = 200
"""Splits that the metadata lists at most."""


def heldout_asset(task: SeedTask) -> dg.AssetsDefinition:
    """The asset `[task, heldout]`, one partition for each enabled subtask."""

    def work(subtask: str) -> PartitionReport:
        spec = configured_catalog(settings()).subtask(task.task, subtask)
        rows = heldout_rows(spec, open_source(settings().seed_source), _vectors())
        return _publish(heldout_key(task.task, subtask), rows)

    partitions = dg.StaticPartitionsDefinition(task.enabled_subtasks())
    return _asset(task.task, partitions, ROW.partitions_per_run, ROW.description, work)


def protected_asset() -> dg.AssetsDefinition:
    """The asset `protected/heldout`, one partition for each benchmark of `protected.yaml`."""
    names = [benchmark.name for benchmark in load_protected()]
    partitions = dg.StaticPartitionsDefinition(names)
    description = f"{ROW.description} These benchmarks are no task's seeds: catalog/protected.yaml."
    return _asset(PROTECTED, partitions, BENCHMARKS_PER_RUN, description, _hash_benchmark)


def _hash_benchmark(name: str) -> PartitionReport:
    (benchmark,) = (benchmark for benchmark in load_protected() if benchmark.name == name)
    rows = HeldoutRows(_vectors())
    try:
        _read(benchmark, open_source(settings().seed_source), rows)
    except SeedSourceError as error:
        raise SeedSourceError(
            f"{error}. To continue without it, add {name} to SDG_WITHOUT_BENCHMARKS: releases "
            "will say that they were not checked against it"
        ) from error
    return _publish(heldout_key(PROTECTED, name), rows)


def hash_missing_benchmarks(context: dg.AssetExecutionContext) -> None:
    """Hashes the protected benchmarks that `normalized` needs and that are not hashed yet.

    "Materialize all" in a task's group contains no other group's assets, so every `normalized` of
    a first run failed. A benchmark that cannot be read is only logged here; `normalized` then
    fails with the reason.
    """
    current_settings, benchmarks = settings(), BENCHMARKS.to_user_string()
    names = benchmarks_to_hash(
        Store(current_settings.store),
        current_settings.without_benchmarks,
        current_settings.seed_source,
    )
    for name in names:
        try:
            report = _hash_benchmark(name)
        except SeedSourceError as error:
            context.log.warning(f"{benchmarks}, {name}: {error}")
            continue
        context.log.info(f"{benchmarks}, {name}: {report.metadata['rows']} rows")
        report_beside(context, BENCHMARKS, name, report)


def _asset(
    group: str,
    partitions: dg.StaticPartitionsDefinition,
    per_run: int,
    description: str,
    work: Callable[[str], PartitionReport],
) -> dg.AssetsDefinition:
    key = asset_key(group, Stage.HELDOUT)
    checks = check_specs(Stage.HELDOUT, key, partitions)

    @dg.asset(
        key=key,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(per_run),
        check_specs=checks,
        output_required=False,
        group_name=group,
        description=description,
        kinds={"python", "parquet"},
        pool=ROW.pool and ROW.pool.value,
        retry_policy=retries(),
    )
    def heldout(context: dg.AssetExecutionContext) -> Iterator[Any]:
        if group != PROTECTED:
            with clear_failures():
                hash_missing_benchmarks(context)
        yield from each_partition(context, checks, one_by_one(work))

    return heldout


def _read(benchmark: ProtectedBenchmark, source: SeedSource, rows: HeldoutRows) -> None:
    for dataset in benchmark.datasets:
        try:
            specs = list(benchmark.specs_of(dataset, source.configs))
        except AbsentError as error:
            rows.miss(dataset, benchmark.splits, str(error))
            continue
        for spec in specs:
            rows.add(spec, spec.split, source)


def _vectors() -> QuestionVectors | None:
    embedder = embedder_of(settings())
    return QuestionVectors(embedder) if embedder else None


def _publish(key: PartitionKey, rows: HeldoutRows) -> PartitionReport:
    splits = rows.splits
    hashes = publish_hashes(Store(settings().store), key, rows, settings().seed_source)
    return PartitionReport(
        content=content_id(sorted(hashes.attached.items())),
        metadata={
            "read": dg.MetadataValue.md(_read_summary(splits)),  # first: the UI keeps this order
            "dagster/partition_row_count": hashes.rows,
            "rows": hashes.rows,
            "texts": hashes.texts,
            "rows_unanswered": sum(split.unanswered for split in splits),
            "rows_unmapped": sum(split.unmapped for split in splits),
            "bytes": hashes.size,
            "splits": dg.MetadataValue.md(_table(splits)),
            "missing": missing_splits(splits),
            "path": dg.MetadataValue.path(str(hashes.path)),
        },
        checks=[_complete(splits)],
    )


def _complete(splits: list[HashedSplit]) -> CheckOutcome:
    """Whether every split was hashed. A missing split is a warning, an empty one is an error."""
    unread = [split for split in splits if _why_not(split)]
    empty = empty_splits(splits)
    hashed = len(splits) - len(unread)
    summary = f"{hashed} of {len(splits)} held-out splits are hashed"
    if unread:
        summary += (
            f"; {len(missing_splits(splits))} are not in {settings().seed_source}, {len(empty)} "
            "have no rows. The contamination gate cannot refuse rows that repeat them"
        )
    if empty:
        summary += (
            f". No rows in {', '.join(empty[:20])}{' …' if len(empty) > 20 else ''}: "
            "partitions that need them are not made"
        )
    return CheckOutcome(
        name="heldout_complete",
        passed=not unread,
        blocking=bool(empty),
        summary=summary,
        numbers={"hashed": hashed, "missing": len(unread) - len(empty), "empty": len(empty)},
        offenders=[Offender(row=split_name(s), problem=_why_not(s)) for s in unread],
    )


def _why_not(split: HashedSplit) -> str:
    """Why a split was not hashed; empty if it was."""
    return split.missing or ("" if split.rows else "it has no rows")


def _read_summary(splits: list[HashedSplit]) -> str:
    """How many splits were read, and a list of the unread ones, as Markdown."""
    unread = [split for split in splits if _why_not(split)]
    hashed = len(splits) - len(unread)
    if not unread:
        return f"All {hashed} held-out splits were read."
    head = f"**{hashed} of {len(splits)} held-out splits were read.**"
    if not hashed:
        head = "**Nothing was read: rows are compared with none of these splits.**"
    lines = [f"- {split_name(s)}: {_cell(_why_not(s))}" for s in unread[:LISTED]]
    more = [f"- and {len(unread) - LISTED} more"] if len(unread) > LISTED else []
    return "\n".join([f"{head} Not read:", "", *lines, *more])


def _table(splits: list[HashedSplit]) -> str:
    """The splits with their row counts, as a Markdown table; unread splits come first."""
    ordered = sorted(splits, key=lambda split: not _why_not(split))
    lines = [
        "| dataset | config | split | rows | without answer | why not read |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.dataset} | {s.config} | {s.split} | {s.rows} | {s.unanswered} | "
        f"{_cell(_why_not(s))} |"
        for s in ordered[:LISTED]
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text[:200].replace("|", " ").replace("\n", " ")
