from __future__ import annotations

import pytest

from sdg_assets.settings import Settings
from sdg_assets.stages.plan import PARSED_SHARE, RoughCounter, plan_subtask
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import example


@pytest.mark.parametrize(
    ("settings", "votes_a_row"),
    [
        ({"votes": 5}, 4),  # three decide, or up to five
        ({"votes": 5, "majority": 0.7}, 4.5),
        ({"votes": 5, "adaptive_voting": False}, 5),
        ({"votes": 1}, 1),
    ],
)
def test_votes_are_planned_as_they_will_be_cast(
    settings: dict[str, object], votes_a_row: float
) -> None:
    run_settings = Settings(with_knowledge=False, with_judge=False, **settings)  # type: ignore[arg-type]

    planned = plan_subtask(
        seed_task().resolve("quiz"), [example()], RoughCounter(), run_settings, 1000
    )

    assert planned.requests == 1000 + 1000 * PARSED_SHARE * votes_a_row
