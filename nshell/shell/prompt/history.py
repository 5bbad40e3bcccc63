"""Lines typed at the prompt, kept from one session to the next for their owner only.

One file for all sessions, and the latest entries of it. A line that begins with a
space, or that has a secret in it, is not kept.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from nshell.xdg import state_directory

if TYPE_CHECKING:
    from pathlib import Path

MOST_ENTRIES = 5_000
"""When a session begins there are no more."""
_MOST_BYTES = 16 << 20
_SECRET = re.compile(
    r"\b(?:password|passwd|secret|token|api[-_]?key|sslkeylogfile)\s*[=:]\s*\S|\bbearer\s+\S{8}",
    re.IGNORECASE,
)


class PrivateHistory(FileHistory):
    """A file of mode 0600."""

    def append_string(self, string: str) -> None:
        if is_kept(string):
            super().append_string(string)

    def store_string(self, string: str) -> None:
        try:
            super().store_string(string)
        except OSError:
            return  # a full disk is no reason to lose the line typed


def is_kept(line: str) -> bool:
    """Whether a line is for the history."""
    return not line.startswith(" ") and _SECRET.search(line) is None


def open_history(state: Path | None = None) -> History:
    """The user's history; one in memory where no file can be written."""
    try:
        path = (state or state_directory()) / "history"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        _cut(path)
    except OSError:
        return InMemoryHistory()
    return PrivateHistory(str(path))


def latest(text: str, most: int) -> str:
    """The last entries of a history's text; an entry begins with a line `# TIME`."""
    starts = [match.start() for match in re.finditer(r"^# ", text, re.MULTILINE)]
    return text if len(starts) <= most else text[starts[-most] :]


def _cut(path: Path) -> None:
    if path.stat().st_size < 40 * MOST_ENTRIES:  # no entry is shorter than its time and text
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MOST_BYTES))
        text = file.read().decode(errors="replace")
    kept = latest(text, MOST_ENTRIES)
    if len(kept) == len(text) and path.stat().st_size <= _MOST_BYTES:
        return
    new = path.with_name("history.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file_:
        file_.write(f"\n{kept}")
    new.replace(path)
