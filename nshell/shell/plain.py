"""The prompt of a terminal that cannot move its cursor: a line in, lines out."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from nshell.shell import batch
from nshell.shell.errors import Failure
from nshell.shell.escape import escape
from nshell.shell.interactive import converse, on_interrupt
from nshell.shell.lines import LineReader
from nshell.shell.output.screen import dumb_screen
from nshell.shell.prompt.welcome import HINT, first_time
from nshell.shell.runner import Runner
from nshell.shell.script import is_finished
from nshell.shell.startup import Startup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.shell.live import Session

PROMPT = "netobserv> "
CONTINUED = "       ... "


class PlainFront:
    """stdin, stdout, stderr."""

    def __init__(self, startup: Sequence[str] = ()) -> None:
        self._lines = LineReader(sys.stdin)
        self._startup = Startup(startup)

    def notify(self, text: str) -> None:
        batch.complain(text)

    def narrate(self, text: str) -> None:
        batch.say(text)

    def complain(self, text: str) -> None:
        batch.complain(text)

    async def run(self, session: Session) -> None:
        session.begin()
        for line in HINT if first_time() else ():
            batch.say(line)
        await self._startup.ready(session, tell=self.narrate)
        runner = Runner(session.context, batch.BatchOutput(), dumb_screen())
        await converse(self, runner, unless=[session.ending.future])

    async def read(self) -> str | None:
        """One command, of as many lines as it needs."""
        if self._startup:
            line = self._startup.next()
            batch.say(f"{PROMPT}{escape(line)}")
            return line
        cleared = asyncio.Event()
        text = ""
        with on_interrupt(cleared.set):
            while not text or not is_finished(text):
                more = await self._line(CONTINUED if text else PROMPT)
                if more is None:
                    return text or None
                text = more if cleared.is_set() else text + more
                cleared.clear()
        return text

    async def _line(self, prompt: str) -> str | None:
        # stdout is for data alone: it may lead to a file.
        sys.stderr.write(prompt)
        sys.stderr.flush()
        try:
            return await self._lines.next()
        except (OSError, UnicodeDecodeError) as error:
            raise Failure("stdin", str(error)) from error
