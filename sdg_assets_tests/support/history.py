"""The history of a catalog that was made from end to end, as a Dagster instance remembers it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    StepMaterializationData,
)

from sdg_assets.assets.keys import BENCHMARKS, asset_key
from sdg_assets.assets.provenance import Input, version_of_all, version_tags
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import SeedTask, load_protected
from sdg_assets.checks.table import stage_checks
from sdg_assets.records import Role, Stage
from sdg_assets.stages.stage import STAGES, TASK_STAGES

JOB = "__ASSET_JOB"
# As long as three rows with choices, reasoning and background.
SAMPLES = "Which of these cities lies farthest in the north? " * 60


class History:
    """Writes the events of runs, without running anything."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def observe(self, version: str, *roles: Role) -> None:
        """Observes the teachers of these roles."""
        for role in roles:
            tags = {"dagster/data_version": version}
            event = dg.AssetObservation(TEACHERS[role], tags=tags)
            self._instance.report_runless_asset_event(event)

    def make_all(self, tasks: Iterable[SeedTask], teacher: str) -> int:
        """Materializes every stage of the tasks, and the protected benchmarks.

        Args:
            tasks: The seed tasks.
            teacher: The version of all teachers.

        Returns:
            The number of materialized partitions of the tasks.
        """
        self.observe(teacher, *Role)
        names = [benchmark.name for benchmark in load_protected()]
        run_id = self._run()
        for name in names:
            self._make(run_id, BENCHMARKS, Stage.HELDOUT, name, {})
        benchmarks = version_of_all(self._instance, BENCHMARKS, names)
        assert benchmarks
        made = 0
        for stage in TASK_STAGES:
            run_id, row = self._run(), STAGES[stage]
            for task in tasks:
                inputs = {asset_key(task.task, above): Input("rows", None) for above in row.inputs}
                inputs |= {TEACHERS[role]: Input(teacher, None) for role in row.roles}
                if row.is_gated_against_benchmarks:
                    inputs[BENCHMARKS] = benchmarks
                for subtask in task.enabled_subtasks():
                    self._make(run_id, asset_key(task.task, stage), stage, subtask, inputs)
                    made += 1
        return made

    def _run(self) -> str:
        run = dg.DagsterRun(JOB, run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS)
        self._instance.add_run(run)
        return run.run_id

    def _make(
        self,
        run_id: str,
        key: dg.AssetKey,
        stage: Stage,
        partition: str,
        inputs: Mapping[dg.AssetKey, Input],
    ) -> None:
        materialization = dg.AssetMaterialization(
            key,
            partition=partition,
            metadata={"rows": 1000, "samples": dg.MetadataValue.md(SAMPLES)},
            tags=version_tags("rows", run_id, inputs),
        )
        planned = AssetMaterializationPlannedData(key, partition=partition)
        self._report(run_id, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, planned)
        data = StepMaterializationData(materialization)
        self._report(run_id, dg.DagsterEventType.ASSET_MATERIALIZATION, data)
        for name in stage_checks(stage):
            check = dg.AssetCheckEvaluation(
                asset_key=key, check_name=name, passed=True, partition=partition
            )
            self._report(run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION, check)

    def _report(self, run_id: str, kind: dg.DagsterEventType, data: Any) -> None:
        event = DagsterEvent(kind.value, JOB, event_specific_data=data)
        self._instance.report_dagster_event(event, run_id)
