"""Runs command lines and shows what they return: one core for the prompt, scripts,
-c and stdin.

A line that fails raises Failure, with its command's name, and has shown nothing
that is not true.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nshell.shell.errors import CommandError, Failure, Interrupted, SessionLost, why
from nshell.shell.escape import escape_block
from nshell.shell.output.reports import render_report
from nshell.shell.output.results import Results
from nshell.shell.script import split_script
from nshell.shell.sqltext import without_mark
from nshell.shell.takeover import Takeover
from nshell.shell.values import Answer, Notice, Quit, Report, Result, Source, Table, Text

if TYPE_CHECKING:
    from nshell.shell.context import Context
    from nshell.shell.interrupts import Interrupts
    from nshell.shell.output.screen import Screen

_DEPTH = 16
"""Files that may source one another."""


class Output(Protocol):
    """Where a front end shows things."""

    async def data(self, text: str) -> None:
        """What was asked for."""

    def narrate(self, text: str) -> None:
        """What happened, one line."""

    async def take_over(self, live: Takeover) -> None:
        """Let it draw or append until it ends."""


class Runner:
    """The commands of one front end."""

    def __init__(self, ctx: Context, out: Output, screen: Screen | None = None) -> None:
        self._ctx = ctx
        self._out = out
        self._results = Results(ctx, out, screen)

    @property
    def interrupts(self) -> Interrupts:
        """Where a Ctrl-C goes first."""
        return self._ctx.interrupts

    async def run_text(self, text: str, *, depth: int = 0) -> bool:
        """Every command in it, in order; True once one of them was `quit`."""
        for line in split_script(text, commands=self._ctx.registry.first_words()):
            if await self.run_line(line, depth=depth):
                return True
        return False

    async def run_line(self, line: str, *, depth: int = 0) -> bool:
        """One command; True if it was `quit`. Behind it, `\\G` asks for a block a row."""
        line, blocks = without_mark(line)
        registry = self._ctx.registry
        try:
            call = registry.parse(line)
            result = await call.command.function(self._ctx, *call.arguments)
            if isinstance(result, Source):
                return await self._source(result.path, depth=depth + 1)
            await self._show(result, blocks=blocks)
        except CommandError as error:
            raise Failure(registry.name_of(line), str(error)) from error
        except (SessionLost, Interrupted, BrokenPipeError):
            raise
        except Exception as error:  # a capture is worth more than one command
            if logging.getLogger().handlers:  # a prompt keeps a log; a script's stderr is read
                logging.getLogger(__name__).exception("failed: %s", line)
            reason = f"a defect of the shell ({type(error).__name__}: {error})"
            raise Failure(registry.name_of(line), reason) from error
        return isinstance(result, Quit)

    async def _source(self, path: str, *, depth: int) -> bool:
        if depth > _DEPTH:
            raise CommandError(f"{path}: files source one another too deeply")
        try:
            text = await asyncio.to_thread(Path(path).read_text, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(unreadable(path, error)) from error
        try:
            return await self.run_text(text, depth=depth)
        except Failure as failure:
            raise CommandError(f"{path}: {failure}") from failure

    async def _show(self, result: Result, *, blocks: bool) -> None:
        if isinstance(result, Text):
            await self._results.words(f"{escape_block(result.text)}\n")
        elif isinstance(result, Notice):
            self._out.narrate(result.text)
        elif isinstance(result, Report):
            name = "vertical" if blocks else self._ctx.settings.format
            await self._out.data(render_report(name, result))
        elif isinstance(result, Takeover):
            await self._out.take_over(result)
        elif isinstance(result, Table):
            await self._results.table(result, blocks=blocks)
        elif isinstance(result, Answer):
            try:
                await self._results.answer(result, blocks=blocks)
            finally:
                await result.close()


def unreadable(path: str, error: OSError | UnicodeDecodeError) -> str:
    """Why a file of commands cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return f"cannot read {path}: it is not text (UTF-8)"
    return f"cannot read {path}: {why(error)}"
