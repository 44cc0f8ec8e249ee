"""Dagster: the hashes of what must never leak – each task's held-out splits, each benchmark."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from sdg_assets.assets.partitions import PartitionReport, each_partition
from sdg_assets.assets.retries import retries
from sdg_assets.catalog import SeedTask, cached_catalog, load_protected
from sdg_assets.catalog.protected import ProtectedBenchmark
from sdg_assets.checks import ALL_CHECKS, STAGE_CHECKS, CheckOutcome
from sdg_assets.errors import AbsentError, SeedSourceError
from sdg_assets.examples import content_id
from sdg_assets.heldout.protection import (
    PROTECTED,
    STAGE,
    empty_splits,
    heldout_key,
    missing_splits,
)
from sdg_assets.settings import settings
from sdg_assets.sources import SeedSource, open_source
from sdg_assets.stages.heldout import HashedSplit, HeldoutRows
from sdg_assets.storage import PartitionKey, Store

# Values of their own, as in assets/factory.py.
SUBTASKS_PER_RUN = 104
BENCHMARKS_PER_RUN = 105
DESCRIPTION = "Hashes of the held-out splits, never their text: no row may repeat them."


def heldout_asset(task: SeedTask) -> dg.AssetsDefinition:
    """The asset `[task, heldout]`, one partition for each enabled subtask."""

    def work(subtask: str) -> PartitionReport:
        spec = cached_catalog(settings().catalog).subtask(task.task, subtask)
        source, rows = open_source(settings().seed_source), HeldoutRows()
        for split in spec.heldout_splits:
            rows.add(spec, split, source)
        return _publish(heldout_key(task.task, subtask), rows)

    partitions = dg.StaticPartitionsDefinition(task.enabled_subtasks())
    return _asset(task.task, partitions, SUBTASKS_PER_RUN, DESCRIPTION, work)


def protected_asset() -> dg.AssetsDefinition:
    """The asset `protected/heldout`, one partition for each benchmark of `protected.yaml`."""
    benchmarks = {benchmark.name: benchmark for benchmark in load_protected()}

    def work(name: str) -> PartitionReport:
        rows = HeldoutRows()
        try:
            _read(benchmarks[name], open_source(settings().seed_source), rows)
        except SeedSourceError as error:
            raise SeedSourceError(
                f"{error}. To go on without it, name {name} in SDG_WITHOUT_BENCHMARKS: releases "
                "will say that they were not checked against it"
            ) from error
        return _publish(heldout_key(PROTECTED, name), rows)

    partitions = dg.StaticPartitionsDefinition(list(benchmarks))
    description = f"{DESCRIPTION} Benchmarks that are seeded by no task: catalog/protected.yaml."
    return _asset(PROTECTED, partitions, BENCHMARKS_PER_RUN, description, work)


def _asset(
    group: str,
    partitions: dg.StaticPartitionsDefinition,
    per_run: int,
    description: str,
    work: Callable[[str], PartitionReport],
) -> dg.AssetsDefinition:
    key = dg.AssetKey([group, STAGE])
    checks = [
        dg.AssetCheckSpec(name, asset=key, description=ALL_CHECKS[name], partitions_def=partitions)
        for name in STAGE_CHECKS[STAGE]
    ]

    @dg.asset(
        key=key,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(per_run),
        check_specs=checks,
        output_required=False,
        group_name=group,
        description=description,
        kinds={"python", "parquet"},
        pool="hub",
        retry_policy=retries(),
    )
    def heldout(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from each_partition(context, checks, work)

    return heldout


def _read(benchmark: ProtectedBenchmark, source: SeedSource, rows: HeldoutRows) -> None:
    for dataset in benchmark.datasets:
        try:
            specs = list(benchmark.model_copy(update={"datasets": [dataset]}).specs(source.configs))
        except AbsentError as error:
            rows.miss(dataset, benchmark.splits, str(error))
            continue
        for spec in specs:
            rows.add(spec, spec.split, source)


def _publish(key: PartitionKey, rows: HeldoutRows) -> PartitionReport:
    store, tables, splits = Store(settings().store), rows.tables(), rows.splits
    missing, empty = missing_splits(splits), empty_splits(splits)
    with store.write(key) as out:
        for split in splits:
            out.accept(split)
        out.attachments = tables.to_bytes()
        out.info = {
            "rows": len(tables.rows),
            "missing": missing,
            "empty": empty,
            "source": settings().seed_source,
        }
        size = sum(map(len, out.attachments.values()))
    attached = store.manifest(key).attached
    return PartitionReport(
        content=content_id(sorted(attached.items())),
        metadata={
            "dagster/partition_row_count": len(tables.rows),
            "rows": len(tables.rows),
            "texts": len(tables.texts),
            "rows_unanswered": sum(split.unanswered for split in splits),
            "rows_unmapped": sum(split.unmapped for split in splits),
            "bytes": size,
            "splits": dg.MetadataValue.md(_table(splits)),
            "missing": missing,
            "path": dg.MetadataValue.path(str(out.path)),
        },
        checks=[_complete(splits, missing, empty)],
    )


def _complete(splits: list[HashedSplit], missing: list[str], empty: list[str]) -> CheckOutcome:
    read = sum(not split.missing for split in splits)
    summary = f"{read} of {len(splits)} held-out splits are hashed"
    if missing:
        summary += (
            f"; not in {settings().seed_source}: {', '.join(missing[:20])}"
            f"{' …' if len(missing) > 20 else ''}. Rows that repeat them will not be told"
        )
    if empty:
        summary += f"; no row in {', '.join(empty)}: partitions that need them are not made"
    return CheckOutcome(
        name="heldout_complete",
        passed=not missing and not empty,
        summary=summary,
        numbers={"hashed": read, "missing": len(missing), "empty": len(empty)},
    )


def _table(splits: list[HashedSplit]) -> str:
    lines = [
        "| dataset | config | split | rows | without answer | missing |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.dataset} | {s.config} | {s.split} | {s.rows} | {s.unanswered} | "
        f"{s.missing[:80].replace('|', ' ')} |"
        for s in splits[:200]
    ]
    return "\n".join(lines)
