"""The partitions of the store as datasets of OpenLineage, with their facets."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import attr
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    OutputDatasetFacet,
    dataset_version_dataset,
    datasource_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.lineage.producer import PRODUCER
from sdg_assets.records import Record, Stage
from sdg_assets.release import Release
from sdg_assets.stages.stage import STAGES, key_of
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import Store
from sdg_assets.store.places import Place

HUB = "https://huggingface.co"
LICENSE_FACET = "sdg_license"
"""Facets that are not of the standard have a prefix."""


class Location(NamedTuple):
    """The name of a dataset, unique among all stores."""

    namespace: str
    name: str


@attr.define
class LicenseDatasetFacet(DatasetFacet):
    """See `LicenseDatasetFacet.json`, its schema."""

    license: str = attr.field(kw_only=True)
    commercialUse: str = attr.field(kw_only=True)  # noqa: N815 – as the standard writes names
    source: str = attr.field(kw_only=True)
    teachers: list[str] | None = attr.field(default=None, kw_only=True)

    @staticmethod
    def _get_schema() -> str:
        return f"{PRODUCER}#sdg_assets/lineage/LicenseDatasetFacet.json"


def location_of(place: Place) -> Location:
    """A place in the store, as OpenLineage names files and objects."""
    if isinstance(place, Path):
        return Location("file", place.resolve().as_posix())
    return Location(f"s3://{place.bucket}", place.key)


def input_datasets(
    store: Store, specs: Sequence[SubtaskSpec], stage: Stage
) -> Iterator[InputDataset]:
    """What a stage reads for subtasks: published partitions, or the datasets of the Hub.

    Args:
        store: The store.
        specs: The subtasks.
        stage: The stage.
    """
    above = STAGES[stage].inputs
    manifests = store.manifests(key_of(spec, each) for spec in specs for each in above)
    for spec in specs:
        if not above:
            yield _hub_dataset(spec)
        for each in above:
            facets = _facets(store, spec, each, manifests.get(key_of(spec, each)))
            yield InputDataset(*_location(store, spec, each), facets=facets)


def output_datasets(
    store: Store, made: Sequence[tuple[SubtaskSpec, Sequence[str]]], stage: Stage
) -> Iterator[OutputDataset]:
    """The partitions that a stage has published.

    Args:
        store: The store.
        made: Each subtask with the models that answered, as `model@revision`.
        stage: The stage.
    """
    manifests = store.manifests(key_of(spec, stage) for spec, _ in made)
    for spec, models in made:
        manifest = manifests.get(key_of(spec, stage))
        yield OutputDataset(
            *_location(store, spec, stage),
            facets=_facets(store, spec, stage, manifest, models),
            outputFacets=_statistics(manifest.rows if manifest else None),
        )


def release_dataset(store: Store, release: Release[Place]) -> OutputDataset:
    """A release, as a version of the dataset of all releases of the store."""
    figures = release.statistics
    may_all = "yes" if figures.commercial == figures.rows else "of some rows"
    facets = _about(store, Stage.CURATED, release.id) | {
        LICENSE_FACET: LicenseDatasetFacet(
            license=" AND ".join(sorted(figures.licences)),
            commercialUse=may_all if figures.commercial else "no",
            source=", ".join(sorted({dataset for dataset, _, _ in figures.datasets})),
            teachers=sorted({f"{model}@{revision}" for _, model, revision in figures.teachers})
            or None,
        )
    }
    return OutputDataset(
        *location_of(store.root / Stage.CURATED.value),
        facets=facets,
        outputFacets=_statistics(figures.rows),
    )


def _location(store: Store, spec: SubtaskSpec, stage: Stage) -> Location:
    """Without the file's version, so that a dataset keeps its name; the facet has the version."""
    return location_of(store.root / spec.task / stage.value / spec.key)


def _facets(
    store: Store,
    spec: SubtaskSpec,
    stage: Stage,
    manifest: Manifest | None,
    teachers: Sequence[str] = (),
) -> dict[str, DatasetFacet]:
    about = _about(store, stage, manifest.sha256 if manifest else "")
    return about | {LICENSE_FACET: _license(spec, teachers)}


def _about(store: Store, stage: Stage, version: str) -> dict[str, DatasetFacet]:
    """The facets of the standard: columns, store, and version if there is one."""
    place = location_of(store.root)
    uri = f"file://{place.name}" if place.namespace == "file" else f"{place.namespace}/{place.name}"
    facets: dict[str, DatasetFacet] = {
        "schema": schema_dataset.SchemaDatasetFacet(fields=columns(STAGES[stage].record)),
        "dataSource": datasource_dataset.DatasourceDatasetFacet(name="store", uri=uri),
    }
    if version:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(version)
    return facets


def _statistics(rows: int | None) -> dict[str, OutputDatasetFacet]:
    return {
        "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rows
        )
    }


def _license(spec: SubtaskSpec, teachers: Sequence[str] = ()) -> LicenseDatasetFacet:
    return LicenseDatasetFacet(
        license=spec.license,
        commercialUse=str(spec.commercial_use),
        source=spec.dataset,
        teachers=list(teachers) or None,
    )


def _hub_dataset(spec: SubtaskSpec) -> InputDataset:
    """The dataset of the Hub that seeds come from, also where a mirror of it is read."""
    name = f"datasets/{spec.dataset}/{spec.config}/{spec.split}"
    page = f"{HUB}/datasets/{spec.dataset}"
    source = datasource_dataset.DatasourceDatasetFacet(name="Hugging Face Hub", uri=page)
    return InputDataset(HUB, name, facets={"dataSource": source, LICENSE_FACET: _license(spec)})


def columns(record: type[Record]) -> list[schema_dataset.SchemaDatasetFacetFields]:
    """The columns of a record, with their types and descriptions, from its model."""
    schema = record.model_json_schema()
    return _columns(schema, schema.get("$defs", {}))


def _columns(
    schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> list[schema_dataset.SchemaDatasetFacetFields]:
    made = []
    for position, (name, column) in enumerate(schema.get("properties", {}).items(), start=1):
        kind, nested = _type(column, definitions)
        described = column.get("description")
        made.append(
            schema_dataset.SchemaDatasetFacetFields(
                name=name,
                type=kind,
                description=inspect.cleandoc(described) if described else None,
                ordinal_position=position,
                fields=_columns(nested, definitions) or None,
            )
        )
    return made


def _type(column: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A column's type, and the schema of the objects in it; empty if it holds none."""
    if reference := column.get("$ref"):
        return _type(definitions[reference.rpartition("/")[2]], definitions)
    if alternatives := column.get("anyOf"):
        kinds = [_type(a, definitions) for a in alternatives if a.get("type") != "null"]
        return "|".join(dict.fromkeys(kind for kind, _ in kinds)), kinds[0][1]
    if column.get("type") == "array":
        kind, nested = _type(column.get("items", {}), definitions)
        return f"array<{kind}>", nested
    if column.get("type") == "object" and "properties" in column:
        return "struct", dict(column)
    return str(column.get("type", "any")), {}
