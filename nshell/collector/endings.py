"""What ends a collector's process, and whether its session ends with it.

Invariant: the first that happens counts; a session is over at most once, and one
that is handed over is not.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nshell.collector.options import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nshell.collector.capture import Capture

_SETTLE_SECONDS = 2.0
"""For what agents have sent, before the next process takes over."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the process ends."""

    reason: str
    handed_over: bool = False
    """The session goes on, in another process."""


class Signals:
    """SIGTERM and SIGINT, from now to the end of the loop."""

    def __init__(self) -> None:
        self._came = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._came.set)

    async def wait(self, *, timeout: float | None = None) -> None:
        """Return when one has come, or at the timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._came.wait()


async def until_the_end(capture: Capture, signals: Signals, *, hands_over: bool) -> Ending:
    """Return when the capture has ended: asked to, by a signal, or for lack of a shell.

    hands_over: at a signal it has not, for its pod is moved; the agents go on and
    look for the next collector.
    """
    tasks, store = capture.tasks, capture.store
    signalled = tasks.start(signals.wait(), name="signals")
    limits = tasks.start(capture.lifetime.over(capture.stop_capturing), name="limits")
    reasons: dict[asyncio.Future[Any], str] = {
        store.ended: "the store failed",
        tasks.start(capture.stopping.wait(), name="stop asked"): "asked",
        limits: "",
        tasks.start(capture.lease.run_out(), name="lease"): "no shell for the lease",
        signalled: "a signal",
    }
    done, _ = await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    # Several may have happened at once.
    first = next(each for each in reasons if each in done)
    reason = reasons[first] or limits.result()
    if first is signalled and hands_over and not capture.ending:
        await store.settle(timeout=_SETTLE_SECONDS)
        return Ending(reason, handed_over=True)
    if not store.ended.done():
        await capture.stop(reason)
    return Ending(reason)


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """No other collector works in a directory meanwhile; StartError if one does."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"another collector works in {directory}") from None
        yield
    finally:
        os.close(handle)
