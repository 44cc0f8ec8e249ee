from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from sdg_assets.sandbox import Isolation, run_program
from sdg_assets_tests.sandbox.running import SAFE


@pytest.fixture(params=SAFE)
def mode(request: pytest.FixtureRequest) -> Iterator[Isolation]:
    """An isolation; whatever a test did in it, the next program is none the worse."""
    yield request.param
    assert run_program("def f(): return 1", ["assert f() == 1"], using=request.param).passed


@pytest.fixture
def token() -> str:
    """A name that a program gives its processes, by which the host finds them."""
    return f"sdg{secrets.token_hex(5)}"
