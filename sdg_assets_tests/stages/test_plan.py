from __future__ import annotations

import json

import pytest

from sdg_assets.settings import Settings
from sdg_assets.stages import plan
from sdg_assets.stages.plan import PARSED_SHARE, RoughCounter, plan_subtask
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import example

pytestmark = pytest.mark.engine  # the quick teacher's tokenizer counts


@pytest.fixture(autouse=True)
def quick(configure: Configure) -> None:
    configure(teacher="smollm2-135m", seed_source="samples")


def test_the_plan_counts_requests_and_tokens_of_the_real_seeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert plan.main(["--select", "arc/arc_easy,gsm8k", "--json"]) == 0

    arc, gsm8k = json.loads(capsys.readouterr().out)
    assert (arc["subtask"], arc["seeds"]) == ("arc_easy", 16)
    assert arc["requests"] > 16 + 2 * 14  # each seed written after once, most drafts solved twice
    assert arc["prompt_tokens"] > 16 * 200
    assert gsm8k["output_tokens"] > arc["output_tokens"], "worked solutions are longer than choices"


def test_the_table_ends_with_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--select", "arc", "--tokens-per-second", "10"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["task", "arc", "arc", "all"]
    hours = [float(line.split()[-1]) for line in lines[1:]]
    assert hours[-1] == pytest.approx(sum(hours[:-1]), abs=0.02)
    assert hours[-1] > 0.1


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
    chosen = Settings(with_knowledge=False, with_judge=False, **settings)  # type: ignore[arg-type]

    planned = plan_subtask(seed_task().resolve("quiz"), [example()], RoughCounter(), chosen, 1000)

    assert planned.requests == 1000 + 1000 * PARSED_SHARE * votes_a_row


def test_an_unknown_task_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--select", "ark"]) == 2

    assert "unknown seed task 'ark'; did you mean arc" in capsys.readouterr().err
