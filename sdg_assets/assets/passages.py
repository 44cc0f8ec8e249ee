"""The asset `passages`: what backgrounds are written from, gated and indexed once.

It exists only with `SDG_PASSAGES`. Stages that need it make it themselves if the store lacks it, so
that nobody has to know of it.
"""

from collections import Counter
from typing import Any

import dagster as dg

from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.heldout import hash_missing_benchmarks
from sdg_assets.assets.keys import BENCHMARKS, PASSAGES
from sdg_assets.assets.provenance import version_tags
from sdg_assets.assets.retries import retries
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.catalog import configured_catalog
from sdg_assets.cluster.pods import pod_tags
from sdg_assets.errors import PermanentError
from sdg_assets.heldout.protection import protection
from sdg_assets.passages.index import indexed
from sdg_assets.passages.library import KEY, SOURCE, has_passages
from sdg_assets.passages.reading import name_of, read_passages
from sdg_assets.records import Passage, Rejection, Stage
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.passages import admit
from sdg_assets.stages.stage import STAGES
from sdg_assets.store.partitions import Store
from sdg_assets.store.row_file import RowFile
from sdg_assets.thresholds import overridden

LISTED = 50
"""Refused passages that the metadata lists at most."""


def passages_assets() -> list[dg.AssetsDefinition]:
    """The asset `passages`; none without `SDG_PASSAGES`."""
    if settings().passages is None:
        return []

    @dg.asset(
        key=PASSAGES,
        group_name=KEY.task,
        owners=settings().owners,
        deps=[dg.AssetDep(BENCHMARKS, partition_mapping=dg.AllPartitionMapping())],
        kinds={"python", "jsonl"},
        retry_policy=retries(),
        op_tags=pod_tags(Stage.NORMALIZED),  # it loads the same held-out hashes
        description="Passages that backgrounds are written from, read from "
        f"`{settings().passages}`, without those that repeat held-out rows. Materialize it again "
        "after the passages have changed: then `enriched` is stale.",
    )
    def passages(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        with clear_failures():
            hash_missing_benchmarks(context)
            report = publish_passages(settings())
            _warn(context, report)
        return dg.MaterializeResult(
            metadata=report.metadata, data_version=dg.DataVersion(report.content)
        )

    assert isinstance(passages, dg.AssetsDefinition)
    return [passages]


def make_missing_passages(context: dg.AssetExecutionContext) -> None:
    """Makes the passages that `SDG_PASSAGES` names, if the store does not hold them yet."""
    current_settings = settings()
    setting = current_settings.passages
    if setting is None or has_passages(Store(current_settings.store), setting):
        return
    report = publish_passages(current_settings)
    _warn(context, report)
    tags = version_tags(report.content, context.run.run_id, {})
    context.log_event(dg.AssetMaterialization(PASSAGES, metadata=report.metadata, tags=tags))


def needs_passages(stage: Stage, current_settings: Settings) -> bool:
    """Whether requests of a stage contain passages."""
    is_asked_about = STAGES[stage].writes_examples and current_settings.passage_questions
    return bool(is_asked_about or (STAGES[stage].has_votes and current_settings.passages))


def require_passages(instance: dg.DagsterInstance, stage: Stage) -> None:
    """Refuses to fill a stage whose passages were never made: a pod that fills has no means to.

    The run worker asks the instance, because it does not mount a store on a volume.

    Raises:
        PermanentError: The stage needs passages, and the newest are others than `SDG_PASSAGES`.
    """
    setting = settings().passages
    if setting is None or not needs_passages(stage, settings()):
        return
    event = instance.get_latest_materialization_event(PASSAGES)
    made = event.asset_materialization if event else None
    source = made.metadata.get("source") if made else None
    if source is None or source.value != name_of(setting):
        raise PermanentError(
            f"SDG_PASSAGES={setting}: these passages are not made yet. Materialize the asset "
            "passages, then re-execute: the pods that fill a divided step do not make them"
        )


def publish_passages(current_settings: Settings) -> PartitionReport:
    """Reads, gates, indexes and publishes the passages.

    Args:
        current_settings: Name the passages, the store and the held-out data.

    Raises:
        SeedSourceError: The passages cannot be read.
        PermanentError: No passage was admitted.
        StoreError: A protected benchmark is not hashed.
    """
    setting = current_settings.passages
    assert setting is not None
    store = Store(current_settings.store)
    guard = protection(
        store,
        configured_catalog(current_settings),
        [],
        current_settings.without_benchmarks,
        current_settings.seed_source,
    )
    thresholds = overridden(current_settings.gates, {})
    read = read_passages(setting, current_settings.seed_source)
    refused: list[Rejection] = []
    reasons: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    with store.write(KEY) as out:

        def admitted() -> Any:  # noqa: ANN401 – an iterator of passages
            for each in admit(read, guard.index, thresholds):
                out.put(each)
                if isinstance(each, Passage):
                    licences[each.license] += 1
                    yield each
                else:
                    reasons[f"{each.gate}: {each.reason}"] += 1
                    refused.extend([each] if len(refused) < LISTED else [])

        rows = RowFile(Passage, admitted())
        if not rows:
            found = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
            raise PermanentError(
                f"SDG_PASSAGES={setting}: no passage can be used: {found or 'it holds none'}"
            )
        index = indexed(rows)
        out.attachments.update(index)
        out.info = {SOURCE: name_of(setting), "licences": dict(licences), **guard.record}
    return PartitionReport(
        content=out.sha256,
        metadata={
            "refused_passages": dg.MetadataValue.md(_table(refused)),
            "rows": len(rows),
            "refused": reasons.total(),
            "licences": dict(licences),
            "source": name_of(setting),
            "index_bytes": sum(map(len, index.values())),
            "path": dg.MetadataValue.path(str(out.path)),
            "rejected_path": dg.MetadataValue.path(str(store.rejected_path(KEY))),
        },
    )


def _warn(context: dg.AssetExecutionContext, report: PartitionReport) -> None:
    count = report.metadata["refused"]
    if count:
        path = report.metadata["rejected_path"].value
        context.log.warning(f"{count} passages were refused; {path} has each with its reason")


def _table(refused: list[Rejection]) -> str:
    if not refused:
        return "None was refused."
    lines = ["| passage | gate | reason | detail |", "|---|---|---|---|"]
    for each in refused:
        cells = (str(each.row.get("id", "")), each.gate, each.reason, each.detail)
        plain = (cell.replace("|", " ").replace("\n", " ")[:200] for cell in cells)
        lines.append("| " + " | ".join(plain) + " |")
    return "\n".join(lines)
