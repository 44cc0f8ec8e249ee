"""Stage 4: verifies each row by blind votes, then runs every enrichment on the verified rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sdg_assets.answers import answer_format
from sdg_assets.enrichment.additions import with_additions
from sdg_assets.enrichment.base import Enrichment, EnrichmentContext, enrichments
from sdg_assets.enrichment.condensed import without_raw_thought
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.verification import unasked, verification
from sdg_assets.enrichment.votes import VotingReport
from sdg_assets.gates import Gate, draft_gates, text_gates
from sdg_assets.records import EnrichedExample, GeneratedExample, Proof, Rejection, Role
from sdg_assets.teacher.control_tokens import control_token_of
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.requests import Teacher
from sdg_assets.thresholds import DEFAULTS, Thresholds

GATE = "enrichment"


@dataclass
class EnrichmentReport:
    """Cost and results of enrichment over the rows of a partition."""

    voting: VotingReport = field(default_factory=VotingReport)
    corrected: int = 0
    added: Counter[str] = field(default_factory=Counter)
    """Counters of the enrichments, such as `knowledge_written`."""
    proofs: Counter[str] = field(default_factory=Counter)
    """Mutants tried and killed, and rows whose tests are vacuous or expect a single value."""

    def note(self, proof: Proof | None) -> None:
        """Adds the mutation results of a row's tests; None for rows without tests."""
        if proof:
            self.proofs.update(mutants_tried=proof.mutants, mutants_killed=proof.killed)
            self.proofs["rows_with_vacuous_tests"] += bool(proof.fault)
            self.proofs["rows_whose_tests_expect_one_value"] += "constant" in proof.alike

    def numbers(self) -> dict[str, float]:
        """All counters in one flat mapping, as shown in a partition's metadata."""
        return {
            "votes_cast": self.voting.cast,
            "votes_planned": self.voting.planned,
            "vote_tokens": self.voting.tokens,
            "vote_tokens_saved": self.voting.tokens_saved,
            "answers_corrected": self.corrected,
            **self.proofs,
            **dict(sorted(self.added.items())),
        }


def enrich(
    examples: Iterable[GeneratedExample],
    solver: Teacher,
    knobs: SolverKnobs,
    judge: Judge | None = None,
    report: EnrichmentReport | None = None,
    thresholds: Thresholds = DEFAULTS,
) -> Iterator[Work[EnrichedExample | Rejection]]:
    """Creates one piece of work for each generated example.

    Args:
        examples: Rows of `generated`.
        solver: The teacher that answers the questions.
        knobs: The number of votes and the lengths of answers.
        judge: The teacher that scores verified rows and decides whether prose answers agree.
            Without it, rows get no scores and prose answers are compared by word overlap.
        report: Filled while rows are finished.
        thresholds: The thresholds of the gates that a corrected row must pass like a written one.

    Yields:
        Work for `converse`. Its result is an `EnrichedExample` with the outcome of the votes; the
        gates of `filtered` decide about it. A row with a control token of the solver or the judge
        is sent to no teacher: its result is a `Rejection` by gate `enrichment`.
    """
    report, context = report or EnrichmentReport(), _context(solver, knobs, judge, thresholds)
    gates, installed = draft_gates(thresholds), enrichments()
    readers = [teacher.control_tokens for teacher in context.teachers.values()]
    for example in examples:
        if token := control_token_of(example, readers):
            yield _refused(example, token)
        else:
            yield _enriched(example, context, judge, gates, installed, report)


def _context(
    solver: Teacher, knobs: SolverKnobs, judge: Judge | None, thresholds: Thresholds
) -> EnrichmentContext:
    gates = text_gates(thresholds)
    if judge is None:
        solving = {Role.SOLVER: knobs.thinking}
        return EnrichmentContext({Role.SOLVER: solver}, knobs, gates, thinking=solving)
    teachers = {Role.SOLVER: solver, Role.JUDGE: judge.teacher}
    thinking = {Role.SOLVER: knobs.thinking, Role.JUDGE: judge.thinking}
    return EnrichmentContext(teachers, knobs, gates, judge.api, judge.frame, judge.seeds, thinking)


def _refused(example: GeneratedExample, token: str) -> Work[EnrichedExample | Rejection]:
    """Work without requests that refuses the row."""
    yield from ()
    return Rejection(
        gate=GATE,
        reason="control token",
        detail=f"{token!r} controls a model",
        row=example.model_dump(mode="json"),
    )


def _enriched(
    example: GeneratedExample,
    context: EnrichmentContext,
    judge: Judge | None,
    gates: Sequence[Gate],
    installed: Sequence[Enrichment],
    report: EnrichmentReport,
) -> Work[EnrichedExample]:
    proof = answer_format(example.answer_kind).proof(example)
    report.note(proof)
    if proof and proof.fault:
        return unasked(example, proof, context)
    verified = yield from verification(example, proof, context, judge, gates)
    report.voting.count(verified.ballots, context.knobs.votes)
    if verified.correction:
        report.note(verified.correction.proof)
        report.corrected += 1
    if not verified.row.verified:
        return verified.row
    row = yield from with_additions(verified.row, installed, context, report.added)
    return without_raw_thought(row, context)
