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
    arc, gsm8k = json.loads(done.stdout)["subtasks"]
    assert (arc["subtask"], arc["seeds"], arc["seeds_from"]) == ("arc_easy", 16, "samples")
    assert arc["requests"] > 16 + 2 * 14  # one example per seed, most drafts solved twice
    assert arc["prompt_tokens"] > 16 * 200
    assert arc["roles"]["writer"]["requests"] == 16
    assert arc["roles"]["solver"]["requests"] == arc["requests"] - 16
    assert arc["gpu_hours"] == arc["output_tokens"] / 2000 / 3600
    assert gsm8k["output_tokens"] > arc["output_tokens"], "worked solutions are longer than choices"


def test_the_table_ends_with_all_of_it() -> None:
    done = sdg("plan", "arc", "--tokens-per-second", "10")

    assert done.exit_code == 0
    assert "Seeds counted in samples: 2 of 2 subtasks." in done.stderr
    *lines, empty, told = done.stdout.splitlines()
    assert not empty
    assert told.startswith("1 teacher: ")
    assert [line.split()[0] for line in lines] == ["task", "arc", "arc", "all"]
    hours = [float(line.split()[-1]) for line in lines[1:]]
    assert hours[-1] == pytest.approx(sum(hours[:-1]), abs=0.02)
    assert hours[-1] > 0.1


def test_an_unknown_task_is_one_clear_line() -> None:
    done = sdg("plan", "ark")

    assert done.exit_code == 2
    assert "unknown seed task 'ark'; did you mean arc" in done.stderr


def test_more_gpus_take_less_time_and_more_gpu_hours() -> None:
    def forecast(*arguments: str) -> dict[str, float]:
        command = ("plan", "arc/arc_easy", "gsm8k", "--tokens-per-second", "1", "--batch", "1")
        done = sdg(*command, *arguments, "--json")
        assert done.exit_code == 0, done.stderr
        hours: dict[str, float] = json.loads(done.stdout)["forecast"]
        return hours

    one, four = forecast(), forecast("--gpus", "4")
    failing = forecast("--gpus", "4", "--failures-per-day", "48")

    assert four["hours"] < one["hours"] / 2
    assert four["replica_hours"] > one["replica_hours"]
    assert failing["hours"] > four["hours"]
    assert four["hours"] <= four["late_hours"]


def test_wished_hours_become_a_number_of_pods() -> None:
    command = ("plan", "gsm8k", "--tokens-per-second", "1", "--batch", "1", "--load-minutes", "0")
    done = sdg(*command, "--hours", "1")
    needed = json.loads(sdg(*command, "--hours", "1", "--json").stdout)["replicas_needed"]

    assert done.exit_code == 0, done.stderr
    assert needed >= 1
    assert f"run with the tag sdg/indexes={needed}." in done.stdout
    never = sdg(*command, "--hours", "0.01")
    assert "No number of teachers is done in 0.01 h" in never.stdout


def test_fewer_gpus_than_the_teacher_needs_are_refused(configure: Configure) -> None:
    configure(teacher="smollm2-135m", solver="qwen3-235b")

    done = sdg("plan", "gsm8k", "--gpus", "1")

    assert done.exit_code == 2
    assert done.stderr.startswith("error: --gpus 1: the solver needs ")


def test_prices_add_the_money_and_what_has_none_is_unknown(configure: Configure) -> None:
    price = '{"gpu_hour": 3.6}'
    configure(prices=f'{{"currency": "EUR", "teachers": {{"smollm2-135m": {price}}}}}')

    (plan,) = json.loads(sdg("plan", "arc/arc_easy", "--json").stdout)["subtasks"]

    assert plan["money"] == pytest.approx(3.6 * plan["gpu_hours"], rel=0.01)
    assert plan["currency"] == "EUR"
    configure(prices=f'{{"currency": "EUR", "teachers": {{"another/model": {price}}}}}')
    done = sdg("plan", "arc/arc_easy")
    assert done.stdout.splitlines()[0].split()[-1] == "EUR"
    assert done.stdout.splitlines()[1].split()[-1] == "unknown"
    assert "SDG_PRICES has no price of" in done.stderr
