"""Keeps what is typed while a command runs from being shown twice: by the terminal at
once, and by the prompt when it reads it.
"""

from __future__ import annotations

import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCAL_MODES = 3


@contextmanager
def echo_off(descriptor: int) -> Iterator[None]:
    """Of this terminal; Ctrl-C and the rest mean what they did."""
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:
        yield
        return
    quiet = list(before)
    quiet[_LOCAL_MODES] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        # At once: nobody may be there to read what is still to be written.
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
