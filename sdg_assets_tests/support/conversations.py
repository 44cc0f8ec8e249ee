"""Runs a teacher stage on one partition: fills it, then publishes its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.probe import Probe
from sdg_assets.records import (
    EnrichedExample,
    Example,
    GeneratedExample,
    Rejection,
    Role,
)
from sdg_assets.stages import enriched, generated
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.seed_index import SeedCopies
from sdg_assets.teacher.conversation import Desk, Usage
from sdg_assets.teacher.stream import converse
from sdg_assets.thresholds import DEFAULTS, Thresholds


def written_by(
    desk: Desk,
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    knobs: WriterKnobs,
    thresholds: Thresholds = DEFAULTS,
) -> list[GeneratedExample | Rejection]:
    """The rows of `generated`."""
    works = generated.write(spec, seeds, desk.teacher, knobs)
    results = converse(works, {Role.WRITER: desk}, Usage())
    return list(generated.publish(spec, SeedCopies(seeds), results, desk.teacher, thresholds))


def enriched_with(
    desks: Mapping[Role, Desk],
    rows: Iterable[GeneratedExample],
    knobs: SolverKnobs,
    judge: Judge | None = None,
    report: EnrichmentReport | None = None,
    usage: Usage | None = None,
    probe: Probe | None = None,
) -> list[EnrichedExample | Rejection]:
    """The rows of `enriched`."""
    solver = desks[Role.SOLVER].teacher
    results = converse(enriched.enrich(rows, solver, knobs, judge, probe), desks, usage or Usage())
    context = enriched.context_of(solver, knobs, judge, probe)
    return list(enriched.publish(results, context, report))
