"""A model whose card says that it cannot judge is never the judge, whatever its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sdg_assets.errors import PermanentError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.teacher import has_judge, open_teachers
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

CANNOT, UNHEARD_OF = "Qwen/Qwen2.5-Coder-1.5B-Instruct", "org/unheard-of"


@pytest.fixture
def served(configure: Configure) -> Iterator[TeacherServer]:
    """A server that plays every role."""
    with teacher_server(TeacherServer()) as server:
        configure(teacher=server.url, judge_may_be_writer=True)
        yield server


@pytest.mark.parametrize(
    ("name", "judges"),
    [
        ("qwen2.5-coder-1.5b", False),
        (CANNOT, False),
        (f"{CANNOT}@main", False),
        (f"/models/{CANNOT}", False),
        ("qwen3-32b", True),
        (UNHEARD_OF, True),
    ],
)
def test_a_name_tells_whether_its_model_judges(
    name: str, judges: bool, configure: Configure
) -> None:
    configure(teacher=name, judge_may_be_writer=True)

    assert has_judge(settings()) is judges


def test_a_writer_is_no_judge_unless_a_setting_allows_it(configure: Configure) -> None:
    configure(teacher="qwen3-32b")

    assert not has_judge(settings())

    configure(judge_may_be_writer=True)

    assert has_judge(settings())


@pytest.mark.parametrize("wish", [{"with_judge": True}, {"judge": "qwen3-32b"}])
def test_a_judge_that_is_the_writer_is_refused_when_settings_are_read(
    wish: dict[str, Any], configure: Configure
) -> None:
    configure(teacher="qwen3-32b", **wish)

    with pytest.raises(
        PermanentError,
        match=r"the judge and the writer are both qwen3-32b, .* set SDG_JUDGE to another model, or "
        "allow it with SDG_JUDGE_MAY_BE_WRITER=true$",
    ):
        settings()


@pytest.mark.parametrize(("model", "judges"), [(CANNOT, False), (UNHEARD_OF, True)])
def test_a_server_tells_whether_its_model_judges_when_it_is_opened(
    model: str, judges: bool, served: TeacherServer
) -> None:
    served.model = model

    opened = open_teachers(settings(), [Role.SOLVER, Role.JUDGE])

    assert (Role.JUDGE in opened) is judges
    assert Role.SOLVER in opened


def test_whoever_wants_a_weak_judge_gets_it(served: TeacherServer, configure: Configure) -> None:
    served.model = CANNOT
    configure(with_judge=True)

    assert Role.JUDGE in open_teachers(settings(), [Role.SOLVER, Role.JUDGE])
