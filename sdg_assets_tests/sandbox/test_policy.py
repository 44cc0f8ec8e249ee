from __future__ import annotations

import pytest

from sdg_assets import sandbox
from sdg_assets.answers.programs import passes
from sdg_assets.records import AnswerKind, Example
from sdg_assets.sandbox.policy import may_run_unisolated, unisolated_programs
from sdg_assets_tests.support.records import example


@pytest.fixture(autouse=True)
def nothing_isolates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "obstacle", lambda candidate: f"no {candidate} here")


def row(program: str) -> Example:
    tests = ["assert double(2) == 4", "assert double(3) == 6"]
    return example(answer_kind=AnswerKind.CODE, question="Write f.", answer=program, tests=tests)


def test_programs_run_without_isolation_only_if_the_edge_allows_it() -> None:
    program = "def double(x):\n    return x + x  # unprotected"

    with pytest.raises(sandbox.SandboxUnavailable, match="SDG_ALLOW_UNSANDBOXED_CODE=1"):
        passes(program, row(program))
    with unisolated_programs(allowed=False), pytest.raises(sandbox.SandboxUnavailable):
        passes(program, row(program))
    with unisolated_programs(allowed=True):
        assert passes(program, row(program))


def test_the_permission_ends_with_its_block_even_after_an_exception() -> None:
    def fail() -> None:
        assert may_run_unisolated()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), unisolated_programs(allowed=True):
        fail()

    assert not may_run_unisolated()
