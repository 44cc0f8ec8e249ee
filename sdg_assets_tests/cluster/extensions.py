"""JSON schemas of the objects that extensions of Kubernetes define, as far as our manifests go.

Kubernetes' own schemas do not know them. A field that is not listed here is an error: check it in
the extension's documentation before it is added.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
TEXT: Json = {"type": "string", "minLength": 1}
COUNT: Json = {"type": "integer", "minimum": 0}
QUANTITY: Json = {"anyOf": [COUNT, {"type": "string", "pattern": r"^\d+(\.\d+)?([KMGTPE]i?|m)?$"}]}
LABELS: Json = {"type": "object", "additionalProperties": TEXT}


def one_of(*words: str) -> Json:
    """A text out of a closed set."""
    return {"enum": list(words)}


def items(of: Json) -> Json:
    """A list with at least one item."""
    return {"type": "array", "minItems": 1, "items": of}


def fields(required: str = "", **properties: Json) -> Json:
    """An object with these fields and no others; `required` names some of them."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


METADATA = fields("name", name=TEXT, namespace=TEXT, labels=LABELS, annotations=LABELS)
TOLERATION = fields("key", key=TEXT, operator=one_of("Exists", "Equal"), value=TEXT, effect=TEXT)
PREEMPTION = one_of("Never", "LowerPriority", "LowerOrNewerEqualPriority", "Any")
POD_TEMPLATE = fields(
    "spec", metadata=fields(labels=LABELS, annotations=LABELS), spec={"type": "object"}
)
POLICIES = items(
    fields("type value periodSeconds", type=one_of("Pods", "Percent"), value=COUNT,
           periodSeconds=COUNT)
)  # fmt: skip
RULES = fields(
    stabilizationWindowSeconds=COUNT, selectPolicy=one_of("Max", "Min"), policies=POLICIES
)

SPECS: dict[tuple[str, str], Json] = {
    ("kueue.x-k8s.io/v1beta2", "ResourceFlavor"): fields(
        nodeLabels=LABELS, tolerations=items(TOLERATION)
    ),
    ("kueue.x-k8s.io/v1beta2", "ClusterQueue"): fields(
        "namespaceSelector resourceGroups",
        namespaceSelector=fields(matchLabels=LABELS),
        queueingStrategy=one_of("StrictFIFO", "BestEffortFIFO"),
        cohortName=TEXT,
        preemption=fields(withinClusterQueue=PREEMPTION, reclaimWithinCohort=PREEMPTION),
        resourceGroups=items(
            fields(
                "coveredResources flavors",
                coveredResources=items(TEXT),
                flavors=items(
                    fields(
                        "name resources",
                        name=TEXT,
                        resources=items(
                            fields(
                                "name nominalQuota",
                                name=TEXT,
                                nominalQuota=QUANTITY,
                                borrowingLimit=QUANTITY,
                            )
                        ),
                    )
                ),
            )
        ),
    ),
    ("kueue.x-k8s.io/v1beta2", "LocalQueue"): fields("clusterQueue", clusterQueue=TEXT),
    ("keda.sh/v1alpha1", "ScaledObject"): fields(
        "scaleTargetRef triggers",
        scaleTargetRef=fields("name", name=TEXT, kind=TEXT, apiVersion=TEXT),
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        pollingInterval=COUNT,
        fallback=fields("failureThreshold replicas", failureThreshold=COUNT, replicas=COUNT),
        advanced=fields(
            horizontalPodAutoscalerConfig=fields(behavior=fields(scaleUp=RULES, scaleDown=RULES))
        ),
        triggers=items(
            fields(
                "type metadata",
                type=TEXT,
                metricType=one_of("AverageValue", "Value"),
                metadata=fields(
                    "serverAddress query threshold",
                    serverAddress=TEXT,
                    query=TEXT,
                    threshold=TEXT,
                    ignoreNullValues=one_of("true", "false"),
                ),
            )
        ),
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): fields(
        "selector podMetricsEndpoints",
        selector=fields("matchLabels", matchLabels=LABELS),
        podMetricsEndpoints=items(fields("port", port=TEXT, path=TEXT, interval=TEXT)),
    ),
    ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"): fields(
        "leaderWorkerTemplate",
        replicas=COUNT,
        leaderWorkerTemplate=fields(
            "size workerTemplate",
            size=COUNT,
            restartPolicy=one_of("RecreateGroupOnPodRestart", "None"),
            leaderTemplate=POD_TEMPLATE,
            workerTemplate=POD_TEMPLATE,
        ),
    ),
}
SCHEMAS: dict[tuple[str, str], Json] = {
    key: fields("apiVersion kind metadata spec", apiVersion=TEXT, kind=TEXT, metadata=METADATA,
                spec=spec)
    for key, spec in SPECS.items()
}  # fmt: skip
# A class has no `spec`.
SCHEMAS["kueue.x-k8s.io/v1beta2", "WorkloadPriorityClass"] = fields(
    "apiVersion kind metadata value",
    apiVersion=TEXT,
    kind=TEXT,
    metadata=METADATA,
    value={"type": "integer"},
    description=TEXT,
)
