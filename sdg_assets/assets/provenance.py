"""What Dagster must know of a partition to say whether it is stale: its version, and its inputs'.

Dagster writes this for an asset's output, once for all partitions of a run. A run that reports its
partitions one by one has to say it itself; then it is exact: the version is the content's hash, so
a re-run that changes nothing makes nothing below it stale.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import dagster as dg

from sdg_assets.assets.teacher import NOBODY, TEACHERS, is_played, version_of
from sdg_assets.dagster_internals import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from sdg_assets.records import Role, content_id
from sdg_assets.teacher.requests import TeacherIdentity


@dataclass(frozen=True)
class Input:
    """An asset that a partition was made from: the version, and the event that told it."""

    version: str
    event: int | None


def inputs_of(context: dg.AssetExecutionContext, partition: str) -> dict[dg.AssetKey, Input]:
    """The inputs of a partition as they are now. To be taken before the work begins.

    What changes while the work is done makes its result stale.
    """
    graph = context.job_def.asset_layer.asset_graph
    found = {}
    for dep in context.assets_def.get_asset_spec(context.asset_key).deps:
        key = dep.asset_key
        if isinstance(dep.partition_mapping, dg.AllPartitionMapping):
            partitions = graph.get(key).partitions_def
            keys = partitions.get_partition_keys() if partitions else ()
            nothing = Input(DEFAULT_DATA_VERSION.value, None)
            found[key] = version_of_all(context.instance, key, keys) or nothing
            continue
        record = context.instance.get_latest_data_version_record(
            key, partition_key=partition if graph.get(key).is_partitioned else None
        )
        version = extract_data_version_from_entry(record.event_log_entry) if record else None
        found[key] = Input(
            (version or DEFAULT_DATA_VERSION).value, record.storage_id if record else None
        )
    return found


def version_of_all(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]
) -> Input | None:
    """All partitions of an asset as one input, for what depends on every one of them.

    Args:
        instance: Where they are recorded.
        key: The asset.
        partitions: Those that count. What is not materialized is left out.

    Returns:
        A hash of the partitions' versions, with the newest of their events; None where none of
        them is materialized.
    """
    if not partitions:
        return None
    log = instance.event_log_storage
    versions = log.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG], list(partitions)
    )
    events = log.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(partitions)
    )
    if not events:
        return None
    told = sorted((name, tags[DATA_VERSION_TAG]) for name, tags in versions.items())
    return Input(content_id(told), max(events.values()))


def observed(
    context: dg.AssetExecutionContext,
    inputs: dict[dg.AssetKey, Input],
    teachers: Mapping[Role, TeacherIdentity],
) -> dict[dg.AssetKey, Input]:
    """The inputs with the teachers that were really asked.

    A teacher nobody has observed yet is observed by the first run that asks it; otherwise its
    first observation would look like a change and have everything made again.
    """
    found = dict(inputs)
    for role, key in TEACHERS.items():
        if key not in found or (role not in teachers and is_played(role)):
            continue
        version = version_of(role, teachers[role]) if role in teachers else NOBODY
        if not context.instance.get_latest_data_version_record(key, is_source=True):
            tags = {DATA_VERSION_TAG: version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
            context.log_event(dg.AssetObservation(key, tags=tags))
        found[key] = Input(version, found[key].event)
    return found


def newest_materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]
) -> dict[str, dg.EventLogRecord]:
    """The newest materialization of each of the partitions that has one."""
    if not partitions:
        return {}
    ids = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(partitions)
    )
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(key, storage_ids=list(ids.values())), limit=len(partitions)
    )
    return {record.partition_key or "": record for record in found.records}


def version_tags(
    content: str, code_version: str, inputs: Mapping[dg.AssetKey, Input]
) -> dict[str, str]:
    """The tags of a materialization.

    Args:
        content: Hash of the partition's rows.
        code_version: The asset's, or the run's id where the asset has none, as Dagster has it.
        inputs: What it was made from.
    """
    tags = {
        DATA_VERSION_TAG: content,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        CODE_VERSION_TAG: code_version,
    }
    for key, found in inputs.items():
        tags[get_input_data_version_tag(key)] = found.version
        tags[get_input_event_pointer_tag(key)] = str(found.event or NULL_EVENT_POINTER)
    return tags
