"""Blocking work in threads, from the loop's side: one call at a time, and an end.

Invariant: a caller that is cancelled interrupts the work and waits for it, so
no thread is left behind and nothing is closed under one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

T = TypeVar("T")


class Interruptible(Protocol):
    """Work on a connection."""

    def interrupt(self) -> None:
        """From any thread: end what runs."""


async def call(
    executor: Executor, work: Callable[[], T], *, interrupting: Interruptible | None = None
) -> T:
    """The result of a call in a thread."""
    running = asyncio.get_running_loop().run_in_executor(executor, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if interrupting is not None:
            interrupting.interrupt()
        await asyncio.wait((running,))
        # Nobody asks for the error of work that was called off.
        running.cancelled() or running.exception()
        raise
