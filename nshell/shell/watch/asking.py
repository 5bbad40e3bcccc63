"""Asks a query once more, and when to ask it next."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from nshell.shell.values import Answer, Row

MOST_ROWS = 1000
"""That are fetched of a result."""

T = TypeVar("T")


class Asks(Protocol):
    """What can be asked: the client."""

    async def query(self, sql: str, *, limit: int = 0) -> Answer:
        """Start a query."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a query."""

    columns: tuple[str, ...]
    rows: list[Row]
    more: bool
    """There were more rows than are fetched."""
    elapsed_ms: float
    """As the collector measured it."""
    began: float
    """By the clock that never goes back."""
    ended: float
    at: float
    """When it ended, by the clock on the wall."""

    @property
    def took(self) -> float:
        """Seconds, the way there and back included."""
        return self.ended - self.began


async def ask(client: Asks, sql: str) -> Ran:
    """Run it; CommandError or SessionLost where that fails."""
    began = time.monotonic()
    answer = await client.query(sql, limit=MOST_ROWS)
    try:
        rows = [row async for chunk in answer.chunks for row in chunk]
    finally:
        await answer.close()
    return Ran(
        answer.columns, rows, answer.truncated, answer.elapsed_ms, began, time.monotonic(),
        time.time(),
    )  # fmt: skip


def due(began: float, ended: float, every: float) -> float:
    """When to run it again. One that takes longer than the interval gets as long a rest."""
    return max(began + every, ended + min(ended - began, every))


async def unless(stopped: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of work, or None if this is set before; work is cancelled then."""
    async with Tasks("watch", on_error=lambda _: None) as tasks:
        wanted = tasks.start(work, name="work")
        ended = tasks.start(stopped.wait(), name="stopped")
        await asyncio.wait({wanted, ended}, return_when=asyncio.FIRST_COMPLETED)
        return await wanted if wanted.done() and not stopped.is_set() else None
