"""Stage 4: answer blind, vote, keep the best trace, and ask every enrichment about verified rows.

Verification and reasoning are one batch: the best trace that agrees is the reasoning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.answers import answer_format
from sdg_assets.enrichment.additions import with_additions
from sdg_assets.enrichment.asking import as_declared, declared_prompts
from sdg_assets.enrichment.base import Enrichment, EnrichmentContext, enrichments
from sdg_assets.enrichment.correction import correction
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.votes import VotingReport, best_trace, cast_votes, decide, tally
from sdg_assets.gates import Gate, draft_gates, text_gates
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    GeneratedExample,
    Proof,
    Rejection,
    Role,
    Vote,
)
from sdg_assets.teacher.control_tokens import control_token_of
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.requests import Teacher
from sdg_assets.thresholds import DEFAULTS, Thresholds

GATE = "enrichment"


@dataclass
class EnrichmentReport:
    """What enrichment cost and what it did, over the rows of a partition."""

    voting: VotingReport = field(default_factory=VotingReport)
    corrected: int = 0
    added: Counter[str] = field(default_factory=Counter)
    """What the enrichments count, such as `knowledge_written`."""
    proofs: Counter[str] = field(default_factory=Counter)
    """Mutants tried and killed, and rows whose tests are vacuous or expect one value alone."""

    def note(self, proof: Proof | None) -> None:
        """Adds what the tests of a row can tell."""
        if proof:
            self.proofs.update(mutants_tried=proof.mutants, mutants_killed=proof.killed)
            self.proofs["rows_with_vacuous_tests"] += bool(proof.fault)
            self.proofs["rows_whose_tests_expect_one_value"] += "constant" in proof.alike

    def numbers(self) -> dict[str, float]:
        """Flat numbers, as a partition's metadata shows them."""
        return {
            "votes_cast": self.voting.cast,
            "votes_planned": self.voting.planned,
            "vote_tokens": self.voting.tokens,
            "vote_tokens_saved": self.voting.tokens_saved,
            "answers_corrected": self.corrected,
            **self.proofs,
            **dict(sorted(self.added.items())),
        }


@dataclass(frozen=True)
class _Partition:
    """What all rows of a partition are enriched with."""

    solver: Teacher
    knobs: SolverKnobs
    judge: Judge | None
    draft_gates: Sequence[Gate]
    enrichments: Sequence[Enrichment]
    context: EnrichmentContext
    report: EnrichmentReport


def enrich(
    examples: Iterable[GeneratedExample],
    solver: Teacher,
    knobs: SolverKnobs,
    judge: Judge | None = None,
    report: EnrichmentReport | None = None,
    thresholds: Thresholds = DEFAULTS,
) -> Iterator[Work[EnrichedExample | Rejection]]:
    """One piece of work for each generated example.

    Args:
        examples: Rows of `generated`.
        solver: The teacher that answers.
        knobs: Votes and lengths.
        judge: Scores verified rows, and says whether prose answers agree; None: neither is done.
        report: Filled as rows are finished.
        thresholds: Of the gates that a corrected row must pass like a written one.

    Yields:
        Work for `converse`; its result is an `EnrichedExample` with its outcome: the gates decide
        in `filtered`. A row that holds a control token of the solver or the judge is asked of
        nobody: its result is a `Rejection` by gate `enrichment`.
    """
    context = EnrichmentContext({Role.SOLVER: solver}, knobs, text_gates(thresholds))
    if judge:
        teachers = {Role.SOLVER: solver, Role.JUDGE: judge.teacher}
        context = EnrichmentContext(
            teachers, knobs, context.gates, judge.api, judge.frame, judge.seeds
        )
    partition = _Partition(
        solver,
        knobs,
        judge,
        draft_gates(thresholds),
        enrichments(),
        context,
        report or EnrichmentReport(),
    )
    readers = [teacher.control_tokens for teacher in context.teachers.values()]
    for example in examples:
        if token := control_token_of(example, readers):
            yield _refused(example, token)
        else:
            yield _enriched(example, partition)


def _refused(example: GeneratedExample, token: str) -> Work[EnrichedExample | Rejection]:
    """Work that asks nobody."""
    yield from ()
    return Rejection(
        gate=GATE,
        reason="control token",
        detail=f"{token!r} controls a model",
        row=example.model_dump(mode="json"),
    )


def _enriched(example: GeneratedExample, partition: _Partition) -> Work[EnrichedExample]:
    proof = answer_format(example.answer_kind).proof(example)
    partition.report.note(proof)
    if proof and proof.fault:  # whatever the votes say, it would mean nothing
        return _unasked(example, partition.solver, proof)
    row = yield from _voted(example, proof, partition)
    if not row.verified:
        return row.model_copy(update={"reasoning": ""})
    added = partition.report.added
    return (yield from with_additions(row, partition.enrichments, partition.context, added))


def _unasked(example: GeneratedExample, solver: Teacher, proof: Proof) -> EnrichedExample:
    """A row whose tests prove nothing, so that no vote is asked for."""
    return EnrichedExample(
        **dict(example),
        votes=[],
        votes_cast=0,
        vote_share=0.0,
        outcome="vacuous_tests",
        proof=proof,
        solver=solver.identity.stamp,
    )


def _voted(
    example: GeneratedExample, proof: Proof | None, partition: _Partition
) -> Work[EnrichedExample]:
    """The row with what the votes say, corrected where they say so, and its reasoning."""
    knobs, report, context = partition.knobs, partition.report, partition.context
    voting = cast_votes(example, partition.solver, knobs, partition.judge)
    declared = list(declared_prompts(example.answer_kind, context.judge_api))
    ballots, same = yield from as_declared(voting, "voting", declared)
    groups = tally(example.answer, [b.answer for b in ballots], same)
    outcome = decide(example.answer, groups, knobs.votes, knobs.majority, same)
    report.voting.count(ballots, knobs.votes)
    content: dict[str, Any] = dict(example)
    if outcome == "majority_disagrees" and (
        corrected := correction(example, groups, knobs, partition.draft_gates)
    ):
        content |= corrected.changes
        proof = corrected.proof
        report.note(proof)
        report.corrected += 1
    agreeing = [b for b in ballots if b.answer is not None and same(b.answer, content["answer"])]
    return EnrichedExample(
        **content,
        # Prose is answered, not reasoned about: a second wording of the answer is no reasoning.
        reasoning=""
        if example.answer_kind is AnswerKind.FREE_FORM
        else best_trace(agreeing, example, context.gates),
        votes=[Vote(answer=answer, count=count) for answer, count in groups],
        votes_cast=len(ballots),
        vote_share=len(agreeing) / len(ballots) if ballots else 0.0,
        outcome=outcome,
        proof=proof,
        solver=partition.solver.identity.stamp,
    )
