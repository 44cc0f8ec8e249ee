"""Where the output of steps is kept: in the store, so that the UI shows it after the pod is gone.

`k8s/base/dagster.yaml` names `StoreLogs`. Every process of a deployment loads it, the webserver
included, so it must not need settings: a wrong one would hide the page that explains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from sdg_assets.addresses import BUCKET_URL
from sdg_assets.cluster.tickless_logs import FOLDER, WithoutTicks
from sdg_assets.dagster_internals import (
    ComputeLogManager,
    ConfigurableClass,
    ConfigurableClassData,
    LocalComputeLogManager,
)


class VolumeLogs(WithoutTicks, LocalComputeLogManager):
    """Logs in a directory that the pods of steps and of the webserver mount."""


class StoreLogs(ComputeLogManager, ConfigurableClass):
    """Chooses by the store: a directory, or a bucket. It has no instances of its own."""

    @classmethod
    def config_type(cls) -> Mapping[str, object]:
        """`store`: the value of `SDG_STORE`."""
        return {"store": dg.StringSource}

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster takes any manager
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, str]
    ) -> ComputeLogManager:
        """The logs of the store that the configuration names."""
        store = config_value["store"]
        if not (match := BUCKET_URL.fullmatch(store)):
            return VolumeLogs(str(Path(store) / FOLDER), inst_data=inst_data)
        from sdg_assets.cluster.bucket_logs import BucketLogs

        return BucketLogs.below(match["bucket"], match["key"] or "", inst_data)
