"""Lines of a stream as they are written, without holding up the loop.

A daemon thread reads, so that a reader who never writes cannot keep the
program from ending.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TextIO


class LineReader:
    """Hands out the lines of one text stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self._started = False

    async def next(self) -> str | None:
        """The next line, its end included; None at the end of the stream."""
        if not self._started:
            self._started = True
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._read, args=(loop,), name="lines", daemon=True).start()
        line = await self._lines.get()
        if isinstance(line, Exception):
            raise line
        return line

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            item: str | Exception | None
            try:
                item = self._stream.readline() or None
            except (OSError, ValueError) as error:
                item = error
            try:
                loop.call_soon_threadsafe(self._lines.put_nowait, item)
            except RuntimeError:  # the loop has closed: nobody listens any more
                return
            if not isinstance(item, str):
                return
