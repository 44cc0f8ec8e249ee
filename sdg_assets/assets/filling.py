"""Fills all partitions of a run from one stream of requests; each is then ready to be published."""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from sdg_assets.assets.knobs import StageConfig
from sdg_assets.assets.partition_context import PartitionContext, PartitionInputs
from sdg_assets.assets.progress import Progress
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.errors import SdgError
from sdg_assets.metrics.counts import Counts
from sdg_assets.records import Role
from sdg_assets.teacher.conversation import Desks, Feed, Usage, Work, settle
from sdg_assets.teacher.share import Share
from sdg_assets.teacher.stream import fill

ConfigT = TypeVar("ConfigT", bound=StageConfig)
Ready = tuple[str, Callable[[], PartitionReport]]
"""A partition, and the function that publishes it, or raises why it cannot be published."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Filling:
    """What a partition asks its teachers, and how it is published afterwards.

    Attributes:
        works: The work for `teacher.stream.fill`.
        total: About how many results it will have.
        publish: Publishes the partition from its completion logs.
        runs_programs: Whether the work runs programs between its requests.
        done: How many of the `total` there are; None: the finished pieces of work.
    """

    works: Iterable[Work[Any] | None]
    total: int
    publish: Callable[[Usage], PartitionReport]
    runs_programs: bool = False
    done: Callable[[], int] | None = None


@dataclass(frozen=True)
class TeacherWiring(Generic[ConfigT]):
    """How the partitions of a stage that asks teachers are made."""

    config: type[ConfigT]
    """The knobs that a person can set in the launchpad."""
    roles: Callable[[ConfigT], tuple[Role, ...]]
    """The roles whose teachers are asked."""
    ask: Callable[[PartitionContext, ConfigT, Desks], Filling]
    """What one partition asks."""
    share: Callable[[PartitionInputs, ConfigT, Desks, Share], Iterable[Work[Any]]]
    """What one of several processes asks of it: the same requests, for its share of the rows."""


def filled(
    keys: Iterable[str],
    open_partition: Callable[[str], PartitionContext],
    wiring: TeacherWiring[Any],
    config: StageConfig,
    counts: Counts,
    concurrency: int | None = None,
) -> Generator[Ready]:
    """Fills partitions, all in one stream: the teacher never waits for one to be finished.

    Args:
        keys: The partitions, taken lazily.
        open_partition: Partition → its context.
        wiring: The stage's wiring.
        config: The run config of the stage.
        counts: Reads the feeds.
        concurrency: Requests under way at a time; None: what the teachers have capacity for.

    Yields:
        Each partition as soon as all its completions are in the log, or as soon as it failed.
    """
    publishing: dict[str, Callable[[Usage], PartitionReport]] = {}

    def open_feed(key: str, stack: ExitStack) -> Feed:
        partition = open_partition(key)
        desks = stack.enter_context(partition.desks(*wiring.roles(config)))
        filling = wiring.ask(partition, config, desks)
        progress = _progress(partition.progress(filling.total), filling)
        publishing[key] = filling.publish
        feed = Feed(filling.works, desks, Usage(), progress, filling.runs_programs)
        counts.fill(partition.key(partition.stage), feed, filling.total, filling.done)
        return feed

    with closing(streamed(keys, open_feed, concurrency)) as feeds:
        for key, feed in feeds:
            counts.filled(feed)
            yield key, partial(_finished, feed, publishing.pop(key, _never))


def streamed(
    keys: Iterable[str],
    open_feed: Callable[[str, ExitStack], Feed],
    concurrency: int | None = None,
) -> Generator[tuple[str, Feed]]:
    """Fills partitions, all in one stream, and closes what was opened for them.

    Args:
        keys: The partitions, taken lazily.
        open_feed: Opens a partition's logs in the stack, and says what it asks. If it raises, that
            is the partition's error.
        concurrency: Requests under way at a time; None: what the teachers have capacity for.

    Yields:
        Each partition and its feed, as soon as it is finished or has failed. Its logs are closed
        when the next one is taken.
    """
    opened: dict[Feed, tuple[str, ExitStack]] = {}

    def feeds() -> Iterator[Feed]:
        for key in keys:
            stack = ExitStack()
            try:
                feed = open_feed(key, stack)
            except Exception as error:  # noqa: BLE001 – the partition's own
                stack.close()
                feed = Feed((), {}, Usage(), error=error)
            opened[feed] = key, stack
            yield feed

    try:
        for feed in fill(feeds(), concurrency=concurrency):
            key, stack = opened[feed]
            yield key, feed
            del opened[feed]
            _close(key, stack)
    except BaseException as failure:
        # A signal, or a bug: keep the answers that have arrived, and close the logs.
        _keep_arrived(opened)
        for key, stack in opened.values():
            _close(key, stack, failure)
        raise


def _keep_arrived(feeds: Iterable[Feed]) -> None:
    """Logs the answers that have arrived for any of the partitions, before their logs close."""
    try:
        settle((desk for feed in feeds for desk in feed.desks.values()), wait=False)
    except SdgError as error:
        logger.warning("answers to open requests are lost: %s", error)


def _progress(show: Progress, filling: Filling) -> Callable[[int, Usage], None]:
    if (count := filling.done) is None:
        return show
    return lambda _, usage: show(count(), usage)


def _never(usage: Usage) -> PartitionReport:
    raise AssertionError(f"a partition that was not opened is published, with {usage}")


def _finished(feed: Feed, publish: Callable[[Usage], PartitionReport]) -> PartitionReport:
    """Publishes a filled partition, once its answers are on disk; raises why it failed."""
    if feed.error:
        raise feed.error
    for desk in feed.desks.values():
        desk.log.sync()
    return publish(feed.usage)


def _close(key: str, stack: ExitStack, failure: BaseException | None = None) -> None:
    """Closes a partition's logs. A full disk may refuse that: the partition's error came before."""
    try:
        stack.__exit__(type(failure) if failure else None, failure, None)
    except Exception as error:  # noqa: BLE001 – must not hide the failure
        logger.warning("%s: its completion logs were not closed: %s", key, error)
