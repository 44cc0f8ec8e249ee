from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sdg_assets.enrichment.background import ENRICHMENT
from sdg_assets.enrichment.base import EnrichmentContext
from sdg_assets.enrichment.grounding import NO_PASSAGE, UNSUPPORTED, background_prompt
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import AnswerKind, CitedPassage, EnrichedExample, GeneratedExample, Role
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion, Request
from sdg_assets_tests.support.conversations import enriched_with
from sdg_assets_tests.support.passages import index_of, passage
from sdg_assets_tests.support.records import generated
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion, ratings
from sdg_assets_tests.support.solvers import answer, solved

SUPPORTED = "Kings governed the country from there. The city has about two million inhabitants."
INVENTED = "France has many cities. The largest one has 11 million inhabitants."
KINGS = 4
"""The line of the passage about Paris that speaks of kings; its title is the first."""
LOOSE = (
    "A seat of government is the place from which a country is led. Paris is the capital of France."
)


@dataclass
class Grounded:
    """What became of one row, and what its teachers were asked."""

    row: EnrichedExample
    requests: list[Request]
    counts: dict[str, float] = field(default_factory=dict)

    def named(self, prefix: str) -> list[Request]:
        return [each for each in self.requests if each.prompt_version.startswith(prefix)]


def ground(
    tmp_path: Path,
    *backgrounds: str,
    checks: Callable[[Request], str | Completion] = lambda _: "unreadable",
    row: GeneratedExample | None = None,
    control_tokens: tuple[str, ...] = (),
    with_judge: bool = False,
    passages: bool = True,
) -> Grounded:
    texts = iter(backgrounds)

    def say(request: Request) -> str | Completion:
        if request.prompt_version.startswith("knowledge/supported"):
            return checks(request)
        if request.prompt_version.startswith("knowledge/"):
            return next(texts)
        return ratings() if request.role is Role.JUDGE else answer("Paris")

    teacher = ScriptedTeacher(say, control_tokens=control_tokens)
    knobs = SolverKnobs(votes=1, passages=index_of() if passages else None)
    report = EnrichmentReport()
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.SOLVER: Desk(teacher, log)}
        judge = None
        if with_judge:
            desks[Role.JUDGE], judge = desks[Role.SOLVER], Judge(teacher)
        (enriched,) = solved(enriched_with(desks, [row or generated()], knobs, judge, report))
    return Grounded(enriched, teacher.requests, report.numbers())


def checks_of(*sentences: tuple[int, bool]) -> str:
    return json.dumps({"checks": [{"line": n, "supported": s} for n, s in sentences]})


def test_a_background_is_written_from_passages_and_names_them(tmp_path: Path) -> None:
    done = ground(tmp_path, SUPPORTED)

    assert done.row.knowledge == SUPPORTED
    assert done.row.passages == [CitedPassage.of(passage())]
    assert done.row.passages[0].license == "CC-BY-4.0"
    (asked,) = done.named("knowledge/")
    assert "Take every fact, number and name from the passages below" in asked.messages[0].content
    assert "Paris: Paris is the capital of France." in asked.messages[1].content
    assert "The Loire" not in asked.messages[1].content, "no word of the question is in it"
    assert done.counts["knowledge_written"] == 1


def test_an_invented_number_costs_the_background_but_not_the_row(tmp_path: Path) -> None:
    done = ground(tmp_path, INVENTED, INVENTED)

    assert done.row.verified
    assert (done.row.knowledge, done.row.knowledge_fault) == ("", UNSUPPORTED)
    assert done.row.passages == []
    assert len(done.named("knowledge/multiple_choice/passages")) == 2
    assert done.counts["knowledge_not_supported_by_its_passages"] == 1


def test_a_second_attempt_may_be_supported(tmp_path: Path) -> None:
    assert ground(tmp_path, INVENTED, SUPPORTED).row.knowledge == SUPPORTED


def test_a_reader_decides_about_all_uncertain_sentences_in_one_request(tmp_path: Path) -> None:
    done = ground(tmp_path, LOOSE, checks=lambda _: checks_of((KINGS, True)))

    assert done.row.knowledge == LOOSE
    (check,) = done.named("knowledge/supported")
    assert check.role is Role.SOLVER
    assert "1. A seat of government" in check.messages[1].content
    assert "the capital of France." not in check.messages[1].content.partition("Sentences:")[2]


def test_an_unreadable_check_is_asked_once_more(tmp_path: Path) -> None:
    cut_off = '{"checks": [{"line": 1, "supported":          '
    replies = iter([cut_off, checks_of((KINGS, True))])
    done = ground(tmp_path, LOOSE, checks=lambda _: next(replies))

    assert done.row.knowledge == LOOSE
    first, second = done.named("knowledge/supported")
    assert (first.sampling.temperature, second.sampling.temperature) == (0.0, 0.5)


def _say(reply: str, _request: Request) -> str:
    return reply


def test_a_reader_that_names_no_line_or_says_nothing_does_not_count(
    tmp_path: Path,
) -> None:
    for reply in (
        checks_of((0, True)),
        checks_of((KINGS, False)),
        checks_of(),
        "It is fine.",
    ):
        folder = tmp_path / str(abs(hash(reply)))
        folder.mkdir()
        done = ground(folder, LOOSE, LOOSE, checks=partial(_say, reply))
        assert done.row.knowledge_fault == UNSUPPORTED


def test_a_check_that_was_cut_off_is_not_called_a_lack_of_support(tmp_path: Path) -> None:
    def cut(request: Request) -> Completion:
        return completion(request, "", "thinking")

    done = ground(tmp_path, LOOSE, LOOSE, checks=cut)

    assert done.row.knowledge == ""
    assert done.row.knowledge_fault == "check truncated while thinking"
    assert done.counts["knowledge_check_truncated_while_thinking"] == 1


def test_the_judge_reads_if_there_is_one(tmp_path: Path) -> None:
    done = ground(tmp_path, LOOSE, checks=lambda _: checks_of((KINGS, True)), with_judge=True)

    assert done.row.knowledge == LOOSE
    (check,) = done.named("knowledge/supported")
    assert check.role is Role.JUDGE


def test_without_a_passage_about_the_question_nothing_is_asked(tmp_path: Path) -> None:
    row = generated(question="How many legs has a spider?", choices=["8", "6"], answer="8")
    done = ground(tmp_path, row=row, checks=lambda _: "")

    assert done.named("knowledge/") == []
    assert done.row.knowledge == ""


def test_a_passage_with_a_control_token_of_the_teacher_is_left_out(tmp_path: Path) -> None:
    done = ground(tmp_path, control_tokens=("Seine",), row=generated())

    assert done.row.knowledge_fault == NO_PASSAGE


def test_without_passages_prompts_and_requests_are_as_before(tmp_path: Path) -> None:
    done = ground(tmp_path, INVENTED, passages=False)

    assert done.row.knowledge == INVENTED
    assert done.row.passages == []
    (asked,) = done.named("knowledge/")
    assert asked.prompt_version.startswith("knowledge/multiple_choice@")
    context = EnrichmentContext({Role.SOLVER: ScriptedTeacher(lambda _: "")}, SolverKnobs())
    for kind in AnswerKind:
        versions = [prompt.version for _, prompt in ENRICHMENT.prompts_in(kind, context)]
        assert background_prompt(kind).version not in versions


def test_every_kind_has_a_prompt_with_passages() -> None:
    for kind in AnswerKind:
        system, user = background_prompt(kind).render(
            context="", question="Q", choices=["a"], tests=[], answer="a",
            passages=[{"title": "T", "text": "One fact."}],
        )  # fmt: skip
        assert "T: One fact." in user.content
        assert "Take every fact" in system.content
