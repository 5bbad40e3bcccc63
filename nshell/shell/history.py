"""Lines typed at the prompt, kept from one session to the next for their owner only.

A line that begins with a space is not kept.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

if TYPE_CHECKING:
    from pathlib import Path


class PrivateHistory(FileHistory):
    """A file of mode 0600."""

    def append_string(self, string: str) -> None:
        if not string.startswith(" "):
            super().append_string(string)


def open_history(state: Path | None = None) -> History:
    """The user's history; one in memory where no file can be written."""
    try:
        path = (state or _state_directory()) / "history"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return PrivateHistory(str(path))


def _state_directory() -> Path:
    from platformdirs import user_state_path  # noqa: PLC0415 - only with a prompt

    return user_state_path("netobserv", appauthor=False)
