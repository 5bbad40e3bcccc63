"""The lease: how long the collector goes on without a shell.

Invariant: it runs exactly while no shell watches and none has detached, from the
start on; a shell that comes takes the detachment back.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Lease:
    """Counts the shells that are there."""

    def __init__(self, seconds: float, *, detached: bool = False) -> None:
        """seconds: 0 for a lease that never ends."""
        self.seconds = seconds
        self.shells = 0
        """That are watching now."""
        self.detached = detached
        """It goes on without a shell."""
        self._changed = asyncio.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A shell is there."""
        self.shells += 1
        self.detached = False
        self._notify()
        try:
            yield
        finally:
            self.shells -= 1
            self._notify()

    def detach(self) -> None:
        """It goes on without those that are there now, until the next one comes."""
        self.detached = True
        self._notify()

    async def changed(self, *, timeout: float | None) -> None:
        """Return when a shell has come, gone or detached, or at the timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    async def run_out(self) -> None:
        """Return when no shell has been there for the time of the lease."""
        while True:
            changed = self._changed
            alone = not self.shells and not self.detached and self.seconds > 0
            try:
                async with asyncio.timeout(self.seconds if alone else None):
                    await changed.wait()
            except TimeoutError:
                return

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
