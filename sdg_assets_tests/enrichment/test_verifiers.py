from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.verifiers import VERIFIERS
from sdg_assets.errors import TeacherError
from sdg_assets.gates.verification import refusal_of
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    GeneratedExample,
    Role,
    TeacherStamp,
    Verdict,
    VerifierFamily,
)
from sdg_assets.settings import Settings, settings
from sdg_assets.teacher import has_judge, open_teacher
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Request, TeacherIdentity
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.conversations import enriched_with
from sdg_assets_tests.support.records import generated
from sdg_assets_tests.support.scripted_teacher import STAMP, ScriptedTeacher, completion
from sdg_assets_tests.support.solvers import Panel, Solver, answer, judged_by, prose, solved
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

REPLIES = yaml.safe_load(Path(__file__).with_name("verifier_replies.yaml").read_text("utf-8"))
MODEL = TeacherStamp(model="org/verifier", revision="v1", license="Apache-2.0")


class ScriptedVerifier(ScriptedTeacher):
    """Gives the scripted verdicts in order."""

    def __init__(self, verdicts: Iterable[str], family: VerifierFamily = "compassverifier") -> None:
        self._verdicts: Iterator[str] = iter(verdicts)
        super().__init__(lambda request: next(self._verdicts), stamp=MODEL)
        self.identity = TeacherIdentity(MODEL, verifier=family)


def city(**changes: Any) -> GeneratedExample:
    return generated(
        answer_kind=AnswerKind.SHORT_TEXT,
        question="Which city is the seat of the UN?",
        answer="New York",
        **changes,
    )


def verified_by(
    verifier: ScriptedVerifier,
    votes: Iterable[str],
    tmp_path: Path,
    row: GeneratedExample,
    knobs: SolverKnobs | None = None,
) -> EnrichedExample:
    with CompletionLog(tmp_path / "log") as log, CompletionLog(tmp_path / "judge") as judge_log:
        desks = {Role.SOLVER: Desk(Solver(votes), log), Role.JUDGE: Desk(verifier, judge_log)}
        judge = Judge(verifier, "verifier")
        (made,) = solved(enriched_with(desks, [row], knobs or SolverKnobs(), judge))
        return made


@pytest.mark.parametrize(
    ("family", "reply", "verdict"),
    [(f, case["reply"], case["verdict"]) for f, cases in REPLIES.items() for case in cases],
)
def test_every_form_of_reply_is_read(family: VerifierFamily, reply: str, verdict: str) -> None:
    assert VERIFIERS[family].read(reply) == verdict


def test_a_verifier_is_asked_in_one_turn_with_the_marks_that_it_knows(tmp_path: Path) -> None:
    for family, marks in {
        "compassverifier": ("<Original Question Begin>:", "<Standard Answer Begin>:\nNew York\n"),
        "xverify": ('Output sentence: """The Big Apple"""', "Correct answer: New York"),
    }.items():
        requests: list[Request] = []
        verifier = ScriptedVerifier(["Correct"] * 2, family)  # type: ignore[arg-type]
        verified_by(verifier, [answer("The Big Apple")] * 2, tmp_path / family, city())
        requests = verifier.requests

        (message,) = requests[0].messages
        assert message.role == "user"
        assert requests[0].json_schema is None
        assert requests[0].sampling.temperature == 0
        for mark in marks:
            assert mark in message.content


def test_short_answers_in_other_words_agree_if_the_verifier_says_so(tmp_path: Path) -> None:
    verifier = ScriptedVerifier(["A"])

    row = verified_by(verifier, [answer("The Big Apple")] * 2, tmp_path, city())

    assert (row.outcome, row.vote_share) == ("agreed", 1.0)
    assert row.equivalence
    assert row.equivalence.verdicts == [Verdict(answer="The Big Apple", verdict="correct")]
    assert row.equivalence.verifier == MODEL
    assert row.equivalence.prompt_version.startswith("judge/compassverifier@")
    assert row.judge is None, "a verifier rates nothing"
    assert row.knowledge, "other enrichments still run"


def test_an_answer_that_rules_find_equal_costs_no_request(tmp_path: Path) -> None:
    verifier = ScriptedVerifier([])

    row = verified_by(verifier, [answer("new york.")] * 2, tmp_path, city())

    assert row.equivalence
    assert row.equivalence.verdicts == [Verdict(answer="new york", verdict="equal")]


def test_a_verifier_refuses_what_shares_words_only(tmp_path: Path) -> None:
    wrong = "Air scatters long waves of light most."

    row = verified_by(ScriptedVerifier(["B"]), [wrong] * 3, tmp_path, prose())

    assert row.outcome == "majority_disagrees"


def test_invalid_answers_have_a_reason_of_their_own(tmp_path: Path) -> None:
    votes = ["I cannot say.", "Air, air, air, air.", "It depends on"]

    row = verified_by(ScriptedVerifier(["C"] * 3), votes, tmp_path, prose())

    assert (row.outcome, row.votes, row.votes_cast) == ("invalid_answers", [], 3)
    refusal = refusal_of(row)
    assert refusal
    assert refusal.reason == "invalid answers"


def test_an_unreadable_reply_agrees_with_nothing(tmp_path: Path) -> None:
    row = verified_by(ScriptedVerifier(["Well …"]), ["Rayleigh's effect."] * 3, tmp_path, prose())

    assert row.outcome == "majority_disagrees"
    assert row.equivalence
    assert [v.verdict for v in row.equivalence.verdicts] == ["unreadable"]


class CutOffVerifier(ScriptedVerifier):
    """Thinks without an end."""

    def __init__(self) -> None:
        super().__init__([])
        self._answer = lambda request: completion(request, "", "thinking")


def test_an_answer_whose_comparison_was_cut_off_does_not_disagree(tmp_path: Path) -> None:
    row = verified_by(CutOffVerifier(), ["Rayleigh's effect."] * 3, tmp_path, prose())

    assert (row.outcome, row.votes, row.votes_cut_off) == ("not_compared", [], 2)
    assert row.equivalence
    assert [v.verdict for v in row.equivalence.verdicts] == ["cut_off"]
    refusal = refusal_of(row)
    assert refusal
    assert refusal.reason == "not compared"


def test_a_comparison_that_was_cut_off_corrects_nothing(tmp_path: Path) -> None:
    knobs = SolverKnobs(accept_corrections=True)

    row = verified_by(CutOffVerifier(), [answer("The Big Apple")] * 3, tmp_path, city(), knobs)

    assert (row.outcome, row.answer, row.written_answer) == ("not_compared", "New York", "")


def test_choices_are_compared_by_rule_and_nobody_is_asked(tmp_path: Path) -> None:
    row = verified_by(ScriptedVerifier([]), [answer("Paris")] * 2, tmp_path, generated())

    assert (row.outcome, row.equivalence) == ("agreed", None)


def test_a_judges_verdicts_on_prose_are_kept_too(tmp_path: Path) -> None:
    (row,), _ = judged_by(Panel(["Rayleigh's effect."] * 2, same=[True]), tmp_path, prose())

    assert row.equivalence
    assert row.equivalence.verdicts == [Verdict(answer="Rayleigh's effect.", verdict="correct")]
    assert row.equivalence.verifier == STAMP


def test_a_judge_never_judges_a_row_that_its_model_wrote(tmp_path: Path) -> None:
    own = TeacherStamp(model=STAMP.model, revision="earlier", license="MIT")

    with pytest.raises(
        TeacherError, match=r"^the judge scripted/teacher wrote row .* set SDG_JUDGE"
    ):
        judged_by(Panel([answer("Paris")] * 2), tmp_path, generated(teacher=own))


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("opencompass/CompassVerifier-7B", "compassverifier"),
        ("/models/IAAR-Shanghai/xVerify-8B-I", "xverify"),
    ],
)
def test_the_served_models_card_names_the_family(
    model: str, family: str, configure: Configure
) -> None:
    with teacher_server(TeacherServer()) as server:
        server.model = model
        configure(judge=server.url, judge_api="verifier")

        assert has_judge(settings())
        assert open_teacher(settings(), Role.JUDGE).identity.verifier == family


def test_a_model_that_is_no_known_verifier_is_refused(configure: Configure) -> None:
    with teacher_server(TeacherServer()) as server:
        configure(judge=server.url, judge_api="verifier")

        with pytest.raises(TeacherError) as error:
            open_teacher(settings(), Role.JUDGE)

    message = str(error.value)
    assert message.startswith("SDG_JUDGE_API=verifier: scripted/one at http://127.0.0.1:")
    assert "is no known verifier; serve one of compassverifier-3b, " in message
    assert "`verifier: compassverifier or xverify` in teachers.yaml of your catalog" in message


def test_a_verifier_does_not_think() -> None:
    with pytest.raises(ValueError, match="does not think; leave the judge out"):
        Settings(judge="http://v:1", judge_api="verifier", thinking="judge:on")
