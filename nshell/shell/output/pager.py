"""Long results go through the user's pager, row by row as they arrive.

The pager has the terminal while it runs: what happens meanwhile is told
afterwards, and a Ctrl-C, which the terminal sends to it too, ends the query and
nothing else. To leave it early ends the query as well.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import termios
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nshell.shell.output.cells import faint, unmarked
from nshell.shell.takeover import Takeover
from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from nshell.shell.interrupts import Interrupts
    from nshell.shell.prompt.look import Look
    from nshell.shell.runner import Output

_HELD_NOTICES = 50
_SECONDS_TO_LEAVE = 1.0


@dataclass(frozen=True, slots=True)
class Command:
    """A pager."""

    words: tuple[str, ...]
    ours: bool
    """Not one that the user chose: it is known what it can show."""


def find_pager(environ: Mapping[str, str]) -> Command | None:
    """$NETOBSERV_PAGER, $PAGER or less; None: there is none, or it is not wanted."""
    chosen = environ.get("NETOBSERV_PAGER", environ.get("PAGER", "less"))
    try:
        words = tuple(shlex.split(chosen))
    except ValueError:
        return None
    if not words or words == ("cat",) or shutil.which(words[0]) is None:
        return None
    plain = words == ("less",) and "LESS" not in environ
    return Command(("less", "-RX"), ours=True) if plain else Command(words, ours=False)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Of a pager. The shell may run as root: less is to start no other program.

    What LINES and COLUMNS say may be long ago; the terminal knows its size.
    """
    kept = {name: value for name, value in environ.items() if name not in ("LINES", "COLUMNS")}
    return {"LESSSECURE": "1", "LESSCHARSET": "utf-8", **kept}


class Paging(Takeover):
    """One result in a pager."""

    def __init__(
        self, command: Command, text: AsyncIterator[str], *, wrap: bool, interrupts: Interrupts
    ) -> None:
        self._command = command
        self._text = text
        self._wrap = wrap
        self._interrupts = interrupts
        self.held: deque[str] = deque(maxlen=_HELD_NOTICES)
        """What happened meanwhile."""
        self.left_early = False
        """It was closed before it had everything."""
        self.interrupted = False
        """A Ctrl-C ended the query."""

    async def draw(self, look: Look) -> None:  # noqa: ARG002 - the pager has its own
        words = self._command.words
        if self._command.ours and not self._wrap:
            words = (*words, "-S")
        with self._interrupts.every_one() as interrupt, _terminal_kept():
            program = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(os.environ),
            )
            try:
                await self._serve(program, interrupt)
            finally:
                await _end(program)

    async def follow(self, out: Output) -> None:
        async for piece in self._text:
            await out.data(piece)

    def notify(self, text: str) -> None:
        self.held.append(text)

    async def _serve(self, program: asyncio.subprocess.Process, interrupt: asyncio.Event) -> None:
        """Return when the pager has ended; what went wrong with the rows is raised then."""
        # Failures are looked at below.
        async with Tasks("pager", on_error=lambda _: None) as tasks:
            ended = tasks.start(program.wait(), name="end")
            feeding = tasks.start(self._feed(program), name="rows")
            pressed = tasks.start(interrupt.wait(), name="Ctrl-C")
            await asyncio.wait({ended, feeding, pressed}, return_when=asyncio.FIRST_COMPLETED)
            if not feeding.done():
                self.interrupted = pressed.done()
                self.left_early = ended.done()
                feeding.cancel()
                await asyncio.wait({feeding})
            if program.stdin is not None:
                program.stdin.close()
            await ended
        if not feeding.cancelled():
            self.left_early = self.left_early or not feeding.result()

    async def _feed(self, program: asyncio.subprocess.Process) -> bool:
        """Write all of it; False if nobody wanted it any more."""
        show = faint if self._command.ours else unmarked
        stdin = program.stdin
        if stdin is None:
            return False
        try:
            async for piece in self._text:
                stdin.write(show(piece).encode("utf-8", "backslashreplace"))
                await stdin.drain()
            stdin.close()
            await stdin.wait_closed()
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


async def _end(program: asyncio.subprocess.Process) -> None:
    if program.returncode is not None:
        return
    with suppress(ProcessLookupError):
        program.terminate()
    try:
        await asyncio.wait_for(program.wait(), _SECONDS_TO_LEAVE)
    except TimeoutError:
        with suppress(ProcessLookupError):
            program.kill()


@contextmanager
def _terminal_kept() -> Iterator[None]:
    """Whatever the pager leaves behind, the terminal's modes are as before."""
    terminal = sys.__stdin__
    try:
        descriptor = terminal.fileno() if terminal is not None else -1
        modes = termios.tcgetattr(descriptor)
    except (OSError, ValueError, termios.error):
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)
