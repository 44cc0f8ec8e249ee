from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import pytest

from sdg_assets.metrics.counts import Step
from sdg_assets.metrics.exporter import PORTS, exported
from sdg_assets.metrics.table import METRICS
from sdg_assets.settings import settings
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.object_server import free_ports
from sdg_assets_tests.support.pushgateway import Gateway, pushgateway, total, values_in
from sdg_assets_tests.support.runs import failures, metadata, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion

STEP = Step("run-1", "quiz__generated")
log = logging.getLogger("sdg_assets_tests.metrics")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with pushgateway() as receiver:
        yield receiver


def scraped(address: str) -> str:
    response = httpx.get(address)
    response.raise_for_status()
    return response.text


def addresses(caplog: pytest.LogCaptureFixture) -> list[str]:
    return re.findall(r"http://\S+/metrics", caplog.text)


def test_what_is_scraped_and_pushed_is_what_the_step_reports(
    mirror: Path,
    instance: dg.DagsterInstance,
    employ: Employ,
    configure: Configure,
    gateway: Gateway,
) -> None:
    (port,) = free_ports(1)
    configure(metrics=port, metrics_push=gateway.url)
    scrapes: list[str] = []

    def answer(request: Request) -> object:
        scrapes.append(scraped(f"http://127.0.0.1:{port}/metrics"))
        return completion(request, write_and_solve(request), cached_tokens=1)

    teacher = employ(ScriptedTeacher(answer, capacity=2))  # type: ignore[arg-type]

    result = run("quiz", subtasks="quiz_a", instance=instance)

    assert not failures(result)
    names = {"task": "quiz", "stage": "generated", "role": "writer", "model": "scripted/teacher"}
    first, third = (values_in(text) for text in (scrapes[0], scrapes[2]))
    assert total(first, "sdg_completions_total", **names) == 0
    assert total(third, "sdg_completions_total", **names, outcome="stop") == 2
    assert total(third, "sdg_requests_under_way", **names) == 2
    assert total(third, "sdg_request_capacity") == 2
    assert total(third, "sdg_partition_done", subtask="quiz_a", stage="generated") == 2
    assert total(third, "sdg_partition_planned", subtask="quiz_a", stage="generated") == 4
    assert total(third, "sdg_step_info", run=result.run_id, step="quiz__generated") == 1
    for stage in ("generated", "enriched"):
        group = f"/metrics/job/sdg/run/{result.run_id}/step/quiz__{stage}"
        pushed, reported = gateway.last(group), metadata(instance, "quiz", stage, "quiz_a")
        for metric, name in {
            "sdg_completions_total": "teacher_requests",
            "sdg_generated_tokens_total": "output_tokens",
            "sdg_prompt_tokens_total": "prompt_tokens",
            "sdg_reused_completions_total": "teacher_requests_reused",
        }.items():
            assert total(pushed, metric, stage=stage) == reported[name], metric
        assert total(pushed, "sdg_rows_total", verdict="accepted") == reported["rows"]
        assert total(pushed, "sdg_partitions_published_total", stage=stage) == 1
        assert total(pushed, "sdg_partitions_filled_total", outcome="complete") == 1
        assert total(pushed, "sdg_requests_under_way") == 0
        assert total(pushed, "sdg_step_info", run=result.run_id) == 0, "the gateway keeps it"
    assert total(pushed, "sdg_cached_prompt_tokens_total") == len(teacher.requests) - 4
    assert total(pushed, "sdg_completions_total", role="solver") == len(teacher.requests) - 4
    with pytest.raises(httpx.ConnectError):
        scraped(f"http://127.0.0.1:{port}/metrics")


def test_a_rerun_counts_what_the_log_answers(
    mirror: Path,
    instance: dg.DagsterInstance,
    employ: Employ,
    configure: Configure,
    gateway: Gateway,
) -> None:
    employ(ScriptedTeacher(lambda _: "What?"))  # no row is left
    run("quiz", ["seeds", "normalized", "generated"], subtasks="quiz_a", instance=instance)
    configure(metrics_push=gateway.url)

    again = run("quiz", ["generated"], subtasks="quiz_a", instance=instance)

    values = gateway.last(f"/metrics/job/sdg/run/{again.run_id}/step/quiz__generated")
    assert total(values, "sdg_completions_total") == 0
    assert total(values, "sdg_reused_completions_total", role="writer") == 4
    assert total(values, "sdg_reused_tokens_total", role="writer") == 4
    assert total(values, "sdg_rows_total", verdict="refused", gate="generation") == 4
    assert total(values, "sdg_partitions_published_total") == 0


def test_steps_on_one_machine_take_ports_one_after_the_other(
    configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    configure(metrics=f":{port}")
    with (
        caplog.at_level(logging.INFO, log.name),
        exported(settings(), STEP, log),
        exported(settings(), Step("run-2", "quiz__enriched"), log),
    ):
        first, second = addresses(caplog)
        assert first == f"http://127.0.0.1:{port}/metrics"
        assert f"{second}, because {port} is taken" in caplog.text
        assert "run-1" in scraped(first)
        assert "run-2" in scraped(second)


@pytest.mark.parametrize("at", ["203.0.113.7:9464", "no-such-host.invalid:9464"])
def test_an_address_that_cannot_be_served_is_a_warning(
    configure: Configure, caplog: pytest.LogCaptureFixture, at: str
) -> None:
    configure(metrics=at)
    host, _, port = at.partition(":")

    with exported(settings(), STEP, log) as counts:
        assert counts.samples()

    assert f"no metrics: nothing can be served at {host}, ports {port} to" in caplog.text
    assert str(int(port) + PORTS - 1) in caplog.text


def test_a_password_reaches_the_gateway_and_nobody_else(
    configure: Configure, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    configure(metrics_push=gateway.url.replace("://", "://ana:se%40cret@"))
    gateway.status = 503

    with caplog.at_level(logging.DEBUG), exported(settings(), STEP, log):
        pass

    assert [push.authorization for push in gateway.pushes] == ["Basic YW5hOnNlQGNyZXQ="]
    assert settings().metrics_push == gateway.url
    assert f"metrics did not reach {gateway.url}: HTTPError: HTTP Error 503" in caplog.text
    assert "cret" not in caplog.text + repr(settings())


def test_a_gateway_that_is_gone_is_a_warning_of_a_step_that_succeeds(
    mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    (port,) = free_ports(1)
    configure(metrics_push=f"http://127.0.0.1:{port}")

    result = run("quiz", ["seeds"], subtasks="quiz_a", instance=instance)

    assert result.success
    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert any(f"metrics did not reach http://127.0.0.1:{port}: " in text for text in messages)


def test_every_metric_of_the_table_is_announced(configure: Configure) -> None:
    (port,) = free_ports(1)
    configure(metrics=port)
    with exported(settings(), STEP, log):
        text = scraped(f"http://localhost:{port}/metrics")
    announced = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))

    assert announced == {metric.name for metric in METRICS}


def test_nothing_is_served_or_pushed_by_default(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, log.name), exported(settings(), STEP, log) as counts:
        assert len(counts.samples()) == 1

    assert not caplog.records
