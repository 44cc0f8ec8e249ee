"""How many requests a server gets at a time, by the length of its own queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType

CAPACITY = 256
"""Requests under way at a server at first, and for good if it does not report its queue: vLLM's
`max_num_seqs` on most GPUs. A server with less room lets the rest wait."""
MOST = 4096
QUEUE_SECONDS = 10.0
"""Time between two looks at a server's queue."""
_FULL = 0.75
"""Share of the room in use from which an empty queue says that there may be more room."""
_QUEUE = 0.1
"""Longest queue, as a share of the room: its requests begin while answers are on their way back."""
_FIRST_GROWTH, _GROWTH = 2.0, 1.1


class Room:
    """The requests that a server should get at a time.

    vLLM takes 1,024 requests at a time on an H100, and a data-parallel server that many for each of
    its engines, but no server states its number. So the room doubles as long as nothing waits at
    the server. It shrinks if many requests wait, and grows slowly from then on.
    """

    def __init__(self) -> None:
        """Begins with `CAPACITY`."""
        self.most = CAPACITY
        self._growth = _FIRST_GROWTH

    def seen(self, waiting: float, under_way: int) -> None:
        """Draws the conclusions of a look at the server.

        Args:
            waiting: Requests that the server has not begun, those of other clients included.
            under_way: Our requests at the server.
        """
        if waiting > _QUEUE * self.most:
            self.most = max(CAPACITY, int(self.most - waiting))
            self._growth = _GROWTH
        elif not waiting and under_way >= _FULL * self.most:
            self.most = min(MOST, int(self._growth * self.most))


class Turns:
    """A semaphore whose number of turns may change. For use inside one event loop."""

    def __init__(self, most: Callable[[], int]) -> None:
        """Begins with all turns free.

        Args:
            most: Returns the number of turns.
        """
        self._most = most
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._waiting or self._taken >= self._most():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn  # who ends this wait has counted the turn
            except asyncio.CancelledError:
                self._taken -= not turn.cancelled()
                raise
        else:
            self._taken += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._taken -= 1
        while self._waiting and self._taken < self._most():
            turn = self._waiting.popleft()
            if not turn.done():  # else its request was cancelled
                self._taken += 1
                turn.set_result(None)
