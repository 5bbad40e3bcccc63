"""A program on a pty and the screen it draws: type, wait, look.

wait_for() returns as soon as the screen says what is awaited, and fails with
the screen in the message when it never does. Nothing is read in between: a
terminal that is not asked is one that has stopped.
"""

from __future__ import annotations

import copy
import os
import time
from typing import TYPE_CHECKING, Any, Final, Self

import pexpect
import pyte

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

_SECONDS = 40.0
_QUIET_SECONDS = 0.03
_FRAME_SECONDS = 0.5
"""At most: something may be drawn all the time."""
_ALTERNATE_SCREEN = 1049

KEYS: Final = {
    "enter": "\r", "tab": "\t", "shift-tab": "\x1b[Z", "escape": "\x1b", "backspace": "\x7f",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
    "home": "\x1b[H", "end": "\x1b[F", "page-up": "\x1b[5~", "page-down": "\x1b[6~",
    "delete": "\x1b[3~", "f1": "\x1bOP",
    "alt-enter": "\x1b\r", "ctrl-right": "\x1b[1;5C", "ctrl-left": "\x1b[1;5D",
    **{f"ctrl-{chr(96 + number)}": chr(number) for number in range(1, 27)},
}  # fmt: skip
"""What a terminal sends for a key, as xterm does."""


class Screen(pyte.HistoryScreen):
    """Also has the second screen of a full-screen program, gone when that ends."""

    _below: tuple[Any, Any] | None = None

    def set_mode(self, *modes: int, **how: bool) -> None:
        super().set_mode(*modes, **how)
        if how.get("private") and _ALTERNATE_SCREEN in modes and self._below is None:
            self._below = copy.deepcopy(self.buffer), copy.copy(self.cursor)
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **how: bool) -> None:
        super().reset_mode(*modes, **how)
        if how.get("private") and _ALTERNATE_SCREEN in modes and self._below is not None:
            self.buffer, self.cursor = self._below
            self._below = None
            self.dirty.update(range(self.lines))

    @property
    def alternate(self) -> bool:
        """A full-screen program has it."""
        return self._below is not None


class Terminal:
    """One program, started on a terminal of its own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        columns: int = 120,
        rows: int = 40,
        cwd: str | None = None,
    ) -> None:
        self._screen = Screen(columns, rows, history=5000)
        self._stream = pyte.ByteStream(self._screen)
        self._raw = b""
        surroundings = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        self._child: pexpect.spawn[bytes] = pexpect.spawn(
            command[0],
            list(command[1:]),
            dimensions=(rows, columns),
            env=surroundings,
            cwd=cwd,
            timeout=None,
        )
        self._child.delaybeforesend = None
        # A terminal answers when asked where its cursor is.
        setattr(self._screen, "write_process_input", self.type)  # noqa: B010 - a hook of pyte's

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.close(force=True)

    @property
    def pid(self) -> int:
        pid = self._child.pid
        assert pid is not None
        return pid

    @property
    def raw(self) -> bytes:
        """Every byte written so far."""
        return self._raw

    def type(self, text: str) -> None:
        """Press these keys; a newline is Enter."""
        self._child.send(text.replace("\n", "\r").encode())

    def press(self, *names: str) -> None:
        """Press keys by name, each one of KEYS or a character."""
        for name in names:
            self._child.send(KEYS.get(name, name).encode())

    def resize(self, columns: int, rows: int) -> None:
        """The window gets this size, and the program is told."""
        self._screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)

    def seconds_until(self, holds: Callable[[], bool], *, seconds: float = _SECONDS) -> float:
        """How long it takes from now until what has come makes this hold of the screen.

        Our drawing of it is slow, and not counted: all is read before it is drawn.
        """
        begun, found = time.monotonic(), 0.0
        while not found:
            for read, data in self._gather():
                self._draw(data)
                if not found and holds():
                    found = read
            assert time.monotonic() - begun < seconds, "\n".join(self._screen.display)
        return found - begun

    def _gather(self) -> list[tuple[float, bytes]]:
        """What comes until nothing does, and when each piece was read."""
        pieces = []
        while data := self._receive(_QUIET_SECONDS):
            pieces.append((time.monotonic(), data))
        return pieces

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._child.send(b"\x03")

    def interrupt_until(self, text: str, *, seconds: float = _SECONDS) -> None:
        """Press Ctrl-C, as somebody impatient does, until this is to be seen.

        One press may come too early: before the command that it is meant for.
        """
        next_press = 0.0

        def seen() -> bool:
            nonlocal next_press
            if time.monotonic() >= next_press:
                self.interrupt()
                next_press = time.monotonic() + 1.0
                self._read(0.2)
            return text in self.text()

        self.wait_until(seen, f"{text!r} to be seen", seconds=seconds)

    def end_of_input(self) -> None:
        """Press Ctrl-D."""
        self._child.send(b"\x04")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    @property
    def cells(self) -> Screen:
        """What stands on the screen as last read, with its colours, and where the cursor is."""
        return self._screen

    def line(self) -> str:
        """The one that the cursor stands on, as last read."""
        row = self._screen.buffer[self._screen.cursor.y]
        return "".join(row[x].data for x in range(self._screen.columns)).rstrip()

    def screen(self) -> list[str]:
        """Its lines now, without the blank ends."""
        self._read(0.05)
        return [line.rstrip() for line in self._screen.display]

    def text(self) -> str:
        """All that can be scrolled back to, and the screen."""
        above = [
            "".join(line[x].data for x in range(self._screen.columns)).rstrip()
            for line in self._screen.history.top
        ]
        return "\n".join([*above, *self.screen()])

    def wait_for(self, text: str, *, seconds: float = _SECONDS) -> None:
        """Until this is to be seen."""
        self.wait_until(lambda: text in self.text(), f"{text!r} to be seen", seconds=seconds)

    def wait_until(
        self, holds: Callable[[], bool], what: str, *, seconds: float = _SECONDS
    ) -> None:
        """Until this holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                shown = "\n".join(self.screen())
                raise AssertionError(f"waited in vain for {what}; the screen:\n{shown}")
            self._read(0.05)

    def rest(self, seconds: float) -> None:
        """Look on for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(min(left, 0.05))

    def wait_end(self, *, seconds: float = _SECONDS) -> int:
        """Until the program has ended: its exit status, or minus the signal."""
        self.wait_until(lambda: not self._child.isalive(), "the program to end", seconds=seconds)
        self._read(0.05)
        if self._child.signalstatus is not None:
            return -int(self._child.signalstatus)
        return int(self._child.exitstatus or 0)

    def _read(self, seconds: float) -> None:
        """What comes in this time, and then until nothing does: no frame is cut in two."""
        end = time.monotonic() + _FRAME_SECONDS
        while data := self._receive(seconds):
            self._draw(data)
            if time.monotonic() > end:
                return
            seconds = _QUIET_SECONDS

    def _receive(self, seconds: float) -> bytes:
        try:
            data: bytes = self._child.read_nonblocking(65536, timeout=seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return b""
        return data

    def _draw(self, data: bytes) -> None:
        self._raw += data
        self._stream.feed(data)
