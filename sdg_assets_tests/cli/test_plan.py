from __future__ import annotations

import json

import pytest

from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.command import sdg

pytestmark = pytest.mark.engine  # the quick teacher's tokenizer counts


@pytest.fixture(autouse=True)
def quick(configure: Configure) -> None:
    configure(teacher="smollm2-135m", seed_source="samples")


def test_the_plan_counts_requests_and_tokens_of_the_real_seeds() -> None:
    done = sdg("plan", "arc/arc_easy", "gsm8k", "--json")

    assert done.exit_code == 0
    arc, gsm8k = json.loads(done.stdout)
    assert (arc["subtask"], arc["seeds"]) == ("arc_easy", 16)
    assert arc["requests"] > 16 + 2 * 14  # one example per seed, most drafts solved twice
    assert arc["prompt_tokens"] > 16 * 200
    assert arc["gpu_hours"] == arc["output_tokens"] / 2000 / 3600
    assert gsm8k["output_tokens"] > arc["output_tokens"], "worked solutions are longer than choices"


def test_the_table_ends_with_all_of_it() -> None:
    done = sdg("plan", "arc", "--tokens-per-second", "10")

    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["task", "arc", "arc", "all"]
    hours = [float(line.split()[-1]) for line in lines[1:]]
    assert hours[-1] == pytest.approx(sum(hours[:-1]), abs=0.02)
    assert hours[-1] > 0.1


def test_an_unknown_task_is_one_clear_line() -> None:
    done = sdg("plan", "ark")

    assert done.exit_code == 2
    assert "unknown seed task 'ark'; did you mean arc" in done.stderr
