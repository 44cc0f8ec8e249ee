"""Stage 4: answer blind, vote, keep the best trace, judge, write the background.

Verification and reasoning are one batch: the best trace that agrees is the reasoning. Only verified
rows are judged and get a background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.answers import answer_format
from sdg_assets.answers.wording import normalized
from sdg_assets.enrichment import knowledge
from sdg_assets.enrichment.judging import Judge, says_the_same
from sdg_assets.enrichment.voting import (
    Ballot,
    Groups,
    Same,
    SolverKnobs,
    VotingReport,
    best_trace,
    decide,
    decided,
    read_ballot,
    sameness,
    tally,
    vote_request,
    waves,
)
from sdg_assets.gates import Gate, draft_gates, first_refusals, text_gates
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    GeneratedExample,
    Proof,
    Rejection,
    Vote,
    content_id,
)
from sdg_assets.teacher import prompts
from sdg_assets.teacher.control_tokens import control_token_of
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.requests import Completion, Request, Teacher
from sdg_assets.thresholds import DEFAULTS, Thresholds

GATE = "enrichment"


@dataclass
class EnrichmentReport:
    """What enrichment cost and what it did, over the rows of a partition."""

    voting: VotingReport = field(default_factory=VotingReport)
    corrected: int = 0
    knowledge: Counter[str] = field(default_factory=Counter)
    """`written`, or why a background that came was not kept."""
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
            **{f"knowledge_{k.replace(' ', '_')}": n for k, n in sorted(self.knowledge.items())},
        }


@dataclass(frozen=True)
class _Gates:
    draft: Sequence[Gate]
    texts: Sequence[Gate]


def prompt_versions(kind: AnswerKind) -> list[str]:
    """The versions of the solver's prompts for an answer kind."""
    return [prompts.version(f"solve/{kind.value}"), prompts.version(knowledge.template(kind))]


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
    report = report or EnrichmentReport()
    readers = [t.control_tokens for t in (solver, judge.teacher if judge else None) if t]
    gates = _Gates(draft_gates(thresholds), text_gates(thresholds))
    for example in examples:
        if token := control_token_of(example, readers):
            yield _refused(example, token)
        else:
            yield _enrich(example, solver, knobs, judge, report, gates)


def _refused(example: GeneratedExample, token: str) -> Work[EnrichedExample | Rejection]:
    """Work that asks nobody."""
    yield from ()
    return Rejection(
        gate=GATE,
        reason="control token",
        detail=f"{token!r} controls a model",
        row=example.model_dump(mode="json"),
    )


def _enrich(
    example: GeneratedExample,
    solver: Teacher,
    knobs: SolverKnobs,
    judge: Judge | None,
    report: EnrichmentReport,
    gates: _Gates,
) -> Work[EnrichedExample]:
    proof = answer_format(example.answer_kind).proof(example)
    report.note(proof)
    if proof and proof.fault:  # whatever the votes say, it would mean nothing
        return _unasked(example, solver, proof)
    ballots, same = yield from _votes(example, solver, knobs, judge)
    groups = tally(example.answer, [b.answer for b in ballots], same)
    outcome = decide(example.answer, groups, knobs.votes, knobs.majority, same)
    report.voting.count(ballots, knobs.votes)
    content: dict[str, Any] = dict(example)
    if outcome == "majority_disagrees" and _overrules(example, groups, knobs):
        changes = _corrected(example, groups[0][0])
        corrected = example.model_copy(update=changes)
        found = answer_format(example.answer_kind).proof(corrected)
        if not (found and found.fault) and not first_refusals([corrected], gates.draft):
            content |= {**changes, "written_answer": example.answer}
            proof = found
            report.note(proof)
            report.corrected += 1
    agreeing = [b for b in ballots if b.answer is not None and same(b.answer, content["answer"])]
    row = EnrichedExample(
        **content,
        reasoning=best_trace(agreeing, example, gates.texts)
        if example.answer_kind.policy.keeps_trace
        else "",
        votes=[Vote(answer=answer, count=count) for answer, count in groups],
        votes_cast=len(ballots),
        vote_share=len(agreeing) / len(ballots) if ballots else 0.0,
        outcome=outcome,
        proof=proof,
        solver=solver.identity.stamp,
    )
    if not row.verified:
        return row.model_copy(update={"reasoning": ""})
    return (yield from _finish(row, solver, knobs, judge, report, gates))


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


def _votes(
    example: GeneratedExample, solver: Teacher, knobs: SolverKnobs, judge: Judge | None
) -> Generator[list[Request], list[Completion], tuple[list[Ballot], Same]]:
    """Asks wave after wave until the votes decide; returns them and how to compare them."""
    ballots: list[Ballot] = []
    same, compared = sameness(example), _Compared(example, judge)
    if compared.judged:
        same = compared.same
    for wave in waves(knobs):
        asked = [vote_request(example, number, solver, knobs) for number in wave]
        # One prompt that is too long would fail the engine's whole batch.
        if any(not _fits(request, solver) for _, request in asked):
            break
        completions = yield [request for _, request in asked]
        ballots += [
            read_ballot(completion, shown)
            for (shown, _), completion in zip(asked, completions, strict=True)
        ]
        if comparisons := compared.requests(ballots):
            verdicts = yield list(comparisons.values())
            compared.note(comparisons, verdicts)
        groups = tally(example.answer, [b.answer for b in ballots], same)
        if decided(example.answer, groups, len(ballots), knobs, same):
            break
    return ballots, same


class _Compared:
    """Which prose answers the judge found to say what the writer's does."""

    def __init__(self, example: GeneratedExample, judge: Judge | None) -> None:
        self.judged = (
            judge is not None and judge.compares and example.answer_kind.policy.is_compared_by_judge
        )
        self._example, self._judge = example, judge
        self._agrees: dict[str, bool] = {example.answer: True}

    def requests(self, ballots: Iterable[Ballot]) -> dict[str, Request]:
        """What is to be asked of the judge: answer → request, for answers that are new."""
        if not self.judged or self._judge is None:
            return {}
        found: dict[str, Request] = {}
        for answer in {b.answer: None for b in ballots if b.answer is not None}:
            if answer in self._agrees:
                continue
            if normalized(answer) == normalized(self._example.answer):
                self._agrees[answer] = True
            elif request := self._judge.comparison_request(self._example, answer):
                found[answer] = request
            else:
                self._agrees[answer] = False
        return found

    def note(self, asked: Iterable[str], verdicts: Iterable[Completion]) -> None:
        for answer, verdict in zip(asked, verdicts, strict=True):
            self._agrees[answer] = says_the_same(verdict)

    def same(self, left: str, right: str) -> bool:
        """Two that agree with the writer, or two others that share most of their words."""
        agree = self._agrees.get(left, False), self._agrees.get(right, False)
        if any(agree):
            return all(agree)
        return answer_format(self._example.answer_kind).same(left, right, self._example)


def _overrules(example: GeneratedExample, groups: Groups, knobs: SolverKnobs) -> bool:
    strong = groups[0][1] >= knobs.correction_share * knobs.votes
    return knobs.accept_corrections and strong and example.answer_kind.policy.may_be_corrected


def _corrected(example: GeneratedExample, answer: str) -> dict[str, Any]:
    """The fields that change with the answer. What belonged to the writer's answer goes with it."""
    identity = (example.task, example.subtask, example.context, example.question, example.choices)
    index = example.choices.index(answer) if example.answer_kind.selects else None
    return {
        "id": content_id(*identity, answer),
        "answer": answer,
        "answer_index": index,
        "aliases": [],
        "solution": "",
    }


def _finish(
    row: EnrichedExample,
    solver: Teacher,
    knobs: SolverKnobs,
    judge: Judge | None,
    report: EnrichmentReport,
    gates: _Gates,
) -> Work[EnrichedExample]:
    """Has a verified row judged and its background written."""
    found: dict[str, Any] = {}
    rating = judge.rating_request(row) if judge else None
    background = _background(row, 0, solver, knobs)
    requests = [request for request in (rating, background) if request]
    answers = dict(zip((r.id for r in requests), (yield requests), strict=True)) if requests else {}
    if judge:
        found["judge"] = judge.judgement(answers[rating.id] if rating else None)
    attempt = 0
    while background:
        completion = answers[background.id]
        fault = knowledge.knowledge_fault(completion, row, gates.texts)
        found["knowledge"] = "" if fault else knowledge.knowledge_of(completion)
        found["knowledge_fault"] = fault
        attempt += 1
        background = _background(row, attempt, solver, knobs) if fault else None
        if background:
            (completion,) = yield [background]
            answers[background.id] = completion
    if attempt:
        report.knowledge[found["knowledge_fault"] or "written"] += 1
    return row.model_copy(update=found)


def _background(
    row: EnrichedExample, attempt: int, solver: Teacher, knobs: SolverKnobs
) -> Request | None:
    if not knobs.with_knowledge or attempt >= knowledge.ATTEMPTS:
        return None
    request = knowledge.knowledge_request(row, attempt, solver, knobs)
    return request if _fits(request, solver) else None


def _fits(request: Request, teacher: Teacher) -> bool:
    length = teacher.count_tokens(request.messages) + request.sampling.max_tokens
    return length <= teacher.max_model_len
