"""An enrichment of another installed package; no existing file mentions it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from sdg_assets.enrichment.base import enrichments
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.errors import PermanentError
from sdg_assets.gates import row_gates
from sdg_assets.gates.base import Batch
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.gates.licence import Terms
from sdg_assets.records import AnswerKind, CuratedExample, EnrichedExample, Rejection, Role
from sdg_assets.registry import members
from sdg_assets.release import Cut, write_release
from sdg_assets.stages.curated import curate
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.stages.prompt_versions import log_versions, role_versions
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import Request
from sdg_assets.thresholds import DEFAULTS
from sdg_assets_tests.support.conversations import enriched_with
from sdg_assets_tests.support.heldout import gate_against, nothing_held_out
from sdg_assets_tests.support.packages import installed
from sdg_assets_tests.support.records import generated
from sdg_assets_tests.support.scripted_teacher import STAMP, ScriptedTeacher, ratings

GROUP = "sdg_assets.enrichment"
HINT = '''
from sdg_assets.enrichment.base import Enrichment
from sdg_assets.records import Role
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import Sampling

PROMPT = Prompt("hint", """You help learners. Give a hint in one sentence, never the answer.
=== user ===
{{ question }}
""")


class Hint(Enrichment):
    name = "hint"
    role = Role.SOLVER
    trained = ("hint",)

    def prompts(self, kind, judge_api):
        return (PROMPT,)

    def ask(self, row, context):
        sampling = Sampling(temperature=0.7, max_tokens=60)
        request = context.request(self.role, PROMPT, {"question": row.question}, sampling)
        (completion,) = yield [request]
        text = completion.text.strip()
        if completion.finish_reason != "stop":
            return {}
        return {"hint": text, "words": len(text.split())}


ENRICHMENT = Hint()
'''
RIDDLE = (
    "Farmer Odile drives 14 carts of barley to the mill, 3 of them break an axle on the bridge and "
    "each of the others is unloaded in 9 minutes. How many minutes does the unloading take?"
)
Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Installs a package with one module; it replaces the package installed before."""

    sites: list[str] = []

    def forget() -> None:
        members.cache_clear()
        sys.modules.pop("someones_hint", None)

    def to(source: str) -> None:
        forget()
        site = tmp_path / f"installed-{len(sites)}"
        site.mkdir()
        sites.append(str(site))
        installed(site, "someones_hint", source, group=GROUP)
        patch.setattr(sys, "path", [str(site), *(p for p in sys.path if p not in sites)])

    with pytest.MonkeyPatch.context() as patch:
        yield to
    forget()


def say(hint: str) -> Callable[[Request], str]:
    """A teacher that votes for Paris, writes a background, gives high ratings, and the hint."""

    def answer(request: Request) -> str:
        if request.prompt_version.startswith("hint@"):
            return hint
        if request.prompt_version.startswith("judge/"):
            return ratings()
        if request.prompt_version.startswith("knowledge/"):
            return "France is in Europe."
        return "President and parliament have their seats there.\nAnswer: Paris"

    return answer


def enriched_by(
    teacher: ScriptedTeacher, tmp_path: Path
) -> tuple[EnrichedExample, dict[str, float]]:
    report = EnrichmentReport()
    with CompletionLog(tmp_path / "log") as log, CompletionLog(tmp_path / "judge") as judge_log:
        desks = {Role.SOLVER: Desk(teacher, log), Role.JUDGE: Desk(teacher, judge_log)}
        (row,) = enriched_with(desks, [generated()], SolverKnobs(), Judge(teacher), report)
    assert isinstance(row, EnrichedExample)
    return row, report.numbers()


def test_its_field_goes_from_the_teacher_into_the_rows_of_a_release(
    install: Install, tmp_path: Path
) -> None:
    install(HINT)
    hint = "Think of the city with the Eiffel tower."
    teacher = ScriptedTeacher(say(hint))

    enriched, numbers = enriched_by(teacher, tmp_path)
    gates = row_gates(DEFAULTS, nothing_held_out())
    (filtered,) = filter_rows(lambda: [enriched], gates, [Duplicates([])])
    assert isinstance(filtered, EnrichedExample)
    terms = {STAMP.model: Terms("yes", "yes")}
    rows = curate([("quiz", [filtered])], lambda _: {}, lambda _: {}, {"quiz": "yes"}, terms)
    release = write_release(tmp_path, Cut({"quiz/filtered/quiz": "aa"}), rows)

    file = release.path / "multiple_choice" / "train-00000-of-00001.jsonl"
    released = CuratedExample.model_validate_json(file.read_bytes())
    (added,) = released.enrichments
    (version,) = added.prompt_versions
    assert added.fields == {"hint": hint, "words": 8}
    assert (added.role, added.teacher, version.split("@")[0]) == (Role.SOLVER, STAMP, "hint")
    assert f"France is in Europe.\n\n{hint}" in released.text["with_context"]
    assert hint not in released.text["with_reasoning"]
    ((column,),) = pl.read_parquet(file.with_suffix(".parquet"))["enrichments"].to_list()
    assert (column["enrichment"], json.loads(column["fields"])) == ("hint", added.fields)
    assert numbers["hint_written"] == 1


def test_it_is_asked_beside_the_judge_and_the_background_and_of_verified_rows_alone(
    install: Install, tmp_path: Path
) -> None:
    install(HINT)
    teacher = ScriptedTeacher(say("Think of the Seine."))

    enriched_by(teacher, tmp_path / "verified")
    doubtful = ScriptedTeacher(lambda _: "Answer: Rome")
    row, _ = enriched_by(doubtful, tmp_path / "unverified")

    *_, last = teacher.requests
    assert teacher.most_at_once == 3
    assert last.prompt_version.startswith("hint@")
    assert not row.verified
    assert row.enrichments == []
    assert not any(r.prompt_version.startswith("hint@") for r in doubtful.requests)


def test_a_changed_prompt_makes_rows_stale_and_keeps_the_votes(install: Install) -> None:
    before, log = (
        role_versions(Role.SOLVER, "small"),
        log_versions(Role.SOLVER, AnswerKind.SPAN, "rubric", "small"),
    )
    install(HINT)
    with_hint = role_versions(Role.SOLVER, "small")
    install(HINT.replace("in one sentence", "in two sentences"))
    changed = role_versions(Role.SOLVER, "small")

    (version,) = set(with_hint) - set(before)
    assert version.startswith("hint@")
    assert len(changed) == len(with_hint) == len(before) + 1
    assert version not in changed
    assert log_versions(Role.SOLVER, AnswerKind.SPAN, "rubric", "small") == log
    assert not any(
        "hint@" in v
        for v in role_versions(Role.JUDGE, "small") + role_versions(Role.WRITER, "small")
    )


def test_asking_with_a_prompt_that_is_not_declared_fails(install: Install, tmp_path: Path) -> None:
    install(HINT.replace("return (PROMPT,)", "return ()"))

    asks = r"enrichment 'hint' asks the solver with prompt hint@\w{8}, which it does not declare"
    with pytest.raises(PermanentError, match=asks):
        enriched_by(ScriptedTeacher(say("Think.")), tmp_path)


def test_a_held_out_question_in_a_text_that_is_trained_on_is_refused(
    install: Install, tmp_path: Path
) -> None:
    gate = gate_against(
        [{"question": RIDDLE, "choices": ["99"], "label": 0}],
        answer_kind="numeric",
        record={"question": "{{question}}", "answer": "{{choices[label]}}"},
    )
    teacher = ScriptedTeacher(say(f"It is not like this: {RIDDLE}"))
    install(HINT)
    leaking, _ = enriched_by(teacher, tmp_path / "trained")
    install(HINT.replace('trained = ("hint",)', "trained = ()"))
    untrained, _ = enriched_by(teacher, tmp_path / "untrained")

    (refused,) = filter_rows(lambda: [leaking], row_gates(DEFAULTS, gate), [Duplicates([])])
    assert isinstance(refused, Rejection)
    assert refused.gate == "contamination"
    assert refused.row["enrichments"][0]["fields"]["hint"].endswith(RIDDLE)
    assert not gate.refusals(Batch([untrained])), "nobody trains on it"


def test_the_teacher_that_it_asks_counts_for_the_licence(install: Install, tmp_path: Path) -> None:
    install(HINT.replace("Role.SOLVER", "Role.JUDGE"))
    row, _ = enriched_by(ScriptedTeacher(say("Think of the Seine.")), tmp_path)
    assert row.judge
    scored = row.model_copy(update={"judge": row.judge.model_copy(update={"reasons": []})})

    (curated,) = curate([("quiz", [scored])], lambda _: {}, lambda _: {}, {"quiz": "yes"}, {})

    assert isinstance(curated, CuratedExample)
    assert [teacher.role for teacher in curated.written_by] == ["writer", "solver", "judge"]


def test_it_is_not_asked_without_a_teacher_for_its_role(install: Install, tmp_path: Path) -> None:
    install(HINT.replace("Role.SOLVER", "Role.JUDGE"))
    teacher = ScriptedTeacher(say("Think of the Seine."))
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.SOLVER: Desk(teacher, log)}
        (row,) = enriched_with(desks, [generated()], SolverKnobs())

    assert isinstance(row, EnrichedExample)
    assert (row.enrichments, row.knowledge) == ([], "France is in Europe.")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("Role.SOLVER", "Role.WRITER", "'hint': role writer: only the solver, judge or probe"),
        ('name = "hint"', 'name = "judge"', "'judge': another module has this name; rename one"),
        (
            "trained =",
            'columns = frozenset({"answer"}); trained =',
            "'hint': column 'answer' is taken or unknown",
        ),
        (
            "trained =",
            'columns = frozenset({"judge"}); trained =',
            "'hint': column 'judge' is taken or unknown",
        ),
        ('name = "hint"', "", "enrichment Hint: set its `name`"),
        ("ENRICHMENT = Hint()", "ENRICHMENT = Hint", "must be an instance of a subclass of"),
        ("ENRICHMENT = Hint()", "ENRICHMENT = {}", "must be an instance of a subclass of"),
    ],
)
def test_one_that_breaks_the_contract_is_named_in_one_sentence(
    install: Install, old: str, new: str, fault: str
) -> None:
    install(HINT.replace(old, new))

    with pytest.raises(PermanentError) as refused:
        enrichments()
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("7", "'hint' adds fields: Value error, field 'hint' is trained on, so it must be a text"),
        ("object()", "'hint' adds fields.hint: input was not a valid JSON value"),
    ],
)
def test_what_no_row_can_hold_is_refused(
    install: Install, tmp_path: Path, value: str, fault: str
) -> None:
    install(HINT.replace('"hint": text', f'"hint": {value}'))

    with pytest.raises(PermanentError) as refused:
        enriched_by(ScriptedTeacher(say("Think of the Seine.")), tmp_path)
    assert fault in str(refused.value)


def test_a_prompt_without_division_is_refused() -> None:
    with pytest.raises(PermanentError, match="prompt 'hint': the line '=== user ===' is missing"):
        Prompt("hint", "Give a hint.")


def test_a_carried_prompt_changes_with_the_template_that_it_extends() -> None:
    prompt = Prompt("hint", '{% extends "knowledge/base.jinja" %}')

    assert prompt.files == {"knowledge/base"}
    assert prompt.version != Prompt("hint", '{% extends "solve/base.jinja" %}').version
