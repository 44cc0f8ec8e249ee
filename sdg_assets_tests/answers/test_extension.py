"""Another package adds an answer kind with one module; no file of this package has to change."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sdg_assets.answers import answer_format, answer_formats
from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.cluster.pods import stage_pod
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.errors import CatalogError, PermanentError
from sdg_assets.gates import Batch, row_gates
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.gates.licence import Terms
from sdg_assets.kinds import policies
from sdg_assets.records import (
    AnswerKind,
    CuratedExample,
    EnrichedExample,
    Example,
    GeneratedExample,
    Rejection,
    Role,
    Stage,
)
from sdg_assets.registry import members
from sdg_assets.release.card import CardFacts, render_card
from sdg_assets.release.configs import FAMILIES, Config
from sdg_assets.release.statistics import Statistics
from sdg_assets.release.versions import Lineage
from sdg_assets.settings import Settings
from sdg_assets.signatures.shingles import shingled
from sdg_assets.stages.curated import curate
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.normalized import normalize, without_refused
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.teacher import prompts
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Request
from sdg_assets.thresholds import DEFAULTS
from sdg_assets_tests.support.builders import Rows, write_catalog
from sdg_assets_tests.support.conversations import enriched_with, written_by
from sdg_assets_tests.support.heldout import hashed
from sdg_assets_tests.support.packages import installed
from sdg_assets_tests.support.records import STAMP
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher

DATE = '''
"""A calendar date."""

from datetime import date, datetime

from sdg_assets.answers.base import (
    AnswerFormat, Draft, DraftError, context_fields, context_of, with_context,
)
from sdg_assets.answers.extraction import phrases
from sdg_assets.records import Content


def read(text):
    """The date that a text is, as people write it in English; None if it is none."""
    for form in ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y"):
        try:
            return datetime.strptime(text.strip(" ."), form).date().isoformat()
        except ValueError:
            pass
    return None


class DateDraft(Draft):
    answer: str


class Date(AnswerFormat):
    name = "date"
    default_frame = "A question that one calendar date answers."
    answer_form = "the date alone, as YYYY-MM-DD"
    writing_rules = ("The date lies between 1900 and 2000.",)
    background_subject = "the events around the time asked for"
    answer_is_words = False

    def draft_model(self, anchor):
        return with_context(DateDraft, anchor)

    def draft_of(self, example):
        fields = {"question": example.question, "answer": example.answer}
        return self.draft_model(example).model_validate({**context_fields(example), **fields})

    def assemble(self, draft, anchor, rng):
        answer = read(draft.answer)
        if answer is None:
            raise DraftError("answer is not a date")
        return Content(question=draft.question, answer=answer, context=context_of(draft))

    def extract(self, text, example):
        return next((phrase.text for phrase in phrases(text) if read(phrase.text)), None)

    def same(self, left, right, example):
        return read(left) == read(right)

    def check(self, example):
        return None if read(example.answer) else "answer is not a date"


ANSWER = Date()
'''
STANCE = """
from sdg_assets.answers.label import Label


class Stance(Label):
    name = "a_stance"
    default_frame = "A text that is for or against something."
    answer_form = "the stance"


ANSWER = Stance()
"""
SUMMARY = """
from sdg_assets.answers.free_form import FreeForm


class Summary(FreeForm):
    name = "a_summary"


ANSWER = Summary()
"""
TASK: dict[str, Any] = {
    "task": "calendar",
    "answer_kind": "date",
    "record": {"question": "{{q}}", "answer": "{{a}}"},
    "subtasks": {"calendar": {"config": "main", "rows": 3}},
}
SEEDS = [
    {"q": "When did the first person walk on the Moon?", "a": "1969-07-20"},
    {"q": "When did the Berlin Wall fall?", "a": "1989-11-09"},
    {"q": "When did the second of these walls fall?", "a": "nobody knows"},
]


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Adds packages with one answer kind each, as `pip install` does."""

    def lay_down(**packages: str) -> None:
        for module, source in packages.items():
            installed(tmp_path, module, source, group="sdg_assets.answers")
        members.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    yield lay_down
    members.cache_clear()
    prompts.version.cache_clear()
    for module in [name for name in sys.modules if name.startswith("someones_")]:
        del sys.modules[module]


@pytest.fixture
def dates(install: Install) -> AnswerKind:
    """The kind `date`, whose package is installed."""
    install(someones_date=DATE)
    return AnswerKind("date")


@pytest.fixture
def spec(dates: AnswerKind, tmp_path: Path) -> SubtaskSpec:
    """A subtask of a catalog file that names the kind."""
    return load_catalog(write_catalog(tmp_path / "catalog", TASK)).subtask("calendar", "calendar")


def seeds(spec: SubtaskSpec) -> list[Example | Rejection]:
    rows = normalize(spec, collect_seeds(spec, Rows({"org/quiz": SEEDS})))
    return list(without_refused(rows, row_gates(DEFAULTS)[:1]))


def written(
    spec: SubtaskSpec, teacher: ScriptedTeacher, log: Path
) -> list[GeneratedExample | Rejection]:
    anchors = [row for row in seeds(spec) if isinstance(row, Example)]
    with CompletionLog(log) as opened:
        return written_by(Desk(teacher, opened), spec, anchors, WriterKnobs(shots=1))


def writer(request: Request) -> str:
    if "Moon" in request.messages[1].content:
        return json.dumps({"question": "When did the Titanic sink?", "answer": "15 April 1912"})
    return json.dumps({"question": "When will the last star go out?", "answer": "some day"})


def solver(request: Request) -> str:
    if request.prompt_version.startswith("knowledge/"):
        return "Great liners crossed the ocean in those years. Ice drifts south in spring."
    return "She hit an iceberg on her first voyage.\nAnswer: April 15, 1912"


def test_a_catalog_file_names_the_kind_and_seeds_are_normalized(spec: SubtaskSpec) -> None:
    moon, wall, unknown = seeds(spec)

    assert isinstance(moon, Example)
    assert isinstance(wall, Example)
    assert (moon.answer_kind, moon.answer, wall.answer) == ("date", "1969-07-20", "1989-11-09")
    assert isinstance(unknown, Rejection)
    assert (unknown.gate, unknown.reason) == ("schema", "answer is not a date")


def test_prompts_contain_its_texts_and_drafts_are_gated(spec: SubtaskSpec, tmp_path: Path) -> None:
    teacher = ScriptedTeacher(writer)

    titanic, star = written(spec, teacher, tmp_path / "log")

    system = teacher.requests[0].messages[0].content
    assert "Task: A question that one calendar date answers." in system
    assert '- "answer" is the date alone, as YYYY-MM-DD.' in system
    assert "- The date lies between 1900 and 2000." in system
    assert teacher.requests[0].prompt_version.startswith("write/date@")
    assert isinstance(titanic, GeneratedExample)
    assert (titanic.answer_kind, titanic.answer) == ("date", "1912-04-15")
    assert isinstance(star, Rejection)
    assert (star.gate, star.reason) == ("generation", "answer is not a date")


def test_a_question_that_contains_its_date_is_refused(spec: SubtaskSpec, tmp_path: Path) -> None:
    given = {"question": "What happened on 1912-04-15, and when?", "answer": "1912-04-15"}

    first, _ = written(spec, ScriptedTeacher(lambda _: json.dumps(given)), tmp_path / "log")

    assert isinstance(first, Rejection)
    assert (first.gate, first.reason) == ("format", "answer stands in the question")


def test_it_is_solved_voted_on_filtered_and_released(spec: SubtaskSpec, tmp_path: Path) -> None:
    drafts = written(spec, ScriptedTeacher(writer), tmp_path / "written")
    rows = [row for row in drafts if isinstance(row, GeneratedExample)]
    teacher = ScriptedTeacher(solver)
    with CompletionLog(tmp_path / "solved") as log:
        desks = {Role.SOLVER: Desk(teacher, log)}
        (solved,) = enriched_with(desks, rows, SolverKnobs())

    vote, *_, background = teacher.requests
    assert 'End with a line "Answer: " and the date alone, as YYYY-MM-DD.' in (
        vote.messages[0].content
    )
    assert "the events around the time asked for" in background.messages[0].content
    assert isinstance(solved, EnrichedExample)
    assert (solved.outcome, solved.vote_share) == ("agreed", 1.0)
    assert solved.reasoning == "She hit an iceberg on her first voyage."
    assert solved.knowledge.startswith("Great liners")

    (passed,) = filter_rows(lambda: [solved], row_gates(DEFAULTS), [Duplicates([])])
    assert passed == solved

    terms = {teacher.identity.stamp.model: Terms("yes", "yes"), STAMP.model: Terms("yes", "yes")}
    (made,) = curate([("all", [solved])], lambda _: {}, lambda _: {}, {"calendar": "yes"}, terms)
    assert isinstance(made, CuratedExample)
    assert made.text["answer_only"] == "When did the Titanic sink?\n\nAnswer: 1912-04-15"
    assert CuratedExample.model_validate_json(made.model_dump_json()) == made
    columns = Batch([made]).frame
    assert columns["answer_kind"].to_list() == ["date"]

    statistics = Statistics()
    statistics.see(made)
    statistics.finish()
    configs = [Config("generative", "generative", 1, 999, FAMILIES["generative"])]
    none, seeds_used = "", {"calendar": 2}
    changelog = Lineage("1.0.0", "first", [], "", "", [], [], [])
    facts = CardFacts(
        "Dates", "d1", "1.0.0", changelog, "0", seeds_used, 0, (), (), "heldout.jsonl", (), {},
        none, "coverage.jsonl",
    )  # fmt: skip
    card = render_card(statistics, configs, facts)
    assert (statistics.kinds, statistics.families) == ({"date": 1}, {"generative": 1})
    assert "calendar" in card
    assert 'load_dataset("curated/d1", "generative"' in card


def test_its_rows_are_compared_and_held_out(spec: SubtaskSpec) -> None:
    moon, *_ = seeds(spec)
    assert isinstance(moon, Example)

    assert len(shingled([moon])) == 1
    tables = hashed(SEEDS[:1], answer_kind="date", record=TASK["record"])
    assert tables.rows["answer"].to_list() != [0]


def test_its_pods_run_no_programs(dates: AnswerKind) -> None:
    pod = stage_pod(Stage.ENRICHED, Settings(), ClusterSettings(sandbox_seccomp="p.json"), dates)

    assert pod["pod_template_spec_metadata"]["labels"]["sdg/answers"] == "date"
    assert "security_context" not in pod["container_config"]


def test_documents_describe_it(dates: AnswerKind) -> None:
    schema = Example.model_json_schema()["properties"]["answer_kind"]

    assert "date" in schema["enum"]
    assert "`date`: A question that one calendar date answers." in schema["description"]
    assert {f"{part}/date" for part in ("knowledge", "solve", "write")} <= set(prompts.names())


def test_changing_its_texts_changes_its_prompt_version(
    dates: AnswerKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prompts.version("solve/date"), prompts.version("solve/numeric")
    monkeypatch.setattr(type(dates.policy), "answer_form", "the day")
    prompts.version.cache_clear()

    assert prompts.version("solve/date") != before[0]
    assert prompts.version("solve/numeric") == before[1]


def test_rows_of_a_kind_that_is_not_installed_say_so(
    spec: SubtaskSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moon, *_ = seeds(spec)
    line = moon.model_dump_json()
    members.cache_clear()
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])

    with pytest.raises(ValidationError, match=r"unknown answer kind 'date'; known: boolean, code"):
        Example.model_validate_json(line)


def test_a_misspelt_kind_in_the_catalog_is_one_sentence_with_the_nearest_name(
    tmp_path: Path,
) -> None:
    catalog = write_catalog(tmp_path, {"answer_kind": "multiple_choise"})

    with pytest.raises(CatalogError) as raised:
        load_catalog(catalog)

    assert str(raised.value).endswith(
        "quiz.yaml: answer_kind: unknown answer kind 'multiple_choise'; "
        "did you mean multiple_choice?"
    )


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (DATE.replace('"date"', '"numeric"'), "both serve the answer kind 'numeric'"),
        (DATE.replace('"date"', '"Date of birth"'), "'Date of birth' cannot name an answer kind"),
        (DATE.replace('"date"', '"base"'), "'base' cannot name an answer kind"),
        (DATE.replace('"date"', '"date_"'), "'date_' cannot name an answer kind"),
        (DATE.replace('    name = "date"\n', ""), "None cannot name an answer kind"),
        ("ANSWER = 'date'\n", "export an instance of `AnswerFormat`"),
    ],
)
def test_a_kind_that_cannot_be_registered_is_named_in_one_sentence(
    install: Install, source: str, fault: str
) -> None:
    install(someones_date=source)

    with pytest.raises(PermanentError, match=r"^(someones_date|sdg_assets)") as raised:
        policies()

    assert fault in str(raised.value)


def test_a_subclass_of_a_kind_has_its_policy_and_shows_its_choices(install: Install) -> None:
    install(someones_stance=STANCE)
    stance = AnswerKind("a_stance")
    given: dict[str, Any] = {"context": "", "question": "Is it wanted?", "tests": []}
    choices = ["for", "against"]

    solve = prompts.render("solve/a_stance", **given, choices=choices)
    background = prompts.render("knowledge/a_stance", **given, choices=choices, answer="for")
    write = prompts.render(
        "write/a_stance",
        frame="",
        drafts=[],
        variation="",
        topic="",
        angle="",
        wanted_answer="for",
        context=False,
        choices=2,
        labels=choices,
    )

    assert stance.selects
    assert stance.policy.is_weak_evidence
    assert "Options:\n- for\n- against" in solve[1].content
    assert "Options: for; against" in background[1].content
    assert "exactly one of: for, against." in write[0].content


def test_a_subclass_of_a_kind_does_not_replace_it(install: Install) -> None:
    install(someones_summary=SUMMARY)

    assert AnswerKind("a_summary").policy.serves_any_row
    assert AnswerKind.of_any_row() == "free_form"


def test_every_kind_describes_its_questions_in_one_sentence() -> None:
    frames = [kind.default_frame for kind in answer_formats()]

    assert len(set(frames)) == len(frames)
    assert all(frame.startswith("A ") and frame.endswith(".") for frame in frames)
    assert [answer_format(kind).name for kind in AnswerKind] == list(AnswerKind)


def test_a_kind_is_one_object_and_a_wrong_name_raises() -> None:
    assert AnswerKind("numeric") is AnswerKind.NUMERIC
    assert "numeric" in AnswerKind
    assert len(AnswerKind) == len(answer_formats())
    with pytest.raises(AttributeError, match=r"unknown answer kind 'numerc'; did you mean numeric"):
        AnswerKind.NUMERC  # noqa: B018 – looked up for the error
