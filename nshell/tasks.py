"""The only place that starts asyncio tasks: each has a name, an owner and an end.

A task that fails hands its exception to the owner's `on_error`; none is lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import TracebackType

T = TypeVar("T")


class Tasks:
    """The tasks of one owner; leaving the block cancels and awaits them all."""

    def __init__(self, owner: str, *, on_error: Callable[[BaseException], None]) -> None:
        self._owner = owner
        self._on_error = on_error
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run it until it ends or the owner does."""
        task = asyncio.create_task(work, name=f"{self._owner}: {name}")  # noqa: TID251 - the one place
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error)


async def first_of(
    work: Coroutine[Any, Any, T], *, name: str, unless: Sequence[asyncio.Future[Any]]
) -> T:
    """The result of work, or the exception of the first of these to fail before it.

    Work is cancelled and awaited whichever way this ends.
    """
    task = asyncio.create_task(work, name=name)  # noqa: TID251 - awaited below
    try:
        await asyncio.wait({task, *unless}, return_when=asyncio.FIRST_COMPLETED)
        for other in unless:
            if other.done() and not task.done():
                other.result()
        return await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
