"""The watches of a collector: threads that hear of the API server, a loop that is told.

Invariant: news reach the loop in the order of their kind, and wait in one list
however fast they come; the threads end with the block, whatever the server does.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from nshell.collector.kube.api import ApiServer
from nshell.collector.kube.reflector import KINDS, Reflector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from nshell.collector.kube.inventory import Inventory
    from nshell.collector.kube.reflector import News

_END_SECONDS = 2.0
"""For all threads together; one that connects just then is left to end by itself."""


class Feed:
    """From the threads to the loop: what gathers while it is busy comes in one batch."""

    def __init__(self, take: Callable[[Sequence[News]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._take = take
        self._news: list[News] = []
        self._closed = False

    def tell(self, news: Sequence[News]) -> None:
        """From any thread."""
        with self._lock:
            if self._closed:
                return
            if not self._news:
                self._loop.call_soon_threadsafe(self._drain)
            self._news += news

    def close(self) -> None:
        """Take nothing more; the loop may end."""
        with self._lock:
            self._closed = True
            self._news = []

    def _drain(self) -> None:
        with self._lock:
            news, self._news = self._news, []
        if news:
            self._take(news)


@asynccontextmanager
async def watching(inventory: Inventory, server: ApiServer | None = None) -> AsyncIterator[None]:
    """Keep an inventory up to date."""
    server = server or ApiServer()
    feed = Feed(inventory.apply)
    reflectors = [Reflector(server, kind, tell=feed.tell) for kind in KINDS]
    for each in reflectors:
        each.thread.start()
    try:
        yield
    finally:
        feed.close()
        for each in reflectors:
            each.end()
        server.cut()
        await asyncio.to_thread(_join, [each.thread for each in reflectors])


def _join(threads: Sequence[threading.Thread]) -> None:
    for each in threads:
        each.join(_END_SECONDS / len(threads))
