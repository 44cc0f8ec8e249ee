"""Whether a server's refusal concerns one request, or every request of its form.

Servers refuse single requests: a gateway blocks a word (HTTP 400), vLLM cannot parse what gpt-oss
wrote (HTTP 500), llama.cpp fails with one JSON schema in a hundred (HTTP 500). Only that row is
lost then. But a server with other settings than the requests need refuses all of them. Their
refusals must not get into the completion log: there they would outlive the mistake.

So a refusal waits for the next answer to a request of its form, which makes it the request's own.
Without one for `PATIENCE_SECONDS`, or with nothing else under way, a trial decides: the same
request without its text. Refusals in a row are never their requests' own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sdg_assets.teacher.server.refusals import TemporaryError

MOST_IN_A_ROW = 32
"""Refusals without an answer in between that blame the server: if it refuses a third of all
requests, so many in a row happen once in 10^15."""
PATIENCE_SECONDS = 30.0


@dataclass(eq=False)
class _Form:
    """The refusals of one form of requests."""

    in_a_row: int = 0
    """Refusals since the last answer."""
    held: list[asyncio.Future[bool]] = field(default_factory=list)
    """Refusals that nothing has decided yet."""
    trial: asyncio.Task[None] | None = None

    def decide(self, is_own: bool | TemporaryError) -> None:
        """Ends the wait of all refusals so far."""
        for verdict in self.held:
            if verdict.done():  # its request was cancelled
                continue
            if isinstance(is_own, TemporaryError):
                verdict.set_exception(is_own)
            else:
                verdict.set_result(is_own)
        self.held.clear()


class Blame:
    """The refusals of one server, by form: requests of one form differ only in their texts.

    For use inside the event loop.
    """

    def __init__(self) -> None:
        """Begins without refusals."""
        self._forms: dict[str, _Form] = {}

    def answered(self, form: str) -> None:
        """Counts an answer, which decides the refusals before it."""
        if refusals := self._forms.get(form):
            refusals.in_a_row = 0
            refusals.decide(True)

    async def is_own(
        self, form: str, trial: Callable[[], Awaitable[bool]], *, is_alone: bool
    ) -> bool:
        """Whether a refusal concerns only its own request; waits until that is known.

        Args:
            form: The form of the request.
            trial: Sends the request without its text; returns whether it was answered. One trial
                decides all refusals that wait.
            is_alone: Whether nothing else is under way, so that no answer can come.

        Raises:
            TemporaryError: The trial failed for now.
        """
        refusals = self._forms.setdefault(form, _Form())
        refusals.in_a_row += 1
        if refusals.in_a_row >= MOST_IN_A_ROW:
            refusals.decide(False)
            return False
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        refusals.held.append(verdict)
        if not is_alone:
            await asyncio.wait({verdict}, timeout=PATIENCE_SECONDS)
        if not verdict.done() and refusals.trial is None:
            refusals.trial = asyncio.ensure_future(self._tried(refusals, trial))
        return await verdict

    async def _tried(self, refusals: _Form, trial: Callable[[], Awaitable[bool]]) -> None:
        is_own: bool | TemporaryError = False
        try:
            is_own = await trial()
        except TemporaryError as error:
            is_own = error
        finally:
            refusals.trial = None
            refusals.decide(is_own)
