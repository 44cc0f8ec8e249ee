"""What a step counts: read from its feeds and reports, which count anyway."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

from sdg_assets.checks.tally import Tally
from sdg_assets.metrics.table import (
    CAPACITY,
    COMPLETIONS,
    DONE,
    FILLED,
    METRICS,
    PLANNED,
    PUBLISHED,
    ROWS,
    STEP,
    UNDER_WAY,
    WAITING,
    Metric,
)
from sdg_assets.store.partitions import PartitionKey
from sdg_assets.teacher.conversation import Feed, Usage
from sdg_assets.teacher.requests import Queueing, Teacher


@dataclass(frozen=True)
class Step:
    """The step whose counts these are: the grouping key of pushed metrics."""

    run: str
    """Id of the run; for `sdg fill` on a machine of one's own, the machine's name."""
    step: str
    """`<task>__<stage>`; `several__<stage>` where `sdg fill` fills several tasks."""
    index: str = ""
    """Number of a process among those that share the rows; empty: there is one."""


class Sample(NamedTuple):
    """A value of a metric."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class _Series(NamedTuple):
    """The labels of what is counted by role."""

    task: str
    stage: str
    role: str
    model: str


_RowSeries = tuple[str, str, str, str]
"""The labels of rows: task, stage, verdict and gate."""


@dataclass(frozen=True)
class _Filling:
    """A partition that is being filled."""

    key: PartitionKey
    planned: int | None
    done: Callable[[], int] | None


class Counts:
    """The counts of one step.

    The main thread changes them while another one reads them. The lock keeps a partition from
    being missed between its last request and the sum of those that are filled: a counter that
    falls reads as a restart.
    """

    def __init__(self, step: Step) -> None:
        """Starts at 0."""
        self._step = step
        self._lock = threading.Lock()
        self._filling: dict[Feed, _Filling] = {}
        self._past: dict[_Series, Usage] = defaultdict(Usage)
        self._filled: Counter[tuple[str, str, str]] = Counter()
        self._published: Counter[tuple[str, str]] = Counter()
        self._writing: dict[PartitionKey, Tally] = {}
        self._rows: Counter[_RowSeries] = Counter()
        self._is_over = False

    def fill(
        self,
        key: PartitionKey,
        feed: Feed,
        planned: int | None = None,
        done: Callable[[], int] | None = None,
    ) -> None:
        """Begins to read a feed.

        Args:
            key: The partition that it fills.
            feed: The feed.
            planned: About how many results the partition will have; None: unknown.
            done: How many of them there are; None: the finished pieces of work.
        """
        with self._lock:
            self._filling[feed] = _Filling(key, planned, done)

    def filled(self, feed: Feed) -> None:
        """Keeps the counts of a feed that is finished or has failed, and not the feed.

        A feed that was never opened, because its inputs are missing, counts nowhere.
        """
        with self._lock:
            if (filling := self._filling.pop(feed, None)) is None:
                return
            for series, usage in _by_series(filling.key, feed):
                self._past[series].merge(usage)
            outcome = "unfinished" if feed.usage.unfinished else "complete"
            outcome = "failed" if feed.error else outcome
            self._filled[filling.key.task, filling.key.stage, outcome] += 1

    @contextmanager
    def writing(self, key: PartitionKey) -> Iterator[Callable[[Tally], None]]:
        """Reads a partition's tally while the block writes it, and keeps the numbers alone.

        Args:
            key: The partition. It counts as published unless the block raises.

        Yields:
            A function that takes the tally.
        """
        is_published = False
        try:
            yield lambda tally: self._writing.update({key: tally})
            is_published = True
        finally:
            with self._lock:
                if tally := self._writing.pop(key, None):
                    self._rows.update(_rows(key, tally))
                self._published[key.task, key.stage] += is_published

    def end(self) -> None:
        """Notes that the step is over: a gateway keeps for ever what it is sent last."""
        self._is_over = True

    def samples(self) -> list[Sample]:
        """All values now."""
        with self._lock:
            return [*self._by_role(), *self._by_partition(), *self._by_teacher(), *self._totals()]

    def _by_role(self) -> Iterator[Sample]:
        usages: dict[_Series, Usage] = defaultdict(Usage)
        for series, usage in self._past.items():
            usages[series].merge(usage)
        under_way: Counter[_Series] = Counter()
        for feed, filling in self._filling.items():
            for series, usage in _by_series(filling.key, feed):
                usages[series].merge(usage)
            for role, desk in feed.desks.items():
                series = _series(filling.key, role, desk.teacher)
                under_way[series] += len(desk.under_way)
        for series, usage in usages.items():
            for metric in METRICS:
                if metric.of_usage:
                    yield Sample(metric, series, metric.of_usage(usage))
            # From the beginning, because a ratio with a missing series has no value.
            for outcome, count in {"stop": 0, **usage.finish_reasons}.items():
                yield Sample(COMPLETIONS, (*series, outcome), count)
        for series, count in under_way.items():
            yield Sample(UNDER_WAY, series, count)

    def _by_partition(self) -> Iterator[Sample]:
        for feed, filling in self._filling.items():
            labels = filling.key.task, filling.key.stage, filling.key.subtask
            yield Sample(DONE, labels, filling.done() if filling.done else feed.done)
            if filling.planned is not None:
                yield Sample(PLANNED, labels, filling.planned)

    def _by_teacher(self) -> Iterator[Sample]:
        desks = (desk for feed in self._filling for desk in feed.desks.values())
        waiting: Counter[str] = Counter()
        capacity: Counter[str] = Counter()
        for teacher in {id(desk.teacher): desk.teacher for desk in desks}.values():
            model = teacher.identity.stamp.model
            capacity[model] += teacher.capacity
            if isinstance(teacher, Queueing):
                waiting[model] += teacher.waiting
        yield from (Sample(CAPACITY, (model,), count) for model, count in capacity.items())
        yield from (Sample(WAITING, (model,), count) for model, count in waiting.items())

    def _totals(self) -> Iterator[Sample]:
        yield from (Sample(FILLED, labels, count) for labels, count in self._filled.items())
        yield from (Sample(PUBLISHED, labels, count) for labels, count in self._published.items())
        rows = self._rows.copy()
        for key, tally in list(self._writing.items()):
            rows.update(_rows(key, tally))
        yield from (Sample(ROWS, labels, count) for labels, count in rows.items())
        yield Sample(STEP, astuple(self._step), 0 if self._is_over else 1)


def _by_series(key: PartitionKey, feed: Feed) -> Iterator[tuple[_Series, Usage]]:
    # Copies, each made in one call: meanwhile the main thread may add a role or a finish reason.
    for role, usage in list(feed.usage_by_role.items()):
        reasons = Counter(dict(usage.finish_reasons))
        yield (
            _series(key, role, feed.desks[role].teacher),
            replace(usage, finish_reasons=reasons),
        )


def _rows(key: PartitionKey, tally: Tally) -> dict[_RowSeries, int]:
    refused = dict(tally.rejected).items()  # a copy, as above
    return {
        (key.task, key.stage, "accepted", ""): tally.rows,
        **{(key.task, key.stage, "refused", gate): count for gate, count in refused},
    }


def _series(key: PartitionKey, role: str, teacher: Teacher) -> _Series:
    return _Series(key.task, key.stage, str(role), teacher.identity.stamp.model)
