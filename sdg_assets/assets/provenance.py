"""Versions of a partition and of its inputs, from which Dagster derives whether it is stale.

Dagster itself records one version for all partitions of a run. Our runs report each partition, so
they must record its version themselves. The version is the hash of the content: a re-run that
changes nothing makes no downstream partition stale.
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

INCOMPLETE_TAG = "sdg/incomplete"
"""Tag of a materialization whose partition a budget ended; its value is the number of rows that are
not finished."""


@dataclass(frozen=True)
class Input:
    """The version of an asset that a partition was made from."""

    version: str
    event: int | None
    """Storage id of the event that recorded the version; None if there is none."""


def inputs_of(context: dg.AssetExecutionContext, partition: str) -> dict[dg.AssetKey, Input]:
    """The current versions of a partition's inputs. Must be called before the work begins.

    An input that changes during the work then makes the result stale.
    """
    graph = context.job_def.asset_layer.asset_graph
    inputs = {}
    for dep in context.assets_def.get_asset_spec(context.asset_key).deps:
        key = dep.asset_key
        if isinstance(dep.partition_mapping, dg.AllPartitionMapping):
            partitions = graph.get(key).partitions_def
            keys = partitions.get_partition_keys() if partitions else ()
            nothing = Input(DEFAULT_DATA_VERSION.value, None)
            inputs[key] = version_of_all(context.instance, key, keys) or nothing
            continue
        record = context.instance.get_latest_data_version_record(
            key, partition_key=partition if graph.get(key).is_partitioned else None
        )
        version = extract_data_version_from_entry(record.event_log_entry) if record else None
        inputs[key] = Input(
            (version or DEFAULT_DATA_VERSION).value, record.storage_id if record else None
        )
    return inputs


def version_of_all(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]
) -> Input | None:
    """One combined version of several partitions, for an asset that depends on all of them.

    Args:
        instance: The Dagster instance.
        key: The asset.
        partitions: The partitions to combine. Those that are not materialized are ignored.

    Returns:
        A hash of the partitions' versions, with the newest of their events; None if no partition
        is materialized.
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
    recorded = sorted((name, tags[DATA_VERSION_TAG]) for name, tags in versions.items())
    return Input(content_id(recorded), max(events.values()))


def with_used_teachers(
    context: dg.AssetExecutionContext,
    inputs: dict[dg.AssetKey, Input],
    teachers: Mapping[Role, TeacherIdentity],
) -> dict[dg.AssetKey, Input]:
    """The inputs, with the versions of the teachers that the run really used.

    If a teacher was never observed, this logs its first observation. Otherwise the next scheduled
    observation would look like a change and make all its partitions stale.

    Args:
        context: The step's context.
        inputs: The inputs as `inputs_of` returned them.
        teachers: Role → the teacher that the run used.
    """
    updated = dict(inputs)
    for role, key in TEACHERS.items():
        if key not in updated or (role not in teachers and is_played(role)):
            continue
        version = version_of(role, teachers[role]) if role in teachers else NOBODY
        if not context.instance.get_latest_data_version_record(key, is_source=True):
            tags = {DATA_VERSION_TAG: version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
            context.log_event(dg.AssetObservation(key, tags=tags))
        updated[key] = Input(version, updated[key].event)
    return updated


def newest_materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]
) -> dict[str, dg.EventLogRecord]:
    """Partition → its newest materialization; partitions without one are left out."""
    if not partitions:
        return {}
    ids = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(partitions)
    )
    newest = instance.fetch_materializations(
        dg.AssetRecordsFilter(key, storage_ids=list(ids.values())), limit=len(partitions)
    )
    return {record.partition_key or "": record for record in newest.records}


def version_tags(
    content: str, code_version: str, inputs: Mapping[dg.AssetKey, Input]
) -> dict[str, str]:
    """The tags of a materialization.

    Args:
        content: Hash of the partition's rows.
        code_version: The asset's code version, or the run id if it has none, as in Dagster.
        inputs: The versions of the assets that it was made from.
    """
    tags = {
        DATA_VERSION_TAG: content,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        CODE_VERSION_TAG: code_version,
    }
    for key, source in inputs.items():
        tags[get_input_data_version_tag(key)] = source.version
        tags[get_input_event_pointer_tag(key)] = str(source.event or NULL_EVENT_POINTER)
    return tags
