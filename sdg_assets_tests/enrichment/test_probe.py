"""The pass rate of a weaker model: blind answers to verified rows, kept with its name."""

from __future__ import annotations

from pathlib import Path

from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.probe import Probe
from sdg_assets.gates import Batch
from sdg_assets.gates.difficulty import DifficultyThresholds, gate
from sdg_assets.records import EnrichedExample, GeneratedExample, Rejection, Role, TeacherStamp
from sdg_assets.stages.enriched import EnrichmentReport, context_of, enrich, publish
from sdg_assets.stages.prompt_versions import log_versions, role_versions
from sdg_assets.teacher.conversation import Desk, Usage
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.replay import replay
from sdg_assets.teacher.requests import FinishReason, refused
from sdg_assets.teacher.stream import converse
from sdg_assets_tests.support.records import generated
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion

WEAK = TeacherStamp(model="org/weak", revision="w1", license="MIT")
KNOBS = SolverKnobs(votes=1, with_knowledge=False, probe_answers=4)


def probed(
    folder: Path,
    probe: ScriptedTeacher,
    *rows: GeneratedExample,
    solver: str = "Answer: Paris",
    report: EnrichmentReport | None = None,
) -> list[EnrichedExample | Rejection]:
    """Fills with a solver that always answers the same and a probe, then publishes from the log."""
    scripted = ScriptedTeacher(lambda _: solver)
    asked, weak = rows or (generated(),), Probe(probe)
    with CompletionLog(folder / "solver") as votes, CompletionLog(folder / "probe") as log:
        desks = {Role.SOLVER: Desk(scripted, votes), Role.PROBE: Desk(probe, log)}
        list(converse(enrich(asked, scripted, KNOBS, None, weak), desks, Usage()))
        answers = {role: desk.log.answers() for role, desk in desks.items()}
        results = replay(enrich(asked, scripted, KNOBS, None, weak), answers)
        return list(publish(results, context_of(scripted, KNOBS, None, weak), report))


def weak_teacher(*answers: str) -> ScriptedTeacher:
    left = iter(answers)
    return ScriptedTeacher(lambda _: f"Answer: {next(left)}", stamp=WEAK)


def test_a_verified_row_carries_the_share_of_right_answers_and_the_model(tmp_path: Path) -> None:
    report = EnrichmentReport()
    (row,) = probed(tmp_path, weak_teacher("Paris", "Rome", "no idea", "Paris"), report=report)

    assert isinstance(row, EnrichedExample)
    assert (row.pass_rate, row.probe_answers, row.probe) == (0.5, 4, WEAK)
    assert report.added == {"rows_probed": 1, "probe_right_answers": 2}


def test_the_probe_is_asked_blind_after_the_row_is_verified(tmp_path: Path) -> None:
    probe = weak_teacher()
    (row,) = probed(tmp_path, probe, solver="Answer: Rome")

    assert isinstance(row, EnrichedExample)
    assert (row.outcome, row.pass_rate, row.probe) == ("majority_disagrees", None, None)
    assert probe.requests == []

    probe = weak_teacher(*["Paris"] * 4)
    probed(tmp_path / "verified", probe)
    orders = [request.messages[-1].content for request in probe.requests]
    assert {request.role for request in probe.requests} == {Role.PROBE}
    assert len(set(orders)) > 1, "each answer has its own order of choices"
    assert all("Paris" in text and "Answer: Paris" not in text for text in orders)


def test_a_second_run_asks_the_probe_nothing(tmp_path: Path) -> None:
    first = probed(tmp_path, weak_teacher("Paris", "Rome", "Rome", "Rome"))
    silent = weak_teacher()

    assert probed(tmp_path, silent) == first
    assert silent.requests == []


def test_a_row_that_does_not_fit_the_probe_has_no_rate(tmp_path: Path) -> None:
    report = EnrichmentReport()
    small = ScriptedTeacher(lambda _: "Answer: Paris", stamp=WEAK, max_model_len=10)
    (row,) = probed(tmp_path, small, report=report)

    assert isinstance(row, EnrichedExample)
    assert (row.verified, row.pass_rate, row.probe) == (True, None, None)
    assert row.probe_fault == "too long"
    assert report.added == {"probe_too_long": 1}


def test_answers_that_were_cut_off_are_left_out_of_the_rate(tmp_path: Path) -> None:
    reasons: list[FinishReason] = ["stop", "thinking", "stop", "thinking"]
    ends = iter(reasons)
    said = iter(["Paris", "", "Rome", ""])
    probe = ScriptedTeacher(
        lambda request: completion(request, f"Answer: {next(said)}", next(ends)), stamp=WEAK
    )
    report = EnrichmentReport()

    (row,) = probed(tmp_path, probe, report=report)

    assert isinstance(row, EnrichedExample)
    assert (row.pass_rate, row.probe_answers, row.probe) == (0.5, 2, WEAK)
    assert row.probe_fault == "truncated while thinking"
    assert report.added == {"rows_probed": 1, "probe_right_answers": 1}


def test_a_row_whose_probe_was_always_cut_off_is_neither_too_hard_nor_too_easy(
    tmp_path: Path,
) -> None:
    report = EnrichmentReport()
    probe = ScriptedTeacher(lambda request: completion(request, "", "thinking"), stamp=WEAK)

    (row,) = probed(tmp_path, probe, report=report)

    assert isinstance(row, EnrichedExample)
    assert (row.pass_rate, row.probe_answers) == (None, 0)
    assert row.probe_fault == "truncated while thinking"
    assert report.added == {"probe_truncated_while_thinking": 1}
    narrow = DifficultyThresholds(min_pass_rate=0.5, max_pass_rate=0.6)
    assert gate(narrow).refusals(Batch([row])) == {}


def test_an_answer_that_the_probes_server_refuses_is_no_wrong_answer(tmp_path: Path) -> None:
    report = EnrichmentReport()
    strict = ScriptedTeacher(lambda request: refused(request, "HTTP 400: blocked"), stamp=WEAK)
    (row,) = probed(tmp_path, strict, report=report)

    assert isinstance(row, EnrichedExample)
    assert (row.verified, row.pass_rate, row.probe_fault) == (True, None, "refused by the server")
    assert report.added == {"probe_refused_by_the_server": 1}


def test_a_row_with_a_control_token_of_the_probe_is_sent_to_nobody(tmp_path: Path) -> None:
    probe = ScriptedTeacher(lambda _: "Answer: Paris", control_tokens=["<own>"])
    (row,) = probed(tmp_path, probe, generated(question="What is the capital of <own>?"))

    assert isinstance(row, Rejection)
    assert probe.requests == []


def test_the_prompts_of_the_probe_are_those_of_its_class() -> None:
    kind = generated().answer_kind

    assert (
        log_versions(Role.PROBE, kind, "rubric", "small")
        == log_versions(Role.SOLVER, kind, "rubric", "small")[
            : len(log_versions(Role.PROBE, kind, "rubric", "small"))
        ]
    )
    strong = role_versions(Role.PROBE, "strong")
    assert strong != role_versions(Role.PROBE, "small")
    assert not any(name.startswith("knowledge/") for name in strong)
