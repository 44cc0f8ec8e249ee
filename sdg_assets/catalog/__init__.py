"""The catalog of seed tasks: one YAML file per task, validated when it is loaded."""

from sdg_assets.catalog.loader import (
    Catalog,
    cached_catalog,
    configured_catalog,
    load_catalog,
)
from sdg_assets.catalog.models import RecordMapping, SeedTask, Subtask, SubtaskSpec
from sdg_assets.catalog.protected import ProtectedBenchmark, load_protected

__all__ = [
    "Catalog",
    "ProtectedBenchmark",
    "RecordMapping",
    "SeedTask",
    "Subtask",
    "SubtaskSpec",
    "cached_catalog",
    "configured_catalog",
    "load_catalog",
    "load_protected",
]
