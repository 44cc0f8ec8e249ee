from __future__ import annotations

import pytest

from sdg_assets.errors import PermanentError
from sdg_assets.teacher.share import WHOLE, Share

ROWS = [f"row-{number}" for number in range(4000)]


@pytest.mark.parametrize("of", [1, 2, 7, 16])
def test_every_row_belongs_to_exactly_one_process(of: int) -> None:
    shares = [Share(index, of) for index in range(of)]

    assert all(sum(share.holds(row) for share in shares) == 1 for row in ROWS)


def test_the_shares_are_about_equal() -> None:
    sizes = [sum(map(Share(index, 16).holds, ROWS)) for index in range(16)]

    assert min(sizes) > 0.8 * len(ROWS) / 16
    assert max(sizes) < 1.2 * len(ROWS) / 16


def test_one_process_has_all_rows() -> None:
    assert all(map(WHOLE.holds, ROWS))


@pytest.mark.parametrize("index", [-1, 4, 5])
def test_a_number_that_no_process_has_is_refused(index: int) -> None:
    with pytest.raises(PermanentError, match="of 4: the indexes are 0 to 3"):
        Share(index, 4)
