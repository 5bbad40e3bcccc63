"""The directory of one local session, and the sweep of those left behind.

A directory lives as long as somebody holds a lock on it: the launcher and, by
inheritance, the collector. Unlocked means nobody is left.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "netobserv-"
SUFFIX = ".run"
"""Told apart by it: a directory that somebody else named like us is not swept."""
_LONGEST_SOCKET = 100
"""Bytes; sun_path has room for 107."""


@dataclass(frozen=True, slots=True)
class WorkDir:
    """A directory of ours, locked."""

    path: Path
    lock_fd: int
    """Pass it on to a child that must hold the lock too."""

    @property
    def name(self) -> str:
        """Of the session."""
        return self.path.stem

    @property
    def socket(self) -> Path:
        return self.path / "s"

    def remove(self) -> None:
        """Delete it with all that is in it, whoever else has begun to."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.close(self.lock_fd)


def base_directory() -> Path:
    """Where session directories go: the shortest of the usual places that will do."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for candidate in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it ours
        room = len(os.fsencode(candidate)) + len(f"/{PREFIX}xxxxxxxx{SUFFIX}/s") < _LONGEST_SOCKET
        if candidate and room and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    raise OSError(f"no writable directory with a short enough name: tried {tempfile.gettempdir()}")


def create(base: Path) -> WorkDir:
    """A new one, for our eyes only."""
    made = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=".new", dir=base))
    fd = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    # Locked before it has its name: a sweep never sees it free.
    fcntl.flock(fd, fcntl.LOCK_EX)
    return WorkDir(made.rename(made.with_suffix(SUFFIX)), fd)


def sweep(base: Path) -> list[Path]:
    """Remove the directories of ours that nobody holds any more."""
    return [path for path in _ours(base) if _remove_if_free(path)]


def _ours(base: Path) -> Iterator[Path]:
    for path in base.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid():
                yield path


def _remove_if_free(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
