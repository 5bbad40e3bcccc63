"""A watch that runs: drawn in place on a terminal, appended line by line elsewhere."""

from __future__ import annotations

import asyncio
import os
import termios
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nshell.shell.errors import CommandError, SessionLost
from nshell.shell.escape import escape
from nshell.shell.output.cells import EXACT, Cells
from nshell.shell.output.render import render
from nshell.shell.output.screen import dumb_screen
from nshell.shell.takeover import Takeover
from nshell.shell.units import clock, human_ms, plural
from nshell.shell.watch.asking import ask, due, unless
from nshell.shell.watch.follow import compare
from nshell.shell.watch.screen import Screen
from nshell.shell.watch.spark import marks_for
from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit import Application
    from prompt_toolkit.output import Output as Terminal

    from nshell.shell.context import Context
    from nshell.shell.prompt.look import Look
    from nshell.shell.runner import Output
    from nshell.shell.watch.asking import Ran
    from nshell.shell.watch.words import Watching

_DRAW_SECONDS = 0.5
_ESCAPE_SECONDS = 0.05
"""What comes that soon after ESC belongs to it."""


class Watch(Takeover):
    """One query, run until a key, the count or Ctrl-C ends it; never twice at once."""

    def __init__(self, ctx: Context, watching: Watching, first: Ran) -> None:
        self._ctx = ctx
        self._watching = watching
        self._first = first
        self._screen: Screen | None = None
        self._wake = asyncio.Event()
        """A key has changed when the query is due."""

    def notify(self, text: str) -> None:
        if self._screen is not None:
            self._screen.notify(text)

    async def draw(self, look: Look) -> None:
        from prompt_toolkit.application import get_app_session  # noqa: PLC0415 - late, as all of it

        terminal = get_app_session().output
        screen = self._screen = Screen(
            self._watching.statement,
            self._watching.every,
            Cells(human=self._ctx.settings.human),
            marks_for(terminal.encoding(), os.environ),
        )
        screen.take(compare(None, self._first.columns, self._first.rows), self._first)
        if self._watching.times == 1:
            _leave_behind(screen, look, terminal)
            return
        app = self._app(screen, look, terminal)
        try:
            async with Tasks("watch", on_error=lambda error: _end(app, error)) as tasks:
                tasks.start(self._keep_asking(screen, app), name="ask")
                _forget_keys(app)
                # Ctrl-C is a key here; a SIGINT from elsewhere is the front end's.
                await app.run_async(handle_sigint=False)
        finally:
            self._screen = None
            _leave_behind(screen, look, terminal)

    async def _keep_asking(self, screen: Screen, app: Application[None]) -> None:
        began, ended = self._first.began, self._first.ended
        while self._watching.times is None or screen.runs < self._watching.times:
            await self._until_due(screen, began, ended)
            began = screen.asked = time.monotonic()
            try:
                ran = await ask(self._ctx.client, self._watching.statement)
                # A thousand rows of many columns take longer than a key may wait.
                frame = await asyncio.to_thread(compare, screen.frame, ran.columns, ran.rows)
                screen.take(frame, ran)
            except (CommandError, SessionLost) as error:
                screen.fail(str(error))
            screen.asked, ended = None, time.monotonic()
            app.invalidate()
        _end(app, None)

    async def _until_due(self, screen: Screen, began: float, ended: float) -> None:
        while True:
            rest = due(began, ended, screen.every) - time.monotonic()
            if rest <= 0 and not screen.paused:
                return
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), None if screen.paused else rest)
            except TimeoutError:
                continue

    def _app(self, screen: Screen, look: Look, terminal: Terminal) -> Application[None]:
        from prompt_toolkit import Application  # noqa: PLC0415 - late, as all of it
        from prompt_toolkit.formatted_text import FormattedText  # noqa: PLC0415
        from prompt_toolkit.layout import FormattedTextControl, Layout, Window  # noqa: PLC0415

        from nshell.shell.watch.keys import watch_keys  # noqa: PLC0415

        def text() -> FormattedText:
            size = terminal.get_size()
            lines = screen.lines(size.columns, size.rows, now=time.monotonic())
            return FormattedText(_joined(lines))

        control = FormattedTextControl(text, show_cursor=False)
        app: Application[None] = Application(
            layout=Layout(Window(control, always_hide_cursor=True)),
            key_bindings=watch_keys(screen, self._wake.set),
            full_screen=True,
            erase_when_done=True,
            refresh_interval=_DRAW_SECONDS,
            style=look.style,
            color_depth=look.depth,
        )
        app.ttimeoutlen = _ESCAPE_SECONDS
        return app

    async def follow(self, out: Output) -> None:
        """Each result as data, a line with the time before it as narration."""
        with self._stopped() as stopped:
            await self._append(out, self._first)
            runs, began, ended = 1, self._first.began, self._first.ended
            while self._watching.times is None or runs < self._watching.times:
                rest = due(began, ended, self._watching.every) - time.monotonic()
                await unless(stopped, asyncio.sleep(max(0.0, rest)))
                began = time.monotonic()
                try:
                    ran = await unless(stopped, ask(self._ctx.client, self._watching.statement))
                    if ran is None:
                        return
                    await self._append(out, ran)
                except CommandError as error:
                    out.narrate(f"{clock(time.time())}  {escape(str(error))}; trying again")
                runs, ended = runs + 1, time.monotonic()

    async def _append(self, out: Output, ran: Ran) -> None:
        rows = plural(len(ran.rows), "row")
        first = "first " if ran.more else ""
        out.narrate(f"{clock(ran.at)}  {first}{rows} in {human_ms(ran.elapsed_ms)}")
        settings = self._ctx.settings
        read = self._ctx.interactive and dumb_screen() is not None
        cells = Cells(human=settings.human) if read else EXACT
        await out.data(render(settings.format, ran.columns, ran.rows, cells))

    @contextmanager
    def _stopped(self) -> Iterator[asyncio.Event]:
        """Set by the first Ctrl-C, where somebody sits there; a script is ended by it."""
        if not self._ctx.interactive:
            yield asyncio.Event()
            return
        with self._ctx.interrupts.first_one() as stopped:
            yield stopped


def _forget_keys(app: Application[None]) -> None:
    """Those typed before there was anything to see were not meant to end it."""
    from prompt_toolkit.input.typeahead import clear_typeahead  # noqa: PLC0415 - late, as all of it

    clear_typeahead(app.input)
    with suppress(OSError, termios.error, NotImplementedError):
        termios.tcflush(app.input.fileno(), termios.TCIFLUSH)


def _end(app: Application[None], error: BaseException | None) -> None:
    """End it, unless it is ending."""
    if not app.is_running or app.future is None or app.future.done():
        return
    if error is None:
        app.exit()
    else:
        app.exit(exception=error)


def _joined(lines: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    pieces: list[tuple[str, str]] = []
    for line in lines:
        pieces += [*line, ("", "\n")]
    return pieces[:-1]


def _leave_behind(screen: Screen, look: Look, terminal: Terminal) -> None:
    """The last result, and what was told meanwhile, stay on the screen below."""
    from prompt_toolkit import print_formatted_text  # noqa: PLC0415 - late, as all of it
    from prompt_toolkit.formatted_text import FormattedText  # noqa: PLC0415

    size = terminal.get_size()
    lines = screen.last(size.columns, size.rows - 2)
    text = FormattedText(_joined(lines))
    print_formatted_text(text, style=look.style, color_depth=look.depth)
