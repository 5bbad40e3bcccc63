"""Answers to what completion asks of the store: there at once, or not yet.

Invariants: nobody waits here; what a place needs is asked in the background and
only once somebody is at such a place; a question that fails has no answer, and
breaks nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nshell.shell.errors import CommandError, SessionLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nshell.shell.client import Client
    from nshell.shell.completion.seen import Question

    Row = Sequence[Any]

STALE_SECONDS = 3.0
_SHARE = 20
"""A question is asked again after this many times what it took."""
_PATIENCE_SECONDS = 10.0
_MOST = 64
"""Answers that are kept, and questions that may wait."""


@dataclass(frozen=True, slots=True)
class _Answer:
    rows: tuple[Row, ...]
    good_until: float


class Known:
    """The answers so far."""

    def __init__(
        self,
        ask: Callable[[str], Awaitable[Sequence[Row]]],
        *,
        news: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._news = news
        """Called when an answer has come that differs from the one before."""
        self._clock = clock
        self._answers: OrderedDict[Question, _Answer] = OrderedDict()
        self._wanted: OrderedDict[Question, None] = OrderedDict()
        self._awake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, question: Question) -> Sequence[Row]:
        """The rows there are now; from any thread. They are asked for again if stale."""
        answer = self._answers.get(question)
        if answer is None or self._clock() >= answer.good_until:
            self._wanted[question] = None
            if self._loop is not None:
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._awake.set)
        return answer.rows if answer is not None else ()

    async def run(self) -> None:
        """Ask what is wanted, one after the other, for ever."""
        self._loop = asyncio.get_running_loop()
        if self._wanted:
            self._awake.set()
        while True:
            await self._awake.wait()
            self._awake.clear()
            while self._wanted:
                # What somebody looks at now comes first.
                question, _ = self._wanted.popitem()
                await self._renew(question)

    async def _renew(self, question: Question) -> None:
        before = self._answers.get(question)
        if before is not None and self._clock() < before.good_until:
            return
        begun = self._clock()
        rows: tuple[Row, ...] = before.rows if before is not None else ()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                rows = tuple(tuple(row) for row in await self._ask(question.sql))
        except (CommandError, SessionLost, TimeoutError) as error:
            logging.getLogger(__name__).debug("no values for completion: %s", error)
        now = self._clock()
        self._keep(question, _Answer(rows, now + max(STALE_SECONDS, _SHARE * (now - begun))))
        if self._news is not None and rows != (before.rows if before is not None else ()):
            await self._news()

    def _keep(self, question: Question, answer: _Answer) -> None:
        self._answers[question] = answer
        self._answers.move_to_end(question)
        while len(self._answers) > _MOST:
            self._answers.popitem(last=False)
        while len(self._wanted) > _MOST:
            self._wanted.popitem(last=False)


async def rows_of(client: Client, sql: str) -> Sequence[Row]:
    """All rows of a query that says itself how many it may have."""
    answer = await client.query(sql)
    try:
        return [row async for chunk in answer.chunks for row in chunk]
    finally:
        await answer.close()
