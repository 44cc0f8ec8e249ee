"""Serves the counts of a step to Prometheus, or pushes them. What fails here fails no step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from sdg_assets.addresses import LAST_PORT, Credentials, Listening, masked
from sdg_assets.metrics.counts import Counts, Step
from sdg_assets.metrics.table import METRICS, Metric
from sdg_assets.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family

PORTS = 16
"""Ports tried, from the configured one on: several steps may run on one machine."""
PUSH_SECONDS = 15.0
"""Seconds between two pushes; Prometheus scrapes about as often."""
ANSWER_SECONDS = 5.0
LAST_PUSH_SECONDS = 1.0
"""How long the end of a step waits for its last push: an ended run must end at once."""
JOB = "sdg"


@contextmanager
def exported(knobs: Settings, step: Step, log: logging.Logger) -> Iterator[Counts]:
    """Counts a step, and exports the counts while the block runs, as the settings say.

    Args:
        knobs: `SDG_METRICS` and `SDG_METRICS_PUSH`; without both, nothing is exported.
        step: The step.
        log: Is told where the counts are served, and why they are not.

    Yields:
        The counts, to be filled by the step.
    """
    counts = Counts(step)
    if knobs.metrics_served_at is None and knobs.metrics_push is None:
        yield counts
        return
    with ExitStack() as exporters:
        try:
            registry = registry_of(counts)
            if knobs.metrics_served_at:
                exporters.enter_context(_served(registry, knobs.metrics_served_at, log))
            if url := knobs.metrics_push:
                login = knobs.credentials_at(url).get(url)
                exporters.enter_context(_pushed(registry, url, login, step, log))
        except Exception as error:  # noqa: BLE001 – a step does not need its metrics
            log.warning(f"no metrics: {masked(str(error))}")
        try:
            yield counts
        finally:
            counts.end()


def registry_of(counts: Counts) -> CollectorRegistry:
    """The registry that reads the counts whenever somebody asks for them."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    class Reader(Collector):
        def collect(self) -> Iterator[Family]:
            families = {metric: _family(metric) for metric in METRICS}
            for metric, labels, value in counts.samples():
                families[metric].add_metric(labels, value)
            yield from families.values()

        def describe(self) -> Iterator[Family]:
            """The families without values: registering must not read the counts."""
            return map(_family, METRICS)

    registry = CollectorRegistry()
    registry.register(Reader())
    return registry


def _family(metric: Metric) -> Any:  # noqa: ANN401 – one of two classes with `add_metric`
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.stem, metric.help, labels=metric.labels)


@contextmanager
def _served(registry: CollectorRegistry, at: Listening, log: logging.Logger) -> Iterator[None]:
    """Serves a registry at the first free port; at none if there is none."""
    from prometheus_client import start_http_server

    last = min(at.port + PORTS - 1, LAST_PORT)
    failure: OSError | None = None
    for port in range(at.port, last + 1):
        try:
            server, thread = start_http_server(port, at.host, registry)
        except OSError as error:
            failure = error
            continue
        host = f"[{at.host}]" if ":" in at.host else at.host
        taken = f", because {at.port} is taken" if at.port not in (0, server.server_port) else ""
        log.info(f"metrics: http://{host}:{server.server_port}/metrics{taken}")
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
        return
    log.warning(
        f"no metrics: nothing can be served at {at.host}, ports {at.port} to {last} ({failure}); "
        "set another port in SDG_METRICS"
    )
    yield


@contextmanager
def _pushed(
    registry: CollectorRegistry,
    url: str,
    login: Credentials | None,
    step: Step,
    log: logging.Logger,
) -> Iterator[None]:
    """Pushes a registry every `PUSH_SECONDS`, and at the end."""
    pusher = _Pusher(registry, url, login, step)
    pusher.start()
    try:
        yield
    finally:
        pusher.finish()
        if pusher.failure:
            log.warning(f"metrics did not reach {url}: {pusher.failure}; see SDG_METRICS_PUSH")


class _Pusher(threading.Thread):
    """The thread that pushes, so that a slow gateway delays nothing."""

    def __init__(
        self, registry: CollectorRegistry, url: str, login: Credentials | None, step: Step
    ) -> None:
        super().__init__(name="metrics", daemon=True)
        self.failure = ""
        """Why the last push failed; empty if it did not."""
        self._registry, self._url, self._login = registry, url, login
        self._group = {name: value for name, value in asdict(step).items() if value}
        self._is_over = threading.Event()

    def run(self) -> None:
        """Pushes until the step is over, and then once more."""
        while not self._is_over.wait(PUSH_SECONDS):
            self._push()
        self._push()

    def finish(self) -> None:
        """Pushes the last counts; returns when they have arrived, or soon."""
        self._is_over.set()
        self.join(LAST_PUSH_SECONDS)
        if self.is_alive():
            self.failure = self.failure or f"no answer within {LAST_PUSH_SECONDS:g} s"

    def _push(self) -> None:
        from prometheus_client import push_to_gateway
        from prometheus_client.exposition import basic_auth_handler

        user, password = self._login or (None, None)  # then it sends no header
        handler = partial(basic_auth_handler, username=user, password=password)
        try:
            push_to_gateway(self._url, JOB, self._registry, self._group, ANSWER_SECONDS, handler)
        except Exception as error:  # noqa: BLE001 – a step does not need its metrics
            self.failure = masked(f"{type(error).__name__}: {error}")
        else:
            self.failure = ""
