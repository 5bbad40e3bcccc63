"""The lease: how long the collector goes on without a shell.

Invariant: it runs exactly while no shell watches, from the start on.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Lease:
    """Counts the shells that are there."""

    def __init__(self, seconds: float) -> None:
        """seconds: 0 for a lease that never ends."""
        self._seconds = seconds
        self._shells = 0
        self._changed = asyncio.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A shell is there."""
        self._shells += 1
        self._changed.set()
        try:
            yield
        finally:
            self._shells -= 1
            self._changed.set()

    async def run_out(self) -> None:
        """Return when no shell has been there for the time of the lease."""
        while True:
            self._changed.clear()
            alone = not self._shells and self._seconds > 0
            try:
                async with asyncio.timeout(self._seconds if alone else None):
                    await self._changed.wait()
            except TimeoutError:
                return
