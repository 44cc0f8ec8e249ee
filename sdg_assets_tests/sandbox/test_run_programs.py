"""`run_program` and `run_programs`: what comes back in which order, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from sdg_assets import sandbox
from sdg_assets.errors import PermanentError
from sdg_assets.sandbox import Isolation, Program, run_program, run_programs
from sdg_assets_tests.sandbox.running import (
    BRIEF,
    NAMED,
    run,
    wait_until_gone,
)


def test_stream_is_ordered_and_bounded(mode: Isolation) -> None:
    taken = 0

    def endless() -> Iterator[Program]:
        nonlocal taken
        for number in count():
            taken += 1
            yield Program(f"def f(): return {number}", [f"assert f() == {number}, '{number}'"
                          if number % 2 else f"assert f() < 0, 'no {number}'"])  # fmt: skip

    outcomes = run_programs(endless(), workers=2, using=mode)
    first = [next(outcomes).reason for _ in range(6)]
    outcomes.close()  # type: ignore[attr-defined]
    expected = ["passed" if n % 2 else f"failed: AssertionError: no {n}" for n in range(6)]
    assert first == expected
    assert taken <= 10


def test_a_program_without_tests_is_refused() -> None:
    with pytest.raises(ValueError, match="without tests"):
        run_program("x = 1", [], allow_unisolated=True)


def test_without_isolation_it_refuses_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "obstacle", lambda candidate: f"no {candidate} here")
    assert sandbox.isolation() is Isolation.none
    with pytest.raises(sandbox.SandboxUnavailable) as refused:
        run_program("x = 1", ["assert x == 1"])
    assert isinstance(refused.value, PermanentError)
    for hint in ("no bubblewrap here", "install bubblewrap", "SDG_ALLOW_UNSANDBOXED_CODE=1"):
        assert hint in str(refused.value)


def test_none_runs_only_where_allowed(token: str) -> None:
    with pytest.raises(sandbox.SandboxUnavailable):
        run_program("x = 1", ["assert True"], using=Isolation.none)
    allowed: dict[str, Any] = {"allow_unisolated": True, "limits": BRIEF}
    assert run(Isolation.none, "def f(): return 1", "assert f() == 1", **allowed).passed
    daemon = (
        f"{NAMED}\nif not os.fork():\n    os.setsid()\n    rename({token!r})\n    time.sleep(60)\n"
        "def f():\n    while True: pass"
    )
    assert run(Isolation.none, daemon, "f()", **allowed).reason == "timeout"
    assert not wait_until_gone(token)
