"""The catalog of seed tasks: one YAML file per task, validated when it is loaded."""

from sdg_assets.catalog.entries import RecordMapping
from sdg_assets.catalog.loader import (
    Catalog,
    cached_catalog,
    configured_catalog,
    load_catalog,
)
from sdg_assets.catalog.protected import ProtectedBenchmark, load_protected
from sdg_assets.catalog.seed_task import SeedTask, Subtask
from sdg_assets.catalog.subtask_spec import SubtaskSpec

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
