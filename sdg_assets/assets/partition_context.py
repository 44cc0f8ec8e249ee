"""What the work of a stage needs to know of one partition, in one object."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from sdg_assets.assets.desks import desks_of, judge_of, played
from sdg_assets.assets.heldout_guard import HeldoutGuard
from sdg_assets.assets.knobs import StageConfig
from sdg_assets.assets.metadata import contamination_metadata
from sdg_assets.assets.progress import Progress
from sdg_assets.assets.writing import PartitionReport, write_partition
from sdg_assets.catalog import Catalog, SubtaskSpec
from sdg_assets.enrichment.judge import Judge
from sdg_assets.heldout.protection import protection
from sdg_assets.records import Example, Record, Role, Stage
from sdg_assets.settings import Settings
from sdg_assets.signatures.table import Signatures
from sdg_assets.sources.source import SeedSource, open_source
from sdg_assets.stages.stage import STAGES, key_of
from sdg_assets.stages.training_rows import mapped_seeds, training_rows
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.rows import RecordT
from sdg_assets.teacher.conversation import Desk, Usage
from sdg_assets.teacher.log.completions import damage_of
from sdg_assets.thresholds import Thresholds, overridden


@dataclass(frozen=True)
class PartitionContext:
    """One partition of one stage, in one run.

    Made where a run enters, in `assets.factory`: nothing that gets it reads the environment.
    """

    step: dg.AssetExecutionContext
    """Dagster's context of the step: its log, its run."""
    stage: Stage
    spec: SubtaskSpec
    store: Store
    """With the inputs of the partition pinned: they are of one version, however often read."""
    catalog: Catalog
    settings: Settings

    @cached_property
    def thresholds(self) -> Thresholds:
        """The gates' thresholds: the defaults, moved by the settings, then by the catalog."""
        return overridden(self.settings.gates, self.spec.gates)

    @cached_property
    def guard(self) -> HeldoutGuard:
        """The partition's comparison with everything that is held out.

        Raises:
            StoreError: The subtask's held-out splits, or a protected benchmark, are not hashed.
            CatalogError: SDG_WITHOUT_BENCHMARKS names a benchmark that does not exist.
        """
        held_out = protection(
            self.store,
            self.catalog,
            [self.spec],
            self.settings.without_benchmarks,
            self.settings.seed_source,
        )
        sample = mapped_seeds if STAGES[self.stage].maps_seeds else training_rows
        return HeldoutGuard(self.spec, held_out, self.thresholds, sample(self.spec, self.store))

    @cached_property
    def source(self) -> SeedSource:
        """Where raw rows are read."""
        return open_source(self.settings.seed_source)

    def key(self, stage: Stage) -> PartitionKey:
        """Where a stage of this subtask lies in the store."""
        return key_of(self.spec, stage)

    def read(self, stage: Stage, record: type[RecordT]) -> Iterator[RecordT]:
        """Streams the accepted rows of a stage of this subtask; raises as `Store.read` does."""
        return self.store.read(self.key(stage), record)

    def progress(self, total: int) -> Progress:
        """A progress bar and log entries, for work that yields `total` results."""
        return Progress(self.step, self.spec.key, total)

    @contextmanager
    def desks(self, *roles: Role) -> Iterator[dict[Role, Desk]]:
        """The desk of each of the roles that a teacher plays, with the log of its completions.

        Damaged lines of that log are asked again; the run's log says so.
        """
        asked = played(roles, self.settings)
        with desks_of(self.store, self.spec, asked, self.settings) as desks:
            for desk in desks.values():
                if desk.log.damaged:
                    self.step.log.warning(damage_of(desk.log))
            yield desks

    def judge(self, desks: Mapping[Role, Desk], seeds: Mapping[str, Example]) -> Judge | None:
        """The judge; None where nobody judges.

        Args:
            desks: The partition's.
            seeds: Id → seed, of the rows that are judged.
        """
        return judge_of(desks, self.spec, seeds, self.settings)

    def publish(
        self,
        rows: Iterable[Record],
        config: StageConfig,
        *,
        usage: Usage | None = None,
        asked: int | None = None,
        signatures: Callable[[], Signatures] | None = None,
    ) -> PartitionReport:
        """Writes the partition and publishes it, if its checks allow.

        A stage that is compared with what is held out has the guard's report in its manifest.

        Args:
            rows: Accepted and refused rows, as the stage yields them. Those of a guarded stage have
                passed `guard.gate`.
            config: Of the run.
            usage: The teachers' usage, filled while `rows` is consumed; None for a stage without.
            asked: Seeds that were asked for, if the stage reads them.
            signatures: Called once `rows` is consumed; returns the accepted rows' signatures, which
                are published with them.

        Raises:
            InvariantBrokenError: See `write_partition`.
        """
        info: dict[str, Any] = {}
        guard = self.guard if STAGES[self.stage].is_gated_against_benchmarks else None

        def reported() -> Iterator[Record]:
            yield from rows
            if guard:
                info["contamination"] = guard.report()

        report = write_partition(
            self.key(self.stage),
            self.store,
            reported(),
            min_yield=self.settings.min_yield,
            usage=usage,
            thresholds=self.thresholds,
            heldout=guard.separate_gate() if guard else None,
            info=info,
            signatures=signatures,
            asked=asked,
            accept_smaller=bool(config.accept_smaller),
        )
        if guard:
            report.metadata |= contamination_metadata(info["contamination"])
        return report
