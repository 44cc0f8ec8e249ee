"""Takes a few rows of a subtask through all stages, and keeps what happens to each.

The stages' own functions run, one after the other, on these rows only. The prompts are those of a
run over all seeds: neighbours are drawn from all of them, and drafts are compared with all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.probe import Probe
from sdg_assets.gates import Batch, Gate, all_gates, set_gates
from sdg_assets.records import (
    EnrichedExample,
    Example,
    GeneratedExample,
    Record,
    Refusal,
    Rejection,
    Role,
    Seed,
    Stage,
)
from sdg_assets.stages import enriched, generated
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.stages.generated import WriterKnobs, Writing
from sdg_assets.stages.normalized import normalize, without_refused
from sdg_assets.stages.seed_index import SeedCopies
from sdg_assets.stages.stage import ROW_STAGES, key_of
from sdg_assets.store.partitions import Store
from sdg_assets.teacher.conversation import Desks, Usage, observed
from sdg_assets.teacher.requests import Completion, Request, TeacherIdentity
from sdg_assets.teacher.stream import converse
from sdg_assets.thresholds import Thresholds

Progress = Callable[[int, Usage], None]


@dataclass(frozen=True)
class Exchange:
    """A request to a teacher and its raw answer."""

    request: Request
    completion: Completion


@dataclass(eq=False)
class TriedRow:
    """One row with every intermediate; None stands for a stage that it did not reach."""

    seed: Seed
    normalized: Example | Rejection
    written: list[Exchange] = field(default_factory=list)
    """What the writer was asked, and answered."""
    draft: GeneratedExample | Rejection | None = None
    solved: list[Exchange] = field(default_factory=list)
    """What the solver, the judge and the probe were asked, and answered."""
    enriched: EnrichedExample | Rejection | None = None
    verdicts: dict[str, Refusal | None] = field(default_factory=dict)
    """Gate → its refusal; None: it lets the row pass. A gate that did not test it is left out."""
    filtered: EnrichedExample | Rejection | None = None

    def result(self, stage: Stage) -> Record | None:
        """What a stage made of the row: a record or a `Rejection`; None if it did not get there."""
        results: dict[Stage, Record | None] = {
            Stage.SEEDS: self.seed,
            Stage.NORMALIZED: self.normalized,
            Stage.GENERATED: self.draft,
            Stage.ENRICHED: self.enriched,
            Stage.FILTERED: self.filtered,
        }
        return results[stage]

    def exchanges(self, stage: Stage) -> Sequence[Exchange]:
        """What a stage asked for this row."""
        return {Stage.GENERATED: self.written, Stage.ENRICHED: self.solved}.get(stage, [])

    @property
    def question(self) -> str:
        """The newest question: the new example's, or else the seed's; empty if there is none."""
        for stage in reversed(ROW_STAGES):
            result = self.result(stage)
            if isinstance(result, Example):
                return result.question
            if isinstance(result, Rejection) and result.row.get("question"):
                return str(result.row["question"])
        return ""

    @property
    def refusal(self) -> tuple[Stage, Rejection] | None:
        """The stage that refused the row, with the reason; None if it was accepted."""
        results = ((stage, self.result(stage)) for stage in ROW_STAGES)
        return next(((s, result) for s, result in results if isinstance(result, Rejection)), None)

    @property
    def is_accepted(self) -> bool:
        """Whether every gate let the row pass."""
        return isinstance(self.filtered, EnrichedExample)


@dataclass(frozen=True)
class StageCount:
    """What one stage did with the rows.

    Attributes:
        stage: The stage.
        rows_in: Rows that it got.
        accepted: Rows that it passed on.
        refused: Refused rows by "gate: reason".
        usage: The teachers' work; None for a stage without teachers.
    """

    stage: Stage
    rows_in: int
    accepted: int
    refused: Counter[str]
    usage: Usage | None


class Tryout:
    """The rows of a subtask that are tried, stage by stage."""

    def __init__(
        self,
        spec: SubtaskSpec,
        rows: Sequence[TriedRow],
        seeds: Iterable[Example],
        thresholds: Thresholds,
    ) -> None:
        """Joins the rows' examples to all others.

        Args:
            spec: The subtask.
            rows: From `normalized_rows`.
            seeds: The subtask's normalized examples, or the first of them by rank.
            thresholds: The thresholds of all gates.
        """
        self.spec, self.rows, self._thresholds = spec, rows, thresholds
        own = [row.normalized for row in rows if isinstance(row.normalized, Example)]
        refused = {_id_of(row.normalized) for row in rows} - {seed.id for seed in own}
        known = {seed.id: seed for seed in [*seeds, *own] if seed.id not in refused}
        self.seeds = sorted(known.values(), key=lambda seed: seed.source.row)
        self.usages: dict[Stage, Usage] = {}
        self.teachers: dict[Role, TeacherIdentity] = {}
        self.report = EnrichmentReport()

    def write(
        self,
        desks: Desks,
        knobs: WriterKnobs,
        concurrency: int | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Has one new example written after each normalized row.

        Args:
            desks: Holds the writer.
            knobs: The writer's settings.
            concurrency: See `converse`.
            on_progress: See `Feed`.

        Raises:
            SdgError: The teacher cannot be used, or failed.
        """
        writer = desks[Role.WRITER].teacher
        writing = Writing(self.spec, self.seeds, writer, knobs)
        unwritable = {_id_of(rejection): rejection for rejection in writing.refused}
        places = {seed.id: place for place, seed in enumerate(self.seeds)}
        to_write, works = [], []
        for row in self.rows:
            if isinstance(row.normalized, Rejection):
                continue
            if row.normalized.id in unwritable:
                row.draft = unwritable[row.normalized.id]
                continue
            to_write.append(row)
            work = writing.work((places[row.normalized.id], 0))
            works.append(observed(work, _adding_to(row.written)))
        usage = self._begun(Stage.GENERATED, desks)
        written = converse(works, desks, usage, concurrency=concurrency, on_progress=on_progress)
        copies = SeedCopies(self.seeds)
        drafts = generated.publish(self.spec, copies, written, writer, self._thresholds)
        for row, draft in zip(to_write, drafts, strict=True):
            row.draft = draft

    def solve(
        self,
        desks: Desks,
        knobs: SolverKnobs,
        judge: Judge | None,
        probe: Probe | None,
        concurrency: int | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Has each draft solved, and enriched if its answer is verified.

        Args:
            desks: Holds the solver, and the judge and the probe if there are any.
            knobs: The solver's settings.
            judge: As for `enriched.enrich`.
            probe: As for `enriched.enrich`.
            concurrency: See `converse`.
            on_progress: See `Feed`.

        Raises:
            SdgError: A teacher cannot be used, or failed.
        """
        drafts = [(row, row.draft) for row in self.rows if isinstance(row.draft, GeneratedExample)]
        solver = desks[Role.SOLVER].teacher
        works = enriched.enrich((draft for _, draft in drafts), solver, knobs, judge, probe)
        solved = converse(
            (
                observed(work, _adding_to(row.solved))
                for (row, _), work in zip(drafts, works, strict=True)
            ),
            desks,
            self._begun(Stage.ENRICHED, desks),
            concurrency=concurrency,
            on_progress=on_progress,
            runs_programs=self.spec.answer_kind.policy.runs_programs,
        )
        context = enriched.context_of(solver, knobs, judge, probe)
        results = enriched.publish(solved, context, self.report, self._thresholds)
        for (row, _), result in zip(drafts, results, strict=True):
            row.enriched = result

    def filter(self, gates: Sequence[Gate]) -> None:
        """Tests each enriched row with every gate, and then as `filtered` does.

        Args:
            gates: From `gates.row_gates`.
        """
        tried = [row for row in self.rows if isinstance(row.enriched, EnrichedExample)]
        examples = [row.enriched for row in tried if isinstance(row.enriched, EnrichedExample)]
        if not examples:
            return
        for gate in gates:
            refusals = gate.refusals(Batch(examples))
            for place, row in enumerate(tried):
                row.verdicts[gate.name] = refusals.get(place)
        sets = set_gates(self._thresholds, lambda: self.seeds)
        results = filter_rows(lambda: examples, gates, sets)
        for row, result in zip(tried, results, strict=True):
            row.filtered = result
            row.verdicts |= _verdicts_over_sets(result)

    def counts(self) -> list[StageCount]:
        """What each stage did with the rows, in order."""
        return [self._count(stage) for stage in ROW_STAGES]

    def keep(self, store: Store) -> None:
        """Writes the rows of each stage into a store, so that they can be looked at there.

        Args:
            store: A scratch store: what it holds of these partitions is replaced.

        Raises:
            StoreError: The disk is full, or may not be written.
        """
        for stage in ROW_STAGES:
            with store.write(key_of(self.spec, stage)) as out:
                for result in self._results(stage):
                    out.put(result)
                usage = self.usages.get(stage)
                out.info = {"usage": usage.plain() if usage else {}}
                if stage is Stage.ENRICHED:
                    rows = (row.enriched for row in self.rows)
                    out.info["verified"] = sum(
                        row.verified for row in rows if isinstance(row, EnrichedExample)
                    )

    def _begun(self, stage: Stage, desks: Desks) -> Usage:
        """The usage of a stage, which its teachers fill."""
        self.teachers |= {role: desk.teacher.identity for role, desk in desks.items()}
        return self.usages.setdefault(stage, Usage())

    def _results(self, stage: Stage) -> Iterator[Record]:
        if stage is Stage.SEEDS:  # several rows may come from one seed
            yield from {row.seed.source.row: row.seed for row in self.rows}.values()
            return
        results = (row.result(stage) for row in self.rows)
        yield from (result for result in results if result is not None)

    def _count(self, stage: Stage) -> StageCount:
        results = list(self._results(stage))
        refused = Counter(f"{r.gate}: {r.reason}" for r in results if isinstance(r, Rejection))
        accepted = len(results) - refused.total()
        return StageCount(stage, len(results), accepted, refused, self.usages.get(stage))


def normalized_rows(
    spec: SubtaskSpec,
    seeds: Sequence[Seed],
    most: int,
    gates: Sequence[Gate],
    seeded_elsewhere: Callable[[Example], str | None] | None = None,
) -> list[TriedRow]:
    """Maps seeds as `normalized` does.

    Args:
        spec: The subtask.
        seeds: Some of its raw rows.
        most: The number of rows to try: one seed may hold several.
        gates: From `gates.seed_gates`.
        seeded_elsewhere: See `normalize`.

    Raises:
        CatalogError: The mapping fits none of the seeds.
    """
    by_row = {seed.source.row: seed for seed in seeds}
    results = without_refused(normalize(spec, seeds, seeded_elsewhere), gates)
    return [TriedRow(by_row[_source_row(result)], result) for result in results][:most]


def _verdicts_over_sets(result: EnrichedExample | Rejection) -> dict[str, Refusal | None]:
    """What the gates over the set said: they test the rows that all gates before them accept."""
    names = [spec.name for spec in all_gates() if spec.build_set]
    if not isinstance(result, Rejection):
        return dict.fromkeys(names)
    if result.gate not in names:
        return {}
    refusal = Refusal(result.gate, result.reason, result.detail)
    return {**dict.fromkeys(names[: names.index(result.gate)]), result.gate: refusal}


def _adding_to(exchanges: list[Exchange]) -> Callable[[list[Request], list[Completion]], None]:
    def add(requests: Collection[Request], completions: Collection[Completion]) -> None:
        exchanges.extend(map(Exchange, requests, completions))

    return add


def _source_row(result: Example | Rejection) -> int:
    """The position of a result's raw row in the split."""
    if isinstance(result, Rejection):
        return int(result.row["source"]["row"])
    return result.source.row


def _id_of(result: Example | Rejection) -> str:
    """The example's id; empty if a raw row was refused."""
    return str(result.row.get("id", "")) if isinstance(result, Rejection) else result.id
