"""Verifies a row by blind votes, and keeps the reasoning of one of them.

Verification and reasoning need only one batch of requests: the best agreeing trace is kept as the
reasoning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sdg_assets.enrichment.asking import as_declared, declared_prompts
from sdg_assets.enrichment.base import EnrichmentContext
from sdg_assets.enrichment.condensed import best_thought
from sdg_assets.enrichment.correction import Correction, correction
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.votes import Ballot, best_trace, cast_votes, decide, tally
from sdg_assets.gates import Gate
from sdg_assets.records import EnrichedExample, GeneratedExample, Proof, Role, Vote
from sdg_assets.teacher.conversation import Work


@dataclass(frozen=True)
class Verification:
    """The verified row, the votes on it, and the correction that they made, if any."""

    row: EnrichedExample
    ballots: Sequence[Ballot]
    correction: Correction | None


def verification(
    example: GeneratedExample,
    proof: Proof | None,
    context: EnrichmentContext,
    judge: Judge | None,
    gates: Sequence[Gate],
) -> Work[Verification]:
    """Has a row answered blind, corrects it if a strong majority disagrees, and decides.

    Args:
        example: The row as it was written.
        proof: For a program, what its tests can detect.
        context: The context of the partition.
        judge: Compares prose answers; if None, their words are compared.
        gates: The gates of `gates.draft_gates`, which a corrected row must pass like a written one.
    """
    knobs, solver = context.knobs, context.teachers[Role.SOLVER]
    voting = cast_votes(example, solver, knobs, judge)
    declared = list(declared_prompts(example.answer_kind, context.judge_api))
    ballots, same = yield from as_declared(voting, "voting", declared)
    groups = tally(example.answer, [b.answer for b in ballots], same)
    outcome = decide(example.answer, groups, knobs.votes, knobs.majority, same)
    content: dict[str, Any] = dict(example)
    corrected = None
    if outcome == "majority_disagrees":
        corrected = correction(example, groups, knobs, gates)
    if corrected:
        content |= corrected.changes
        proof = corrected.proof
    agreeing = [b for b in ballots if b.answer is not None and same(b.answer, content["answer"])]
    row = EnrichedExample(
        **content,
        reasoning=best_trace(agreeing, example, context.gates)
        if example.answer_kind.policy.keeps_trace
        else "",
        thought=best_thought(agreeing, knobs),
        votes=[Vote(answer=answer, count=count) for answer, count in groups],
        votes_cast=len(ballots),
        vote_share=len(agreeing) / len(ballots) if ballots else 0.0,
        outcome=outcome,
        proof=proof,
        solver=solver.identity.stamp,
    )
    if not row.verified:
        row = row.model_copy(update={"reasoning": "", "thought": ""})
    if row.reasoning:
        row = row.model_copy(update={"reasoning_from": "answer"})
    return Verification(row, ballots, corrected)


def unasked(example: GeneratedExample, proof: Proof, context: EnrichmentContext) -> EnrichedExample:
    """A row whose tests prove nothing; no votes are requested, as they would mean nothing."""
    return EnrichedExample(
        **dict(example),
        votes=[],
        votes_cast=0,
        vote_share=0.0,
        outcome="vacuous_tests",
        proof=proof,
        solver=context.teachers[Role.SOLVER].identity.stamp,
    )
