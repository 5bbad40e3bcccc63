"""What somebody is told who comes for the first time: three lines, once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nshell.xdg import state_directory

if TYPE_CHECKING:
    from pathlib import Path

HINT = (
    "try: SELECT * FROM flow   (Tab completes, Up repeats)",
    "capture less, at once: filter port 443   (filter lists them)",
    "help lists commands, help keys the keys; Ctrl-D leaves",
)


def first_time(state: Path | None = None) -> bool:
    """Whether it is, as far as this user's files tell; from now on it is not."""
    directory = state or state_directory()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = (directory / "history").exists() and (directory / "history").stat().st_size > 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(directory / "welcomed", flags, 0o600))
    except OSError:
        return False  # there already; or nothing can be kept, and it would be said every time
    return not known
