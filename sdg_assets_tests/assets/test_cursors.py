from __future__ import annotations

from hashlib import sha256

import pytest

from sdg_assets.assets.cursors import packed, unpacked


def test_a_cursor_holds_the_requests_of_a_whole_catalog_in_a_third_of_their_size() -> None:
    requests = {
        f"task_{n // 7}/generated/subtask_{n}": [sha256(str(n).encode()).hexdigest()[:12], 1]
        for n in range(741)
    }

    cursor = packed(requests)

    assert unpacked(cursor) == requests
    assert len(cursor) < len(str(requests)) / 3


@pytest.mark.parametrize("cursor", [None, "", '{"lakes/como": 2}', "reset", "W10=", packed({})])
def test_what_is_no_packed_object_starts_the_counts_anew(cursor: str | None) -> None:
    assert unpacked(cursor) == {}
