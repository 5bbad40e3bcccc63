"""Who is meant by Ctrl-C: a command may take the first one for itself."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interrupts:
    """Of one shell; a Ctrl-C that no command takes cancels the command."""

    def __init__(self) -> None:
        self._wanted: asyncio.Event | None = None
        self._every = False

    @contextmanager
    def first_one(self) -> Iterator[asyncio.Event]:
        """Set by the first Ctrl-C while the block runs; it does nothing else then."""
        self._wanted = asyncio.Event()
        try:
            yield self._wanted
        finally:
            self._wanted = None

    @contextmanager
    def every_one(self) -> Iterator[asyncio.Event]:
        """The same, and those behind the first do nothing: they are another program's."""
        self._every = True
        try:
            with self.first_one() as wanted:
                yield wanted
        finally:
            self._every = False

    def offer(self) -> bool:
        """There was a Ctrl-C; whether it has been taken."""
        if self._wanted is None or (self._wanted.is_set() and not self._every):
            return False
        self._wanted.set()
        return True
