"""Members of an open set that lie in a package of somebody else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdg_assets.errors import PermanentError
from sdg_assets.registry import members
from sdg_assets_tests.support.packages import installed

SET = "sdg_assets.answers", "ANSWER"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    members.cache_clear()
    yield
    members.cache_clear()
    for name in [name for name in sys.modules if name.startswith("someones_")]:
        del sys.modules[name]


def test_a_module_of_another_package_is_a_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "someones_kind", "ANSWER = 'theirs'\n", group=SET[0])
    monkeypatch.syspath_prepend(tmp_path)
    assert members(*SET)[-1] == "theirs"
    assert len(members(*SET)) > 1


@pytest.mark.parametrize(
    ("source", "points_at", "fault"),
    [
        ("ANSWER = 1\n", "someones_other", "No module named 'someones_other'"),
        ("import nowhere_to_be_found\n", "someones_kind", "nowhere_to_be_found"),
        ("OTHER = 1\n", "someones_kind", "must be a module that exports ANSWER"),
        ("ANSWER = 1\n", "someones_kind:ANSWER", "must be a module that exports ANSWER"),
    ],
)
def test_a_broken_entry_point_is_named_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, points_at: str, fault: str
) -> None:
    installed(tmp_path, "someones_kind", source, group=SET[0], points_at=points_at)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        PermanentError, match=r"entry point 'someones_kind' of sdg_assets\.answers"
    ) as e:
        members(*SET)
    assert fault in str(e.value)
