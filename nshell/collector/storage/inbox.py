"""The queue between the event loop and the writer's thread, bounded in bytes.

Invariant: nothing is dropped; whoever adds bytes waits for room, so a slow
disk slows down the reading of the agents' streams.
"""

from __future__ import annotations

import asyncio
import queue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """Filled on the loop, emptied in one other thread, in order."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._items: queue.SimpleQueue[tuple[Item, int]] = queue.SimpleQueue()
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def held_bytes(self) -> int:
        """Added and not yet done."""
        return self._held

    async def put(self, item: Item, size: int) -> None:
        """Add an item when there is room; one larger than the limit goes in alone."""
        async with self._turn:
            while self._held and self._held + size > self._limit:
                self._room.clear()
                await self._room.wait()
            self._held += size
            self._items.put((item, size))

    def put_now(self, item: Item) -> None:
        """Add an item that has no weight."""
        self._items.put((item, 0))

    def take(self, timeout: float | None) -> tuple[Item, int] | None:
        """In the other thread: the next item and its size, None at the timeout."""
        try:
            return self._items.get(timeout=timeout)
        except queue.Empty:
            return None

    def done(self, size: int) -> None:
        """In the other thread: an item of that size has been dealt with."""
        if size:
            self._loop.call_soon_threadsafe(self._release, size)

    def _release(self, size: int) -> None:
        self._held -= size
        self._room.set()
