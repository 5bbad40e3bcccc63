"""Runs command lines and shows what they return: one core for the prompt, scripts,
-c and stdin.

A line that fails raises Failure, with its command's name, and has shown nothing
that is not true.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nshell.shell.errors import CommandError, Failure
from nshell.shell.escape import escape_block
from nshell.shell.render import format_named, render
from nshell.shell.reports import render_report
from nshell.shell.script import split_script
from nshell.shell.takeover import Takeover
from nshell.shell.units import human_ms, plural
from nshell.shell.values import Answer, Notice, Quit, Report, Result, Source, Table, Text

if TYPE_CHECKING:
    from nshell.shell.context import Context
    from nshell.shell.interrupts import Interrupts

SHOWN_ROWS = 200
"""Of a table on a terminal; the rest is counted."""
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

    def __init__(self, ctx: Context, out: Output) -> None:
        self._ctx = ctx
        self._out = out

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
        """One command; True if it was `quit`."""
        registry = self._ctx.registry
        try:
            call = registry.parse(line)
            result = await call.command.function(self._ctx, *call.arguments)
            if isinstance(result, Source):
                return await self._source(result.path, depth=depth + 1)
            await self._show(result)
        except CommandError as error:
            raise Failure(registry.name_of(line), str(error)) from error
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

    async def _show(self, result: Result) -> None:
        if isinstance(result, Text):
            await self._out.data(f"{escape_block(result.text)}\n")
        elif isinstance(result, Notice):
            self._out.narrate(result.text)
        elif isinstance(result, Report):
            await self._out.data(render_report(self._ctx.settings.format, result))
        elif isinstance(result, Takeover):
            await self._out.take_over(result)
        elif isinstance(result, Table):
            await self._show_table(result)
        elif isinstance(result, Answer):
            try:
                await self._show_answer(result)
            finally:
                await result.close()

    async def _show_table(self, table: Table) -> None:
        if not table.rows and table.empty and self._ctx.settings.format == "table":
            self._out.narrate(table.empty)
            return
        await self._out.data(render(self._ctx.settings.format, table.columns, table.rows))

    async def _show_answer(self, answer: Answer) -> None:
        settings = self._ctx.settings
        form = format_named(settings.format, answer.columns)
        most = SHOWN_ROWS if self._ctx.interactive and settings.format == "table" else None
        rows = shown = 0
        await self._write(form.head())
        async for chunk in answer.chunks:
            rows += len(chunk)
            part = chunk if most is None else chunk[: most - shown]
            if part:
                shown += len(part)
                await self._write(form.chunk(part))
        await self._write(form.tail())
        took = f" in {human_ms(answer.elapsed_ms)}" if settings.timing else ""
        self._out.narrate(footer(rows, shown=shown, truncated=answer.truncated) + took)

    async def _write(self, text: str) -> None:
        if text:
            await self._out.data(text)


def footer(rows: int, *, shown: int, truncated: bool) -> str:
    """How many rows there were; whatever was left out is said."""
    count = plural(rows, "row")
    if truncated:
        count = f"first {count}; add LIMIT or export for the rest"
    return count if shown == rows else f"{shown:,} shown of {count}"


def unreadable(path: str, error: OSError | UnicodeDecodeError) -> str:
    """Why a file of commands cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return f"cannot read {path}: it is not text (UTF-8)"
    return f"cannot read {path}: {(error.strerror or str(error)).lower()}"
