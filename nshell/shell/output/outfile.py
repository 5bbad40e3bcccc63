"""A file that is there whole or not at all.

Bytes go to FILE.part, which takes FILE's name at commit and is removed
otherwise; devices and pipes are written directly.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from nshell.shell.errors import CommandError, why

if TYPE_CHECKING:
    from types import TracebackType

STDOUT = "-"


class OutFile:
    """Opened on entry, so that a name that cannot work fails before anything is asked."""

    def __init__(self, name: str, *, stdout: bool) -> None:
        self._given = name
        self._stdout = stdout
        self._part: Path | None = None
        self._file: BinaryIO | None = None
        self.size = 0
        """Bytes written."""

    @property
    def name(self) -> str:
        """As the user knows it."""
        return "standard output" if self._given == STDOUT else self._given

    def __enter__(self) -> Self:
        try:
            self._file = self._open()
        except OSError as error:
            raise self._failed(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        if self._part is not None:
            with suppress(OSError):
                self._part.unlink()

    async def write(self, data: bytes) -> None:
        """Append, off the loop: a slow disk must not hold up the prompt."""
        if data:
            await self._attempt(data)
            self.size += len(data)

    async def commit(self) -> None:
        """Give it its name."""
        await self._attempt(None)
        if self._part is not None:
            try:
                self._part.replace(self._target())
            except OSError as error:
                raise self._failed(error) from error
            self._part = None

    async def _attempt(self, data: bytes | None) -> None:
        if self._file is None:
            raise ValueError("not open")
        try:
            if data is None:
                await asyncio.to_thread(self._file.close)
            else:
                await asyncio.to_thread(self._file.write, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(error) from error

    def _open(self) -> BinaryIO:
        if self._given == STDOUT:
            return self._open_stdout()
        if not self._given:
            raise CommandError("a file needs a name")
        target = self._target()
        if target.is_dir():
            raise CommandError(f"cannot write {self._given}: it is a directory")
        if target.exists() and not target.is_file():
            return target.open("wb")
        part = target.with_name(f"{target.name}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(part, flags, 0o600)
        self._part = part
        os.fchmod(fd, 0o600)
        return os.fdopen(fd, "wb")

    def _open_stdout(self) -> BinaryIO:
        if not self._stdout:
            raise CommandError("`-` is for scripts: name a file here")
        return os.fdopen(os.dup(1), "wb")

    def _target(self) -> Path:
        # Through a symbolic link, as any other program would.
        return Path(self._given).resolve()

    def _failed(self, error: OSError) -> CommandError:
        return CommandError(f"cannot write {self.name}: {why(error)}")
