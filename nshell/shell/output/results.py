"""Shows rows: in which layout, how many of them, on the screen or in a pager."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from nshell.shell.errors import why
from nshell.shell.output.cells import Cells
from nshell.shell.output.render import Format, format_named, width
from nshell.shell.units import human_ms, plural

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence

    from nshell.shell.context import Context
    from nshell.shell.output.pager import Command
    from nshell.shell.output.screen import Screen
    from nshell.shell.runner import Output
    from nshell.shell.values import Answer, Row, Table

P = ParamSpec("P")
T = TypeVar("T")

SHOWN_ROWS = 200
"""Of a result on a terminal without a pager; the rest is counted."""
_FOR_PEOPLE = ("table", "vertical", "markdown")
_BELOW = 2
"""Lines that must fit under a result: how many rows there were, the prompt."""
_PORTION = 4096
"""Characters, about, that a terminal gets at once."""
_RENDERED_AT_ONCE = 100
"""Rows; more are rendered in a thread, the prompt's clock goes on."""


@dataclass(slots=True)
class _Tally:
    """What became of a result."""

    rows: int = 0
    shown: int = 0
    wraps: bool = True
    """Its lines may be longer than the screen is wide."""


class Results:
    """Of one front end."""

    def __init__(self, ctx: Context, out: Output, screen: Screen | None) -> None:
        self._ctx = ctx
        self._out = out
        self._screen = screen

    async def words(self, text: str) -> None:
        """An answer in words; a long one goes through the pager too."""
        await self._present(_whole(text), _Tally(), self._pager("table"))

    async def table(self, table: Table, *, blocks: bool = False) -> None:
        """A small answer; `blocks`: a block a row, whatever is set."""
        name = table.format or self._ctx.settings.format
        if not table.rows and table.empty and name in ("table", "vertical"):
            self._out.narrate(table.empty)
            return
        tally = _Tally()
        text = self._text(table.columns, _once(table.rows), tally, name=name, blocks=blocks)
        async with aclosing(text):
            await self._present(text, tally, self._pager(name))

    async def answer(self, answer: Answer, *, blocks: bool = False) -> None:
        """The rows of a query as they arrive, then how many there were."""
        settings, tally = self._ctx.settings, _Tally()
        self._ctx.recall.begin(answer.columns)
        pager = self._pager(settings.format)
        cut = self._ctx.interactive and pager is None and settings.format in ("table", "vertical")
        text = self._text(
            answer.columns,
            answer.chunks,
            tally,
            name=settings.format,
            blocks=blocks,
            most=SHOWN_ROWS if cut else None,
            keep=True,
        )
        async with aclosing(text):
            what = await self._present(text, tally, pager)
        if what:
            self._out.narrate(f"{what} after {plural(tally.rows, 'row')}")
            return
        took = f" in {human_ms(answer.elapsed_ms)}" if settings.timing else ""
        self._out.narrate(footer(tally.rows, shown=tally.shown, truncated=answer.truncated) + took)

    async def _text(
        self,
        columns: Sequence[str],
        chunks: AsyncIterator[Sequence[Row]],
        tally: _Tally,
        *,
        name: str,
        blocks: bool,
        most: int | None = None,
        keep: bool = False,
    ) -> AsyncGenerator[str, None]:
        """The result as text; the first chunk decides how it looks."""
        form: Format | None = None
        async for chunk in chunks:
            tally.rows += len(chunk)
            if keep:
                self._ctx.recall.keep(chunk)
            part = chunk if most is None else chunk[: most - tally.shown]
            tally.shown += len(part)
            if form is None:
                opened, text = await _off_loop(
                    part, self._opening, name, columns, part, blocks=blocks
                )
                form, tally.wraps = opened, opened.wraps
                yield text
            elif part:
                yield await _off_loop(part, form.chunk, part)
        if form is None:
            form, text = self._opening(name, columns, [], blocks=blocks)
            yield text
        yield form.tail()

    def _opening(
        self, name: str, columns: Sequence[str], rows: Sequence[Row], *, blocks: bool
    ) -> tuple[Format, str]:
        """A format, and what it makes of the first rows."""
        cells = self._cells()
        expanded = self._ctx.settings.expanded
        if blocks or (name == "table" and expanded == "on"):
            name = "vertical"
        size = self._screen.size() if self._screen is not None else None
        room = size.columns if size and name == "table" and expanded == "auto" and rows else None
        if room is not None and len("  ".join(columns)) > room:
            name, room = "vertical", None  # no need to lay it out to know
        form = format_named(name, columns, cells)
        text = form.head() + form.chunk(rows)
        if room is not None and width(text) > room:
            return self._opening(name, columns, rows, blocks=True)
        return form, text

    def _cells(self) -> Cells:
        screen = self._screen
        if screen is None or not self._ctx.interactive:
            return Cells()
        return Cells(human=self._ctx.settings.human, marked=not screen.dumb)

    def _pager(self, name: str) -> Command | None:
        """What long results go through; None: they are printed."""
        wanted = self._ctx.interactive and self._ctx.settings.pager == "auto"
        if not wanted or name not in _FOR_PEOPLE or self._screen is None:
            return None
        if self._screen.size() is None:
            return None
        from nshell.shell.output.pager import find_pager  # noqa: PLC0415 - with the first result

        return find_pager(os.environ)

    async def _present(self, text: AsyncIterator[str], tally: _Tally, pager: Command | None) -> str:
        """Print it, or page what is larger than the screen; what ended it early, if anything."""
        size = self._screen.size() if self._screen is not None else None
        if pager is None or size is None:
            async for piece in text:
                await self._write(piece)
            return ""
        held, lines = [], 0
        async for piece in text:
            held.append(piece)
            lines += piece.count("\n")
            too_wide = not tally.wraps and width(piece) > size.columns
            if too_wide or lines > size.lines - _BELOW:
                return await self._page(pager, _chain(held, text), wrap=tally.wraps)
        for piece in held:
            await self._write(piece)
        return ""

    async def _page(self, pager: Command, text: AsyncIterator[str], *, wrap: bool) -> str:
        from nshell.shell.output.pager import Paging  # noqa: PLC0415 - with the first long result

        paging = Paging(pager, text, wrap=wrap, interrupts=self._ctx.interrupts)
        try:
            await self._out.take_over(paging)
        except OSError as error:
            self._out.narrate(f"{pager.words[0]}: {why(error)}")
            await paging.follow(self._out)
        finally:
            for notice in paging.held:
                self._ctx.notify(notice)
        if paging.interrupted:
            return "cancelled"
        return "the pager was closed" if paging.left_early else ""

    async def _write(self, text: str) -> None:
        if self._screen is None:
            if text:
                await self._out.data(text)
            return
        for piece in _portions(text):
            await self._out.data(piece)


def footer(rows: int, *, shown: int, truncated: bool) -> str:
    """How many rows there were; whatever was left out is said."""
    count = plural(rows, "row")
    if truncated:
        count = f"first {count}; add LIMIT or export for the rest"
    return count if shown == rows else f"{shown:,} shown of {count}"


def _portions(text: str) -> Iterator[str]:
    """Whole lines, few enough that a Ctrl-C finds its way in between on a slow terminal."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PORTION) + 1 or len(text)
        yield text[start:end]
        start = end


async def _once(rows: Sequence[Row]) -> AsyncIterator[Sequence[Row]]:
    yield rows


async def _whole(text: str) -> AsyncIterator[str]:
    yield text


async def _chain(first: Sequence[str], rest: AsyncIterator[str]) -> AsyncIterator[str]:
    for piece in first:
        yield piece
    async for piece in rest:
        yield piece


async def _off_loop(
    rows: Sequence[Row], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    if len(rows) <= _RENDERED_AT_ONCE:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
