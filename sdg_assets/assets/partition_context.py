"""All that a stage needs to make one partition, in one object."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import dagster as dg

from sdg_assets.assets.costs import cost_metadata
from sdg_assets.assets.desks import desks_of, judge_of, played
from sdg_assets.assets.effective_knobs import effective_knobs, knobs_text
from sdg_assets.assets.heldout_guard import HeldoutGuard
from sdg_assets.assets.knobs import SolverConfig, StageConfig, WriterConfig
from sdg_assets.assets.metadata import contamination_metadata, paraphrase_metadata
from sdg_assets.assets.progress import Progress
from sdg_assets.assets.writing import PartitionReport, write_partition
from sdg_assets.browse.links import rows_url
from sdg_assets.catalog import Catalog, SubtaskSpec
from sdg_assets.cluster.fill_report import FillReport
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.gates.paraphrases import NAME as PARAPHRASES
from sdg_assets.gates.paraphrases import Paraphrases, ParaphraseThresholds
from sdg_assets.heldout.embeddings import embedded
from sdg_assets.heldout.protection import protection
from sdg_assets.metrics.counts import Counts
from sdg_assets.passages.library import passage_index
from sdg_assets.processes.pool import Pool
from sdg_assets.records import Example, Record, Role, Stage
from sdg_assets.settings import Settings
from sdg_assets.signatures.table import Signatures
from sdg_assets.sources.source import SeedSource, open_source
from sdg_assets.stages.cost import Cost, PriceList, costs_of
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.stage import ROW_STAGES, STAGES, key_of
from sdg_assets.stages.training_rows import mapped_seeds, training_rows
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.rows import RecordT
from sdg_assets.teacher.budget import Budget
from sdg_assets.teacher.conversation import Desk, Usage
from sdg_assets.teacher.embedder import embedder_of
from sdg_assets.teacher.log.completions import damage_of
from sdg_assets.teacher.unasked import Unasked
from sdg_assets.thresholds import Thresholds, overridden


@dataclass(frozen=True, kw_only=True)
class PartitionInputs:
    """What a partition is made of: its subtask, the rows of the stages above, and the settings."""

    spec: SubtaskSpec
    store: Store
    """The store, with the partition's inputs pinned: every read returns the same version."""
    settings: Settings

    def key(self, stage: Stage) -> PartitionKey:
        """The key of a stage of this subtask in the store."""
        return key_of(self.spec, stage)

    def read(self, stage: Stage, record: type[RecordT]) -> Iterator[RecordT]:
        """Streams the accepted rows of a stage of this subtask; raises as `Store.read` does."""
        return self.store.read(self.key(stage), record)

    def solver_knobs(self, config: SolverConfig) -> SolverKnobs:
        """The solver's knobs, with the passages of the store if the settings name some.

        Raises:
            StoreError: The store does not hold these passages.
        """
        index = passage_index(self.store, self.settings.passages)
        return replace(config.knobs(self.settings), passages=index)

    def writer_knobs(self, config: WriterConfig) -> WriterKnobs:
        """The writer's knobs, with the passages that questions are asked about, if there are some.

        Raises:
            StoreError: The store does not hold these passages.
        """
        setting = self.settings.passages if self.settings.passage_questions else None
        index = passage_index(self.store, setting)
        return replace(config.knobs(self.settings), passages=index)

    def judge(self, desks: Mapping[Role, Desk], seeds: Mapping[str, Example]) -> Judge | None:
        """The judge; None if the settings name no judge.

        Args:
            desks: The desks of the partition.
            seeds: Seed id → seed, for the seeds of the rows to judge.
        """
        return judge_of(desks, self.spec, seeds, self.settings)


@dataclass(frozen=True, kw_only=True)
class PartitionContext(PartitionInputs):
    """One partition of one stage, in one run.

    `assets.factory` creates it. Code that receives it must not read the environment.
    """

    step: dg.AssetExecutionContext
    """Dagster's context of the step, with its log and its run."""
    stage: Stage
    catalog: Catalog
    pool: Pool
    """The processes that make rows; this one alone for a stage without a fill."""
    counts: Counts
    """What the step counts, for Prometheus."""
    filled: FillReport | None = None
    """How other processes have filled the partition; its teachers are not asked then."""
    budget: Budget | None = None
    """The tokens that the run may still spend; None: no limit."""

    @cached_property
    def thresholds(self) -> Thresholds:
        """The gates' thresholds: the defaults, overridden by the settings, then the catalog."""
        return overridden(self.settings.gates, self.spec.gates)

    @cached_property
    def guard(self) -> HeldoutGuard:
        """The comparison of the partition's rows with all held-out rows.

        Raises:
            StoreError: The subtask's held-out splits or a protected benchmark are not hashed.
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
    def paraphrases(self) -> Paraphrases | None:
        """The gate that compares questions by their embeddings; None without an embedder.

        Raises:
            StoreError: The held-out questions have no embeddings of this embedder.
        """
        embedder = embedder_of(self.settings)
        if embedder is None:
            return None
        own = f"{self.spec.task}/{self.spec.key}"
        index = embedded(self.store, self.guard.against, own, embedder.name)
        return Paraphrases(index, embedder, self.thresholds.of(ParaphraseThresholds))

    @cached_property
    def source(self) -> SeedSource:
        """The source of raw rows."""
        return open_source(self.settings.seed_source)

    def progress(self, total: int) -> Progress:
        """Reports progress in a bar and in the log, for work that yields `total` results."""
        return Progress(self.step, self.spec.key, total)

    @contextmanager
    def desks(self, *roles: Role) -> Iterator[dict[Role, Desk]]:
        """Opens the desks of the given roles; there is none for a judge that nobody plays.

        Damaged lines of a completion log are logged as a warning, and requested again.
        """
        active_roles = played(roles, self.settings)
        with desks_of(self.store, self.spec, active_roles, self.settings) as desks:
            for desk in desks.values():
                if desk.log.damaged:
                    self.step.log.warning(damage_of(desk.log))
            if self.filled:
                name = f"{self.spec.task}/{self.spec.key}"
                missing = partial(self.filled.missing, name)
                desks = {
                    role: Desk(Unasked(desk.teacher, missing), desk.log, is_final=True)
                    for role, desk in desks.items()
                }
            yield desks

    def publish(
        self,
        rows: Iterable[Record],
        config: StageConfig,
        *,
        usage: Usage | None = None,
        seeds_requested: int | None = None,
        signatures: Callable[[], Signatures] | None = None,
    ) -> PartitionReport:
        """Writes the partition, and publishes it if its blocking checks pass.

        The manifest of a gated stage contains the contamination gate's report.

        Args:
            rows: Accepted and refused rows, as the stage yields them. Rows of a gated stage must
                have gone through `guard.gate`.
            config: The run config of the stage.
            usage: The teachers' usage, filled while `rows` is consumed; None for a stage without
                teachers.
            seeds_requested: Number of seeds requested; only for the stage that reads seeds.
            signatures: Called after the last row; returns the accepted rows' signatures, which
                are published with the rows.

        Raises:
            InvariantBrokenError: See `write_partition`.
        """
        info: dict[str, Any] = {}
        guard = self.guard if STAGES[self.stage].is_gated_against_benchmarks else None
        paraphrases = self.paraphrases if self.stage is Stage.FILTERED else None

        def rows_then_report() -> Iterator[Record]:
            yield from rows
            if guard:
                info["contamination"] = guard.report()
            if paraphrases:
                info[PARAPHRASES] = paraphrases.record()

        key = self.key(self.stage)
        with self.counts.writing(key) as observe:
            report = write_partition(
                key,
                self.store,
                rows_then_report(),
                min_yield=self.settings.min_yield,
                usage=usage,
                thresholds=self.thresholds,
                heldout=guard.separate_gate() if guard else None,
                info=info,
                signatures=signatures,
                seeds_requested=seeds_requested,
                accept_smaller=bool(config.accept_smaller),
                observe=observe,
            )
        report.metadata |= cost_metadata(
            self._costs(), report.metadata["rows"], PriceList.of(self.settings)
        )
        knobs = effective_knobs(config, self.settings, self.thresholds)
        report.metadata["knobs"] = knobs_text(knobs)
        if guard:
            report.metadata |= contamination_metadata(info["contamination"])
        if url := self.settings.browse_url:
            names = (self.spec.task, self.spec.key, self.stage.value)
            report.metadata["browse"] = dg.MetadataValue.url(rows_url(url, *names))
        if paraphrases:
            report.metadata |= paraphrase_metadata(info[PARAPHRASES])
        return report

    def _costs(self) -> list[Cost]:
        """What the published rows cost, with the stages above."""
        stages = ROW_STAGES[: ROW_STAGES.index(self.stage) + 1]
        published = self.store.manifests(self.key(stage) for stage in stages)
        return costs_of({Stage(key.stage): manifest for key, manifest in published.items()})
