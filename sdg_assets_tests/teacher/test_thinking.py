"""Cards say how models think; settings choose a mode, and only one that the model has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdg_assets.assets.knobs import SolverConfig, WriterConfig
from sdg_assets.assets.teacher import teacher_assets, version_of
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.errors import PermanentError, TeacherError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.teacher import identity_of, open_teachers
from sdg_assets.teacher.models import TeacherCard, teacher_cards
from sdg_assets.teacher.requests import (
    Message,
    Sampling,
    TeacherIdentity,
    output_limit,
)
from sdg_assets.teacher.thinking import (
    Instruction,
    RecommendedSampling,
    SamplingAdvice,
    Thinking,
)
from sdg_assets.teacher.thoughts import thinking_body
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.records import STAMP
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server
from sdg_assets_tests.support.thinkers import ALWAYS, BY_SYSTEM, RECOMMENDED, SWITCHED, THINKER

CARDS = """
thinker:
  model: org/thinker
  revision: "0123456789012345678901234567890123456789"
  license: MIT
  license_source: its card
  outputs_may_train: yes
  terms: None.
  commercial_use: yes
  certainty: known
  class: thinking
  served_as: [scripted/one]
  thinking:
    default: on
    switch: none
    efforts: {low: {reasoning_effort: low}}
    parser: openai_gptoss
    max_tokens: 4096
  sampling:
    thinking: {temperature: 1.0, top_p: 1.0}
switched:
  model: org/switched
  license: MIT
  license_source: its card
  outputs_may_train: yes
  terms: None.
  commercial_use: yes
  certainty: known
  thinking:
    default: off
    switch: template
    on: {thinking: true}
    off: {thinking: false}
    parser: deepseek_v3
    max_tokens: 4096
plain:
  model: org/plain
  license: MIT
  license_source: its card
  outputs_may_train: yes
  terms: None.
  commercial_use: yes
  certainty: known
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A catalog with a teacher that always thinks, and one that never does."""
    tmp_path.joinpath("teachers.yaml").write_text(CARDS, "utf-8")
    return tmp_path


def test_a_card_says_how_its_model_thinks(catalog: Path) -> None:
    """A bare `on` is a boolean in YAML."""
    card = teacher_cards(catalog)["thinker"]

    assert card.teacher_class == "thinking"
    assert card.thinking is not None
    assert (card.thinking.default, card.thinking.modes) == ("on", ("on", "low"))
    assert card.sampling.thinking.temperature == 1.0
    assert teacher_cards(catalog)["plain"].thinking is None
    switched = teacher_cards(catalog)["switched"].thinking
    assert switched is not None
    assert switched.default == "off"
    assert switched.instruction("on").template == {"thinking": True}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"switch": "none"}, "there is no on or off"),
        ({"off": None}, "say what turns it off"),
        ({"off": "/no_think"}, "off: must be template arguments"),
        ({"switch": "system"}, "must be a text"),
        ({"efforts": {"some": {}}}, "efforts.some"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"budget": 5}, "budget"),
        ({"budgets": {"high": 5}}, "budgets: high is none of the model's efforts"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    thinking = {**SWITCHED.model_dump(), **changes}
    card = {"name": "x", "model": "o/x", "license": "MIT", "license_source": "-", "terms": "-"}
    rights = {"outputs_may_train": "yes", "commercial_use": "yes", "certainty": "guess"}

    with pytest.raises(ValueError, match=fault):
        TeacherCard.model_validate({**card, **rights, "thinking": thinking})


@pytest.mark.parametrize(
    ("thinking", "mode", "instruction"),
    [
        (SWITCHED, "", Instruction()),
        (SWITCHED, "on", Instruction({"enable_thinking": True})),
        (SWITCHED, "off", Instruction({"enable_thinking": False})),
        (ALWAYS, "low", Instruction({"reasoning_effort": "low"})),
        (ALWAYS, "on", Instruction()),
        (BY_SYSTEM, "on", Instruction(system="detailed thinking on")),
        (BY_SYSTEM, "off", Instruction()),
    ],
)
def test_a_mode_becomes_template_arguments_or_a_system_text(
    thinking: Thinking, mode: str, instruction: Instruction
) -> None:
    assert thinking.instruction(mode) == instruction


def test_an_effort_also_switches_thinking_on() -> None:
    both = SWITCHED.model_copy(update={"efforts": {"high": {"effort": 9}}})

    assert both.instruction("high").template == {"enable_thinking": True, "effort": 9}


def test_a_thought_has_a_budget_of_its_own() -> None:
    for mode, limit in (("", 1512), ("on", 1512), ("off", 512)):
        assert output_limit(SWITCHED, Sampling(thinking=mode, max_tokens=512)) == limit
    assert output_limit(None, Sampling(max_tokens=512)) == 512


def test_an_effort_may_have_a_budget_of_its_own() -> None:
    """A thought of gpt-oss at high effort was cut off at the budget of a medium one."""
    efforts = {effort: {"reasoning_effort": effort} for effort in ("low", "high")}
    card = ALWAYS.model_dump() | {"efforts": efforts, "max_tokens": 1000, "budgets": {"high": 9000}}
    thinking = Thinking.model_validate(card)
    identity = TeacherIdentity(STAMP, thinking=thinking)

    assert [thinking.budget(mode) for mode in ("", "low", "high")] == [1000, 1000, 9000]
    assert output_limit(thinking, Sampling(thinking="high", max_tokens=500)) == 9500
    assert thinking_body(thinking, "high")["thinking_token_budget"] == 9000
    assert identity.data_version.endswith("+thought=1000,high:9000")


def test_the_makers_sampling_is_used_by_mode_unless_the_setting_says_otherwise() -> None:
    knobs = WriterKnobs(thinking="on")
    thinking = knobs.sampling(THINKER, 3)
    answering = WriterKnobs(thinking="off").sampling(THINKER, 0)

    assert (thinking.temperature, thinking.top_p, thinking.top_k) == (0.6, 0.95, 20)
    assert (thinking.thinking, thinking.sample, thinking.max_tokens) == ("on", 3, 512)
    assert (answering.temperature, answering.top_p) == (0.65, 0.8)
    assert WriterKnobs(temperature=0.0).sampling(THINKER, 0).temperature == 0.0
    assert SolverKnobs().sampling(TeacherIdentity(STAMP), 0).temperature == 0.7
    assert WriterKnobs().sampling(TeacherIdentity(STAMP), 0).temperature == 0.9


def test_advice_for_thinking_is_never_used_while_the_model_answers_at_once() -> None:
    """Where the makers say nothing about a mode, the role's own values are sent."""
    of_thinking = RecommendedSampling(
        thinking=SamplingAdvice(temperature=0.61, top_p=0.96, top_k=21, min_p=0.01)
    )
    teacher = TeacherIdentity(STAMP, thinking=SWITCHED, sampling=of_thinking)
    without_advice = TeacherIdentity(STAMP, thinking=SWITCHED)

    for knobs in (WriterKnobs(thinking="off"), SolverKnobs(thinking="off")):
        assert knobs.sampling(teacher, 0) == knobs.sampling(without_advice, 0)


def test_a_judge_is_greedy_unless_it_thinks() -> None:
    teacher = ScriptedTeacher(lambda _: "")
    assert Judge(teacher).sampling == Sampling(temperature=0.0, top_p=1.0, max_tokens=320)

    teacher.identity = THINKER
    assert Judge(teacher, thinking="off").sampling.temperature == 0.0
    assert Judge(teacher).sampling.temperature == 0.6


def test_the_mode_is_part_of_a_requests_id_and_the_budget_of_the_teachers_version() -> None:
    def asked(identity: TeacherIdentity, mode: str) -> str:
        knobs = SolverKnobs(thinking=mode)
        message = Message(role="user", content="Why?")
        sampling = knobs.sampling(identity, 0)
        return request_of(identity, [message], sampling).id

    other = SWITCHED.model_copy(update={"max_tokens": 2000})
    longer = TeacherIdentity(STAMP, thinking=other, sampling=RECOMMENDED)

    assert len({asked(THINKER, mode) for mode in ("", "on", "off")}) == 3
    assert asked(longer, "on") == asked(THINKER, "on")
    assert longer.data_version != THINKER.data_version


def test_each_role_gets_its_mode(configure: Configure) -> None:
    configure(thinking="solver:on, writer:off,judge:low", reasoning="condensed")

    assert settings().thinking == {"solver": "on", "writer": "off", "judge": "low"}
    assert WriterConfig().knobs(settings()).thinking == "off"
    assert SolverConfig().knobs(settings()).thinking == "on"
    assert SolverConfig().knobs(settings()).reasoning == "condensed"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("solver", "'solver': write role:mode, as in solver:on"),
        ("sover:on", "unknown role 'sover'; did you mean solver?"),
        ("solver:loww", "solver: unknown mode 'loww'; did you mean low"),
        ("solver:on,solver:off", "solver is named twice"),
    ],
)
def test_a_wrong_setting_is_one_clear_sentence(
    configure: Configure, value: str, fault: str
) -> None:
    configure(thinking=value)

    with pytest.raises(PermanentError, match=r"SDG_THINKING=") as caught:
        settings()
    assert fault in str(caught.value)


def test_a_scoring_model_has_no_mode(configure: Configure) -> None:
    configure(thinking="judge:on", judge_api="reward", judge="http://localhost:1")

    with pytest.raises(PermanentError, match="leave the judge out"):
        settings()


@pytest.mark.parametrize(
    ("teacher", "mode", "fault"),
    [
        ("thinker", "off", "allows only on, low"),
        ("thinker", "high", "allows only on, low"),
        ("plain", "on", "has no `thinking`"),
        ("org/unheard-of", "low", "has no `thinking`"),
    ],
)
def test_a_mode_that_the_model_lacks_is_refused_before_a_model_is_loaded(
    configure: Configure, catalog: Path, teacher: str, mode: str, fault: str
) -> None:
    configure(thinking=f"solver:{mode}", teacher=teacher, catalog=catalog)

    for refused in (teacher_assets, lambda: open_teachers(settings(), [Role.SOLVER])):
        with pytest.raises(TeacherError) as caught:
            refused()
        assert str(caught.value).startswith(f"SDG_THINKING=solver:{mode}: teacher {teacher} ")
        assert fault in str(caught.value)


def test_a_mode_that_the_model_has_is_accepted(configure: Configure, catalog: Path) -> None:
    configure(thinking="solver:low,writer:off", solver="thinker", teacher="plain", catalog=catalog)

    assert teacher_assets() is not None


def test_a_served_models_mode_is_checked_when_the_server_says_which_model_it_is(
    configure: Configure, catalog: Path
) -> None:
    with teacher_server(TeacherServer()) as server:
        configure(thinking="solver:off", teacher=server.url, catalog=catalog)
        with pytest.raises(TeacherError, match="SDG_THINKING=solver:off"):
            open_teachers(settings(), [Role.SOLVER])
        with pytest.raises(TeacherError, match="SDG_THINKING=solver:off"):
            identity_of(settings(), Role.SOLVER)


def test_a_mode_is_part_of_the_roles_version(configure: Configure) -> None:
    before = {role: version_of(role, THINKER) for role in Role}
    configure(thinking="solver:on")

    after = {role: version_of(role, THINKER) for role in Role}

    assert {role for role in Role if before[role] != after[role]} == {Role.SOLVER}
