"""A budget of tokens, which several processes may share.

Each process writes what it has spent into a file of its own in a folder of the store, and reads
the files of the others: the steps of a run, the runs of a backfill and the pods of an Indexed Job
know of each other in no other way. A process that is killed loses what it has spent since
`SYNC_SECONDS`. The folder is `<store>/budgets/<name>/`.
"""

from __future__ import annotations

import logging
import math
import re
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from sdg_assets.errors import PermanentError, SdgError, StoreError
from sdg_assets.store.disk import clear_errors
from sdg_assets.store.objects import Listed
from sdg_assets.store.places import Place, listing, write_atomic
from sdg_assets.teacher.requests import UNANSWERED, Completion

FOLDER = "budgets"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SYNC_SECONDS = 5.0
READERS = 16
FIRST_GUESS = 1000
"""Tokens of a request, before one is answered."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Spent:
    """What another process had spent when its file was read.

    A backfill of the whole catalog with 16 pods a step leaves 3,200 files. Reading all of them
    every five seconds, one by one, would take longer than that in a bucket.
    """

    file: Listed
    tokens: int
    is_certain: bool


class Budget:
    """The tokens that a run, a backfill or a group of processes may spend. A context manager.

    Counted are the prompt's and the output's tokens of each new answer. Answers in a completion
    log cost nothing.
    """

    def __init__(self, root: Place, name: str, most: int) -> None:
        """Reads what others have spent.

        Args:
            root: The store.
            name: What the processes that share the budget have in common, such as a run's id.
            most: Tokens that all of them may spend.

        Raises:
            PermanentError: The name cannot name a folder.
            StoreError: The folder cannot be read.
        """
        if not NAME.fullmatch(name):
            raise PermanentError(
                f"budget {name!r}: give a name of 1 to 100 letters, digits, -, _ and ., as it "
                "names a folder"
            )
        self.name, self.most = name, most
        self._folder = root / FOLDER / name
        self._file = secrets.token_hex(8)
        self._own = self._written = self._answers = 0
        self._others, self._spent_by_others = dict[str, _Spent](), 0
        self.sync()

    def __enter__(self) -> Budget:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.sync()
        except SdgError as failure:  # must not hide the failure of the block
            logger.warning("budget %s: what was spent last is not counted: %s", self.name, failure)

    @property
    def spent(self) -> int:
        """Tokens that are spent, those of other processes as far as they are known."""
        return self._own + self._spent_by_others

    @property
    def is_used_up(self) -> bool:
        """Whether no further request may be sent."""
        return self.spent >= self.most

    @property
    def requests_worth(self) -> float:
        """About how many requests the rest pays for; without limit once nothing more is sent."""
        if self.is_used_up:
            return math.inf
        mean = (FIRST_GUESS + self._own) / (1 + self._answers)
        return math.ceil((self.most - self.spent) / max(mean, 1))

    def rows_worth(self, requests: int) -> int:
        """About how many rows of so many requests the rest pays for, but one at least."""
        rows = self.requests_worth / requests
        return sys.maxsize if math.isinf(rows) else max(1, int(rows))

    def spend(self, completion: Completion) -> None:
        """Counts a new answer.

        Raises:
            SdgError: What is spent cannot be written, or that of others not be read.
        """
        if completion.finish_reason not in UNANSWERED:
            self._own += completion.prompt_tokens + completion.output_tokens
            self._answers += 1
        if time.monotonic() - self._synced_at > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Writes what this process has spent, and reads what the others have.

        Raises:
            SdgError: That is not possible.
        """
        if self._own != self._written:
            write_atomic(self._folder / self._file, str(self._own).encode())
            self._written = self._own
        changed = [
            listed
            for listed in listing(self._folder)
            if listed.name != self._file and not self._is_known(listed)
        ]
        if changed:
            with ThreadPoolExecutor(READERS) as pool:
                for listed, tokens in zip(changed, pool.map(self._tokens_in, changed), strict=True):
                    before = self._others.get(listed.name)
                    is_certain = before is not None and before.file == listed
                    self._others[listed.name] = _Spent(listed, tokens, is_certain)
            # Not in `spent`, which is asked before every request.
            self._spent_by_others = sum(other.tokens for other in self._others.values())
        self._synced_at = time.monotonic()

    def _is_known(self, listed: Listed) -> bool:
        """Whether a file need not be read again.

        It is read once more when it is seen unchanged: a bucket's times are whole seconds, in which
        a file may have been written twice.
        """
        known = self._others.get(listed.name)
        return known is not None and known.file == listed and known.is_certain

    def _tokens_in(self, listed: Listed) -> int:
        file = self._folder / listed.name
        try:
            with clear_errors(str(file)):
                return int(file.read_bytes())
        except ValueError as error:
            raise StoreError(f"{file}: holds no number of tokens; delete it") from error
