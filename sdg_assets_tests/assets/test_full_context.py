"""A teacher whose context a role's output fills up is an error, not a partition of refusals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdg_assets.assets.desks import desks_of
from sdg_assets.catalog import load_catalog
from sdg_assets.errors import TeacherError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.store.partitions import Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.odd_server import CHAT, LISTED, OddServer, odd_server, reply


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as odd:
        odd.stubborn = True
        yield odd


def opened(server: OddServer, model: str, context: int | None, *roles: Role) -> set[Role]:
    """Opens the desks of roles that a server of this model and context plays."""
    listed = {"id": model, "max_model_len": context} if context else {"id": model}
    server.answers[LISTED] = [reply({"data": [listed]})]
    spec = load_catalog().subtask("arc", "arc_easy")
    with desks_of(Store(settings().store), spec, roles, settings()) as desks:
        return set(desks)


@pytest.mark.parametrize(
    ("role", "answer"), [(Role.WRITER, 2048), (Role.SOLVER, 1024), (Role.PROBE, 1024)]
)
def test_a_context_that_holds_no_prompt_beside_the_output_is_an_error(
    configure: Configure, server: OddServer, role: Role, answer: int
) -> None:
    configure(teacher=server.url, probe=server.url)

    with pytest.raises(TeacherError) as error:
        opened(server, "Qwen/Qwen3-32B", 8192, role)

    message = str(error.value)
    assert message.startswith(
        f"the {role} Qwen/Qwen3-32B may write a thought of 8192 and an answer of {answer} tokens, "
        "but its context holds 8192 tokens"
    )
    for advice in ("max_model_len", "`max_tokens` of `thinking`", f"SDG_THINKING={role}:off"):
        assert advice in message
    assert ("_MAX_TOKENS" in message) == (role is not Role.PROBE)
    assert server.requests(CHAT) == 0


def test_so_it_is_for_a_judge_that_thinks(configure: Configure, server: OddServer) -> None:
    configure(judge=server.url, with_judge=True)

    with pytest.raises(TeacherError, match=r"the judge .* thought of 8192 and an answer of "):
        opened(server, "Qwen/Qwen3-32B", 8192, Role.JUDGE)


def test_an_answer_alone_may_fill_a_context(configure: Configure, server: OddServer) -> None:
    configure(teacher=server.url, solver_max_tokens=4096)

    with pytest.raises(TeacherError, match=r"an answer of 4096 .* holds 4096 .*SOLVER_MAX_TOKENS$"):
        opened(server, "org/unknown", 4096, Role.SOLVER)


@pytest.mark.parametrize("context", [16_384, None], ids=["enough", "nobody states it"])
def test_a_context_with_room_is_no_error(
    configure: Configure, server: OddServer, context: int | None
) -> None:
    configure(teacher=server.url)

    assert opened(server, "Qwen/Qwen3-32B", context, Role.SOLVER) == {Role.SOLVER}


def test_a_teacher_that_answers_at_once_needs_no_room_for_a_thought(
    configure: Configure, server: OddServer
) -> None:
    configure(teacher=server.url, thinking="solver:off")

    assert opened(server, "Qwen/Qwen3-32B", 8192, Role.SOLVER) == {Role.SOLVER}
