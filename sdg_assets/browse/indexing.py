"""Makes indexes in the background, one at a time, and keeps those in use in memory."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from dataclasses import dataclass
from pathlib import Path

from sdg_assets.browse.index import Index, made, opened
from sdg_assets.browse.tables import Table

PATIENCE_SECONDS = 0.7
"""How long a page waits for an index before it is shown without counts."""
KEPT = 4
"""Indexes in memory; one of 4.5 million rows takes about 300 MB."""
KEPT_ROWS = 6_000_000
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """An index that is being made: how many of the table's rows were read."""

    rows: int
    of: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.rows / self.of if self.of else 0.0


class Indexes:
    """The indexes of tables by version."""

    def __init__(self, cache: Path, patience: float | None = PATIENCE_SECONDS) -> None:
        """Starts nothing yet.

        Args:
            cache: The directory in which indexes are kept.
            patience: Seconds to wait for an index; None: until it is made.
        """
        self._patience = patience
        self._cache = cache
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], Index] = OrderedDict()
        self._under_way: dict[tuple[str, str], Future[Index]] = {}
        self._rows: dict[tuple[str, str], int] = {}
        self._turn = threading.Lock()

    def get(self, table: Table) -> Index | Progress:
        """The index of a table, if it is there or can be made soon.

        Raises:
            SdgError: It cannot be made.
        """
        key = (table.name, table.version)
        with self._lock:
            if index := self._open.get(key):
                self._open.move_to_end(key)
                index.release()  # of what the page before has read
                return index
            if key not in self._under_way:
                self._under_way[key] = Future()
                # A daemon: Ctrl-C must not wait until millions of rows are read.
                work = (key, table, self._under_way[key])
                threading.Thread(target=self._make, args=work, daemon=True).start()
            future = self._under_way[key]
        try:
            index = future.result(self._patience)
        except NotYetError:
            if not future.done():
                return Progress(self._rows.get(key, 0), table.rows)
            raise
        finally:
            if future.done():
                with self._lock:
                    self._under_way.pop(key, None)
        self._keep(key, index)
        return index

    def _make(self, key: tuple[str, str], table: Table, future: Future[Index]) -> None:
        """Makes an index once no other is being made."""
        with self._turn:
            try:
                future.set_result(self._made(key, table))
            except BaseException as error:  # noqa: BLE001 – raised where the result is asked for
                future.set_exception(error)

    def _made(self, key: tuple[str, str], table: Table) -> Index:
        if (index := opened(table, self._cache)) is not None:
            return index
        logger.info("%s: reading %s rows for filters and search", table.name, table.rows)
        try:
            return made(table, self._cache, lambda rows: self._rows.__setitem__(key, rows))
        finally:
            self._rows.pop(key, None)

    def _keep(self, key: tuple[str, str], index: Index) -> None:
        """Keeps an index, and lets go of those that were used longest ago."""
        with self._lock:
            self._open[key] = index
            self._open.move_to_end(key)
            while len(self._open) > 1 and (
                len(self._open) > KEPT
                or sum(kept.table.rows for kept in self._open.values()) > KEPT_ROWS
            ):
                self._open.popitem(last=False)
