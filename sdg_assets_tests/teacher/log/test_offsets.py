from __future__ import annotations

import random

import pytest

from sdg_assets.teacher.log.offsets import Offsets
from sdg_assets_tests.support.memory import bytes_a_row


def test_offsets_behave_like_a_dict_of_ids() -> None:
    rng, offsets, expected = random.Random(4), Offsets(), dict[str, int]()
    for start in range(5000):
        request_id = f"{rng.randrange(3000):020x}"
        assert (request_id in offsets) == (request_id in expected)
        offsets[request_id] = expected[request_id] = start

    assert len(offsets) == len(expected) > 2000
    assert {request_id: offsets[request_id] for request_id in expected} == expected
    assert list(offsets) == sorted(expected.values())
    with pytest.raises(KeyError, match="another"):
        offsets["another"]


def test_an_offset_takes_a_fourth_of_what_it_takes_in_a_dict() -> None:
    def index(rows: int) -> Offsets:
        offsets = Offsets()
        for number in range(rows):
            offsets[f"{number:020x}"] = 1000 * number
        return offsets

    assert bytes_a_row(index, 2000) < 70  # 48, and the smaller table while it grows
