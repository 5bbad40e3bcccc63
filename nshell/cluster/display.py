"""Shows how far a session on a cluster is, on stderr.

Invariant: drawn in place on a terminal, and nothing of it stays; elsewhere a line
for each change, once.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from nshell.cluster.progress import Changes, redraw
from nshell.shell import batch

if TYPE_CHECKING:
    from nshell.cluster.progress import Progress


class Display:
    """Of one shell, until its prompt comes."""

    def __init__(self) -> None:
        self._in_place = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._began = time.monotonic()
        self._drawn = 0
        self._head = ""
        self._rest: list[str] = []
        self.changes = Changes()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def say(self, text: str, *, lasting: bool = True) -> None:
        """What is being done; of no interest later where it is not lasting."""
        if text != self._head:
            self._head = text
            if self._in_place:
                self._draw()
            elif lasting:
                batch.say(text)

    def show(self, progress: Progress) -> None:
        """How far it is."""
        told = self.changes.of(progress)
        if self._in_place:
            self._rest = [f"  {line}" for line in progress.lines()]
            self._draw()
        else:
            for line in told:
                batch.say(line)

    def clear(self) -> None:
        """Leave nothing of what was drawn in place."""
        if self._drawn:
            self._write([])

    def _draw(self) -> None:
        self._write([f"{self._head} ({self.elapsed:.0f} s)", *self._rest])

    def _write(self, lines: list[str]) -> None:
        width = shutil.get_terminal_size().columns
        with suppress(OSError):
            sys.stderr.write(redraw(lines, before=self._drawn, width=width))
            sys.stderr.flush()
        self._drawn = len(lines)
