"""Looks at processes through /proc: whose child, what program, alive or not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def children(pid: int) -> dict[int, str]:
    """Children of a process and their command lines."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            stat = (directory / "stat").read_text().rpartition(")")[2].split()
            words = (directory / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            continue
        if int(stat[1]) == pid and stat[0] != "Z":
            found[int(directory.name)] = words.decode(errors="replace")
    return found


def child(pid: int, word: str) -> int:
    """The one child with this word in its command line, as soon as it is there."""
    eventually(lambda: any(word in words for words in children(pid).values()), f"a child {word!r}")
    return next(number for number, words in children(pid).items() if word in words)


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds: Callable[[], bool], what: str, *, seconds: float = 20.0) -> None:
    """Return once this holds; fail if it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.02)
