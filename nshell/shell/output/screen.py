"""The terminal that somebody reads results on."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Screen:
    """What is known of it."""

    dumb: bool = False
    """Takes lines and nothing else: no pager, nothing faint."""

    def size(self) -> os.terminal_size | None:
        """Columns and lines; None: not known."""
        if self.dumb:
            return None
        try:
            size = os.get_terminal_size(_descriptor())
        except (OSError, ValueError):
            return None
        return size if size.columns > 0 and size.lines > 0 else None


def _descriptor() -> int:
    # sys.stdout may be prompt_toolkit's.
    return sys.__stdout__.fileno() if sys.__stdout__ is not None else -1


def dumb_screen() -> Screen | None:
    """Where stdout leads, if that is a terminal."""
    try:
        return Screen(dumb=True) if os.isatty(_descriptor()) else None
    except (OSError, ValueError):
        return None
