"""Stage 4: verifies each row by blind votes, then runs every enrichment on the verified rows.

`enrich` asks (the fill of the stage), `publish` tests what was added and builds the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from more_itertools import chunked

from sdg_assets.answers import answer_format
from sdg_assets.enrichment.additions import additions, with_additions
from sdg_assets.enrichment.base import Enrichment, EnrichmentContext, enrichments
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.probe import Probe
from sdg_assets.enrichment.reading import first_that_reads_well, without_faults
from sdg_assets.enrichment.verification import Verification, kept_traces, unasked, verification
from sdg_assets.enrichment.votes import VotingReport
from sdg_assets.gates import draft_gates, first_refusals, text_gates
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.records import EnrichedExample, GeneratedExample, Proof, Rejection, Role
from sdg_assets.teacher.control_tokens import control_token_of
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.requests import TeacherFacts
from sdg_assets.teacher.share import WHOLE, Share
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

    def merge(self, other: EnrichmentReport) -> None:
        """Adds the report on other rows."""
        self.voting.merge(other.voting)
        self.corrected += other.corrected
        self.added.update(other.added)
        self.proofs.update(other.proofs)

    def numbers(self) -> dict[str, float]:
        """All counters in one flat mapping, as shown in a partition's metadata."""
        return {
            "votes_cast": self.voting.cast,
            "votes_cut_off": self.voting.cut_off,
            "votes_planned": self.voting.planned,
            "vote_tokens": self.voting.tokens,
            "vote_tokens_saved": self.voting.tokens_saved,
            "answers_corrected": self.corrected,
            **self.proofs,
            **dict(sorted(self.added.items())),
        }


@dataclass(frozen=True)
class Solved:
    """What teachers said about one row: the votes, and what the enrichments add."""

    example: GeneratedExample
    proof: Proof | None
    """For a program, what its tests can detect."""
    verified: Verification | None = None
    """None if the row's tests prove nothing: no votes are requested, as they would mean nothing."""
    added: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def enrich(
    examples: Iterable[GeneratedExample],
    solver: TeacherFacts,
    knobs: SolverKnobs,
    judge: Judge | None = None,
    probe: Probe | None = None,
    *,
    share: Share = WHOLE,
) -> Iterator[Work[Solved | Rejection]]:
    """Creates one piece of work for each generated example.

    Args:
        examples: Rows of `generated`.
        solver: The teacher that answers the questions.
        knobs: The number of votes and the lengths of answers.
        judge: The teacher that scores verified rows and decides whether prose answers agree.
            Without it, rows get no scores and prose answers are compared by word overlap.
        probe: The weaker teacher whose answers measure how hard a row is; None for none.
        share: The rows that this process fills.

    Yields:
        Work for `fill` and `replay`; its results are for `publish`. A row with a control token of
        one of these teachers is sent to none of them: its result is a `Rejection` by gate
        `enrichment`.
    """
    context, installed = context_of(solver, knobs, judge, probe), enrichments()
    readers = [teacher.control_tokens for teacher in context.teachers.values()]
    for example in filter(lambda row: share.holds(row.id), examples):
        if token := control_token_of(example, readers):
            yield _refused(example, token)
        else:
            yield _solved(example, context, judge, installed)


def publish(
    results: Iterable[Solved | Rejection],
    context: EnrichmentContext,
    report: EnrichmentReport | None = None,
    thresholds: Thresholds = DEFAULTS,
) -> Iterator[EnrichedExample | Rejection]:
    """Turns votes and added texts into rows, and tests the texts in batches.

    Args:
        results: The results of `enrich`.
        context: From `context_of`.
        report: Filled while rows are built.
        thresholds: The thresholds of the gates that corrected rows and added texts must pass.

    Yields:
        For each result, in order, an `EnrichedExample` with the outcome of the votes; the gates of
        `filtered` decide about it. Or the `Rejection`.
    """
    report, installed = report or EnrichmentReport(), enrichments()
    for batch in chunked(results, ROWS_PER_BATCH):
        solved = [result for result in batch if isinstance(result, Solved)]
        rows = iter(_rows(solved, context, installed, report, thresholds))
        for result in batch:
            yield result if isinstance(result, Rejection) else next(rows)


def context_of(
    solver: TeacherFacts,
    knobs: SolverKnobs,
    judge: Judge | None = None,
    probe: Probe | None = None,
) -> EnrichmentContext:
    """What the enrichments of a partition may use.

    Args:
        solver: The teacher that answers the questions.
        knobs: The number of votes and the lengths of answers.
        judge: The judge; None for none.
        probe: The probe; None for none.
    """
    teachers, thinking = {Role.SOLVER: solver}, {Role.SOLVER: knobs.thinking}
    if probe:
        teachers[Role.PROBE], thinking[Role.PROBE] = probe.teacher, probe.thinking
    if judge is None:
        return EnrichmentContext(teachers, knobs, thinking=thinking)
    teachers[Role.JUDGE], thinking[Role.JUDGE] = judge.teacher, judge.thinking
    return EnrichmentContext(teachers, knobs, judge.api, judge.frame, judge.seeds, thinking)


def _refused(example: GeneratedExample, token: str) -> Work[Solved | Rejection]:
    """Work without requests that refuses the row."""
    yield from ()
    return Rejection(
        gate=GATE,
        reason="control token",
        detail=f"{token!r} controls a model",
        row=example.model_dump(mode="json"),
    )


def _solved(
    example: GeneratedExample,
    context: EnrichmentContext,
    judge: Judge | None,
    installed: Sequence[Enrichment],
) -> Work[Solved]:
    if judge:
        judge.check_writer(example)
    proof = answer_format(example.answer_kind).proof(example)
    if proof and proof.fault:
        return Solved(example, proof)
    verified = yield from verification(example, proof, context, judge)
    if not verified.row.verified:
        return Solved(example, proof, verified)
    added = yield from additions(verified.row, installed, context)
    return Solved(example, proof, verified, added)


def _rows(
    solved: Sequence[Solved],
    context: EnrichmentContext,
    installed: Sequence[Enrichment],
    report: EnrichmentReport,
    thresholds: Thresholds,
) -> Iterator[EnrichedExample]:
    """The rows of one batch, in order."""
    corrected = [s.verified.row for s in solved if s.verified and s.verified.correction]
    refused = first_refusals(corrected, draft_gates(thresholds))
    ids = {row.id for place, row in enumerate(corrected) if place not in refused}
    standing = [_standing(each, ids) for each in solved]
    verified = [(place, row) for place, row in enumerate(standing) if row and row.verified]
    gates = text_gates(thresholds)
    reasoning = first_that_reads_well(
        [(row, _traces(row, solved[place])) for place, row in verified], gates
    )
    # A raw thought is kept only if the settings ask for it; else it was there to be condensed.
    thoughts = first_that_reads_well(
        [(row, [row.thought] if context.knobs.keep_thoughts else []) for _, row in verified], gates
    )
    added = without_faults(
        [(row, solved[place].added) for place, row in verified], installed, gates
    )
    places = [place for place, _ in verified]
    texts = dict(zip(places, zip(reasoning, thoughts, added, strict=True), strict=True))
    for place, (each, row) in enumerate(zip(solved, standing, strict=True)):
        report.note(each.proof)
        if each.verified is None or row is None:
            assert each.proof
            yield unasked(each.example, each.proof, context)
            continue
        report.voting.count(each.verified.ballots, context.knobs.votes)
        if row.written_answer:
            report.note(row.proof)
            report.corrected += 1
        if place in texts:
            trace, thought, fields = texts[place]
            source = "answer" if trace else ""
            read = {"reasoning": trace, "reasoning_from": source, "thought": thought}
            row = with_additions(row, read, fields, installed, context, report.added)
        yield row


def _standing(solved: Solved, accepted: Container[str]) -> EnrichedExample | None:
    """The row; without its correction if a gate refused the corrected one."""
    verified = solved.verified
    if verified is None:
        return None
    if verified.correction and verified.row.id not in accepted:
        return verified.uncorrected
    return verified.row


def _traces(row: EnrichedExample, solved: Solved) -> Sequence[str]:
    return kept_traces(row, solved.verified.agreeing) if solved.verified else ()
