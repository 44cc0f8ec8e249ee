"""Verifies a row by blind votes, and keeps the reasoning of one of them.

Verification and reasoning need only one batch of requests: an agreeing trace is kept as the
reasoning. Nothing here tests how a row or a trace reads: that is done later, in batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdg_assets.enrichment import traces
from sdg_assets.enrichment.asking import as_declared, declared_prompts
from sdg_assets.enrichment.ballot import Ballot
from sdg_assets.enrichment.base import EnrichmentContext
from sdg_assets.enrichment.condensed import best_thought
from sdg_assets.enrichment.correction import Correction, correction
from sdg_assets.enrichment.judge import SCORING_APIS, Judge
from sdg_assets.enrichment.votes import cast_votes, decide, faults_of, tally
from sdg_assets.records import EnrichedExample, GeneratedExample, Proof, Role, Vote
from sdg_assets.teacher.conversation import Work


@dataclass(frozen=True)
class Verification:
    """What the votes say about a row, before any gate.

    Attributes:
        row: The row with the outcome; corrected if the votes corrected it.
        agreeing: The votes that agree with its answer.
        ballots: All votes.
        correction: The correction that the votes made, if any.
        uncorrected: The row without the correction.
    """

    row: EnrichedExample
    agreeing: Sequence[Ballot]
    ballots: Sequence[Ballot]
    correction: Correction | None = None
    uncorrected: EnrichedExample | None = None


def verification(
    example: GeneratedExample, proof: Proof | None, context: EnrichmentContext, judge: Judge | None
) -> Work[Verification]:
    """Has a row answered blind, corrects it if a strong majority disagrees, and decides.

    Args:
        example: The row as it was written.
        proof: For a program, what its tests can detect.
        context: The context of the partition.
        judge: Compares prose answers, and a verifier also short ones; if None, rules do.
    """
    knobs, solver = context.knobs, context.teachers[Role.SOLVER]
    voting = cast_votes(example, solver, knobs, judge)
    solver_class = solver.identity.teacher_class
    declared = declared_prompts(example.answer_kind, context.judge_api, solver_class)
    ballots, compared = yield from as_declared(voting, "voting", declared)
    same = compared.same
    groups = tally(example.answer, [b.answer for b in ballots], same)
    faults = faults_of(ballots)
    outcome = decide(example.answer, groups, knobs.votes, knobs.majority, same, faults)
    if outcome != "agreed" and compared.invalid > knobs.majority * knobs.votes:
        outcome = "invalid_answers"

    def decided(changes: Mapping[str, Any]) -> tuple[EnrichedExample, list[Ballot]]:
        content = {**vars(example), **changes}
        answer = content["answer"]
        agreeing = [b for b in ballots if b.answer is not None and same(b.answer, answer)]
        whole = len(ballots) - len(faults)
        row = EnrichedExample(
            **{
                "votes": [Vote(answer=vote, count=count) for vote, count in groups],
                "votes_cast": len(ballots),
                "votes_cut_off": len(faults),
                "vote_ids": [b.completion.request_id for b in ballots],
                "vote_share": len(agreeing) / whole if whole else 0.0,
                "outcome": outcome,
                "proof": proof,
                "solver": solver.identity.stamp,
                "equivalence": compared.equivalence,
                **content,
            }
        )
        if not row.verified:
            return row, agreeing
        texts = {"thought": best_thought(agreeing, knobs)}
        if judge and judge.api in SCORING_APIS:  # a reward model reads the reasoning
            texts["reasoning"] = next(iter(kept_traces(row, agreeing)), "")
        added = {name: text for name, text in texts.items() if text}  # mostly none: no copy
        return row.changed(added) if added else row, agreeing

    row, agreeing = decided({})
    corrected = correction(example, groups, knobs) if outcome == "majority_disagrees" else None
    if not corrected:
        return Verification(row, agreeing, ballots)
    changes = {**corrected.changes, "proof": corrected.proof}
    return Verification(*decided(changes), ballots, corrected, row)


def kept_traces(row: EnrichedExample, agreeing: Sequence[Ballot]) -> list[str]:
    """The traces that a row may keep as its reasoning, the best first.

    Args:
        row: A verified row.
        agreeing: The votes that agree with its answer.
    """
    return traces.candidates(agreeing, row) if row.answer_kind.policy.keeps_trace else []


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
