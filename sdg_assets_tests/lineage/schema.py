"""JSON schema of OpenLineage's run events, as far as our events go.

The client has no schema file. What is written here is narrower than the standard: a facet that is
not listed is an error, so look it up there before it is added.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
TEXT: Json = {"type": "string", "minLength": 1}
URI: Json = {"type": "string", "format": "uri", "pattern": r"^[a-z][a-z0-9+.-]*:\S+$"}
UUID: Json = {"type": "string", "format": "uuid", "pattern": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-"}
TIME: Json = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
}
SPEC = "https://openlineage.io/spec"


def fields(required: str = "", **properties: Json) -> Json:
    """An object with these fields and no others; `required` names some of them."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def facet(name: str, required: str = "", **properties: Json) -> Json:
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
