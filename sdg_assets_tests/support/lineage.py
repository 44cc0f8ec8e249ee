"""JSON schema of OpenLineage's run events, as far as our events go.

The client has no schema file. What is written here is narrower than the standard: a facet that is
not listed is an error, so look it up there before it is added.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

Json = dict[str, Any]
TEXT: Json = {"type": "string", "minLength": 1}
URI: Json = {"type": "string", "format": "uri", "pattern": r"^[a-z][a-z0-9+.-]*:\S+$"}
UUID: Json = {"type": "string", "format": "uuid", "pattern": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-"}
TIME: Json = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
}
SPEC = "https://openlineage.io/spec"


def fields(required: str = "", /, **properties: Json) -> Json:
    """An object with these fields and no others; `required` names some of them."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def facet(name: str, required: str = "", /, **properties: Json) -> Json:
    """A facet of the standard, with a pointer to the version of its own schema."""
    url = {"type": "string", "pattern": rf"^{SPEC}/facets/[\d-]+/{name}\.json#/\$defs/{name}$"}
    return fields(f"_producer _schemaURL {required}", _producer=URI, _schemaURL=url, **properties)


def column(depth: int) -> Json:
    """A column, whose own columns are at most so deep."""
    nested = {"fields": {"type": "array", "items": column(depth - 1)}} if depth else {}
    return fields(
        "name type",
        name=TEXT,
        type=TEXT,
        description=TEXT,
        ordinal_position={"type": "integer", "minimum": 1},
        **nested,
    )


def dataset(license_facet: Json, **more: Json) -> Json:
    """A dataset with its facets."""
    return fields(
        "namespace name facets",
        namespace=TEXT,
        name=TEXT,
        facets=fields(
            "dataSource sdg_license",
            schema=facet(
                "SchemaDatasetFacet", "fields", fields={"type": "array", "items": column(4)}
            ),
            dataSource=facet("DatasourceDatasetFacet", "name uri", name=TEXT, uri=URI),
            version=facet("DatasetVersionDatasetFacet", "datasetVersion", datasetVersion=TEXT),
            sdg_license=license_facet,
        ),
        **more,
    )


def write_events(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has OpenLineage's client write events to a file."""
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(path))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")


def events(path: Path) -> list[Json]:
    """The events in a file, each valid."""
    read = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for event in read:
        faults = [f"{f.json_path}: {f.message}" for f in _validator().iter_errors(event)]
        assert not faults, faults[:3]
    return read


def names(datasets: list[Json]) -> list[str]:
    """Namespace and name of each dataset."""
    return [f"{each['namespace']} {each['name']}" for each in datasets]


@cache
def _validator() -> jsonschema.Draft202012Validator:
    own = json.loads((files("sdg_assets.lineage") / "LicenseDatasetFacet.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(own)
    del own["$schema"]
    schema = run_event(own)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def run_event(license_facet: Json) -> Json:
    """The schema of an event.

    Args:
        license_facet: The schema of the facet that is our own.
    """
    job = fields("namespace name", namespace=TEXT, name=TEXT, facets={"type": "object"})
    statistics = facet(
        "OutputStatisticsOutputDatasetFacet", rowCount={"type": "integer", "minimum": 0}
    )
    return fields(
        "eventType eventTime run job inputs outputs producer schemaURL",
        eventType={"enum": ["START", "COMPLETE", "FAIL", "ABORT"]},
        eventTime=TIME,
        producer=URI,
        schemaURL={"const": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        run=fields(
            "runId facets",
            runId=UUID,
            facets=fields(
                "parent processing_engine",
                parent=facet(
                    "ParentRunFacet",
                    "run job",
                    run=fields("runId", runId=UUID, facets={"type": "object"}),
                    job=job,
                ),
                tags=facet(
                    "TagsRunFacet",  # the client adds its version
                    "tags",
                    tags={
                        "type": "array",
                        "items": fields("key value", key=TEXT, value=TEXT, source=TEXT),
                    },
                ),
                processing_engine=facet(
                    "ProcessingEngineRunFacet", "version", version=TEXT, name=TEXT
                ),
                errorMessage=facet(
                    "ErrorMessageRunFacet",
                    "message programmingLanguage",
                    message=TEXT,
                    programmingLanguage=TEXT,
                ),
            ),
        ),
        job=fields(
            "namespace name facets",
            namespace=TEXT,
            name=TEXT,
            facets=fields(
                "jobType documentation",
                jobType=facet(
                    "JobTypeJobFacet",
                    "processingType integration",
                    processingType={"enum": ["BATCH"]},
                    integration=TEXT,
                    jobType=TEXT,
                ),
                documentation=facet("DocumentationJobFacet", "description", description=TEXT),
            ),
        ),
        inputs={
            "type": "array",
            "items": dataset(license_facet, inputFacets={"type": "object", "maxProperties": 0}),
        },
        outputs={
            "type": "array",
            "items": dataset(
                license_facet, outputFacets=fields("outputStatistics", outputStatistics=statistics)
            ),
        },
    )
