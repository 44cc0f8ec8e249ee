"""`croissant.json`: a release described for machines, in the format Croissant 1.1.

Croissant (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html) names every file with
its hash, every configuration as a set of records with typed fields, the licences, and with the
vocabularies RAI and PROV where the data comes from and what is known to be wrong with it. NeurIPS
asks for eight of these fields (`RAI_FIELDS`). It has no date: the same inputs give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sdg_assets.catalog.licences import spdx_expression
from sdg_assets.records import CuratedExample
from sdg_assets.release.card import CardFacts, source_datasets
from sdg_assets.release.configs import Config
from sdg_assets.release.shards import curated_schema
from sdg_assets.release.statements import Statements, statements
from sdg_assets.release.statistics import Statistics

CROISSANT = "croissant.json"
VERSION = "http://mlcommons.org/croissant/1.1"
RAI_VERSION = "http://mlcommons.org/croissant/RAI/1.0"
RAI_FIELDS = (
    "rai:dataLimitations",
    "rai:dataBiases",
    "rai:personalSensitiveInformation",
    "rai:dataUseCases",
    "rai:dataSocialImpact",
    "rai:hasSyntheticData",
    "prov:wasDerivedFrom",
    "prov:wasGeneratedBy",
)
SPDX = "https://spdx.org/licenses"
FORMATS = {".parquet": "application/x-parquet", ".jsonl": "application/jsonlines"}
"""Ending of a data file → its media type."""
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
Json = dict[str, Any]


def render_croissant(
    statistics: Statistics,
    configs: Sequence[Config],
    facts: CardFacts,
    files: Mapping[str, str],
    sizes: Mapping[str, int],
) -> str:
    """The text of a release's `croissant.json`.

    Args:
        statistics: The counts of the release's rows, after `finish`.
        configs: The configurations that have rows.
        facts: The facts of the card.
        files: Data file, relative to the release → its SHA-256.
        sizes: Data file → bytes.
    """
    about = statements(statistics, facts)
    data = sorted(name for name in files if any(name.endswith(ending) for ending in FORMATS))
    dataset = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": facts.name,
        "description": about.description,
        "conformsTo": [VERSION, RAI_VERSION],
        "version": f"{facts.version}+{facts.release}",
        "license": sorted(map(_licence_url, statistics.licences)),
        "inLanguage": sorted(statistics.languages),
        "keywords": ["synthetic", "task-seeded", "pretraining", "question answering"],
        "citeAs": "\n\n".join([_citation(facts), *facts.citations]),
        **_responsible(about),
        **_provenance(statistics, facts),
        "distribution": [
            *(_file_object(name, files[name], sizes[name]) for name in data),
            *(_file_set(config) for config in configs),
        ],
        "recordSet": [_record_set(config) for config in configs],
    }
    return json.dumps(dataset, ensure_ascii=False, indent=1) + "\n"


def _citation(facts: CardFacts) -> str:
    return (
        f"@misc{{sdg-assets-{facts.release},\n  title = {{{facts.name}}},\n"
        f"  version = {{{facts.version}}},\n"
        f"  note = {{made with sdg-assets {facts.code_version} from the datasets cited below}}\n}}"
    )


def _licence_url(licence: str) -> str:
    """The address of a licence with an SPDX identifier; other names stay as they are."""
    identifier = spdx_expression([licence])
    is_listed = identifier and not identifier.startswith("LicenseRef-") and " " not in identifier
    return f"{SPDX}/{identifier}.html" if is_listed else licence


def _responsible(about: Statements) -> Json:
    """The RAI fields."""
    return {
        "rai:hasSyntheticData": True,
        "rai:dataLimitations": about.limitations,
        "rai:dataBiases": about.biases,
        "rai:personalSensitiveInformation": [about.personal_data],
        "rai:dataUseCases": about.uses,
        "rai:dataSocialImpact": about.social_impact,
    }


def _provenance(statistics: Statistics, facts: CardFacts) -> Json:
    return {
        "prov:wasDerivedFrom": [
            {
                "@id": source.url,
                "@type": "prov:Entity",
                "prov:label": source.dataset,
                "sc:license": [_licence_url(licence) for licence in source.licences],
                "sc:version": list(source.revisions),
                "sc:size": f"{source.rows:,} rows of this release",
            }
            for source in source_datasets(statistics)
        ]
        + [
            {
                "@type": "prov:Entity",
                "prov:label": f"passages of {passages.source}",
                "sc:license": [_licence_url(passages.licence)],
            }
            for passages in statistics.owed.passage_sources()
        ],
        "prov:wasGeneratedBy": [
            {
                "@type": "prov:Activity",
                "prov:label": f"{role}: {model}",
                "sc:description": f"{rows:,} rows",
                "prov:wasAssociatedWith": {
                    "@type": "prov:SoftwareAgent",
                    "prov:label": model,
                    "sc:version": revision,
                    **({"sc:usageInfo": facts.terms[model]} if model in facts.terms else {}),
                },
            }
            for (role, model, revision), rows in sorted(statistics.teachers.items())
        ]
        + [
            {
                "@type": "prov:Activity",
                "prov:label": "normalization, gates, deduplication and release",
                "prov:wasAssociatedWith": {
                    "@type": "prov:SoftwareAgent",
                    "prov:label": "sdg-assets",
                    "sc:version": facts.code_version,
                },
            }
        ],
    }


def _file_object(name: str, sha256: str, size: int) -> Json:
    ending = name[name.rindex(".") :]
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": FORMATS[ending],
        "sha256": sha256,
    }


def _file_set(config: Config) -> Json:
    return {
        "@type": "cr:FileSet",
        "@id": f"{config.name}-parquet",
        "name": f"{config.name}-parquet",
        "description": f"The Parquet files of {config.name}.",
        "encodingFormat": FORMATS[".parquet"],
        "includes": f"{config.folder}/*.parquet",
    }


def _record_set(config: Config) -> Json:
    descriptions = {name: f.description for name, f in CuratedExample.model_fields.items()}
    return {
        "@type": "cr:RecordSet",
        "@id": config.name,
        "name": config.name,
        "description": f"{config.rows:,} rows: {config.description}.",
        "key": {"@id": f"{config.name}/id"},
        "field": [
            _field(config, name, kind, descriptions.get(name))
            for name, kind in curated_schema().items()
        ],
    }


def _field(config: Config, column: str, kind: Any, description: str | None) -> Json:  # noqa: ANN401
    """A column as a field; columns of objects have a subfield for each leaf."""
    import polars as pl

    inner, is_list = (kind.inner, True) if isinstance(kind, pl.List) else (kind, False)
    field: Json = {
        "@type": "cr:Field",
        "@id": f"{config.name}/{column}",
        "name": f"{config.name}/{column}",
        **({"description": description} if description else {}),
        **({"isArray": True, "arrayShape": "-1"} if is_list else {}),
    }
    if not isinstance(inner, pl.Struct):
        return field | {"dataType": _data_type(inner), "source": _source(config, column)}
    return field | {
        "subField": [
            {
                "@type": "cr:Field",
                "@id": f"{config.name}/{column}/{path.replace('.', '/')}",
                "name": f"{config.name}/{column}/{path.replace('.', '/')}",
                "dataType": _data_type(leaf),
                "source": _source(config, column, path),
            }
            for path, leaf in _leaves(inner)
        ]
    }


def _leaves(struct: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """(path, type) of the leaves of nested objects; a list is one leaf of its items' type."""
    import polars as pl

    for part in struct.fields:
        kind = part.dtype.inner if isinstance(part.dtype, pl.List) else part.dtype
        if isinstance(kind, pl.Struct):
            yield from _leaves(kind, f"{prefix}{part.name}.")
        else:
            yield f"{prefix}{part.name}", kind


def _source(config: Config, column: str, path: str = "") -> Json:
    return {
        "fileSet": {"@id": f"{config.name}-parquet"},
        "extract": {"column": column},
        **({"transform": {"jsonPath": path}} if path else {}),
    }


def _data_type(kind: Any) -> str:  # noqa: ANN401 – a polars type
    import polars as pl

    names = {pl.String(): "sc:Text", pl.Int64(): "sc:Integer", pl.Float64(): "sc:Float"}
    names[pl.Boolean()] = "sc:Boolean"
    return names[kind]
