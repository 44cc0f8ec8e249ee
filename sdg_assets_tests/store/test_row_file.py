from __future__ import annotations

import pytest

from sdg_assets.records import Example
from sdg_assets.store import row_file
from sdg_assets.store.row_file import RowFile
from sdg_assets_tests.support.records import example

ROWS = [example(question=f"Was ist größer, {number} oder 水?") for number in range(600)]


def test_a_row_file_is_the_sequence_that_was_written_into_it() -> None:
    rows = RowFile(Example, iter(ROWS))

    assert len(rows) == len(ROWS)
    assert list(rows) == ROWS
    assert [rows[place] for place in (599, 0, 300, -1)] == [ROWS[p] for p in (599, 0, 300, -1)]
    assert rows[3:9:2] == ROWS[3:9:2]
    with pytest.raises(IndexError):
        rows[600]


def test_rows_beyond_the_cache_are_read_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_file, "CACHED_ROWS", 2)
    rows = RowFile(Example, iter(ROWS))

    assert [rows[place] for place in (7, 5, 7, 599)] == [ROWS[place] for place in (7, 5, 7, 599)]
    assert list(rows) == ROWS


def test_a_row_file_without_rows_is_empty() -> None:
    assert list(RowFile(Example, iter(()))) == []
