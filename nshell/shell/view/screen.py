"""A view on the terminal: prompt_toolkit around the state, and what keeps it up to date."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from nshell.shell.commands.acks import applied
from nshell.shell.errors import CommandError
from nshell.shell.takeover import Takeover
from nshell.shell.units import clock
from nshell.shell.view.actions import (
    AddFilter,
    DrawChart,
    Leave,
    ShowPackets,
    SwitchOn,
    TakeBack,
)
from nshell.shell.view.chart import Chart, chart_sql
from nshell.shell.view.draw import draw
from nshell.shell.view.feed import CONNECTION_ROWS, Feed, NameFeed, of_connection, whole
from nshell.shell.view.filtering import Filters
from nshell.shell.view.kinds import KINDS, lack
from nshell.shell.view.presses import press
from nshell.shell.view.state import Page, State
from nshell.shell.view.words import with_port
from nshell.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from prompt_toolkit import Application
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    from nshell.shell.context import Context
    from nshell.shell.prompt.look import Look
    from nshell.shell.runner import Output
    from nshell.shell.view.actions import Action
    from nshell.shell.view.rows import Row

_POLL_SECONDS = 0.3
_NAMES_SECONDS = 2.0
_CHART_SECONDS = 1.0
_SAID_SECONDS = 15.0
_ESCAPE_SECONDS = 0.1
"""After which an ESC is a key, and not the beginning of one."""
_KEYS = (
    "up", "down", "left", "right", "pageup", "pagedown", "home", "end", "tab", "s-tab",
    "c-up", "c-down", "c-n", "c-p", "c-c", "c-d", "c-u", "c-w", "escape", "backspace",
    "enter", "c-j", "f1",
)  # fmt: skip
_NAMED = {"c-i": "tab", "c-m": "enter", "c-j": "enter", "c-h": "backspace"}
"""What prompt_toolkit calls them."""


class View(Takeover):
    """One table, full screen, until a key ends it."""

    def __init__(
        self,
        what: str,
        ctx: Context,
        *,
        keywords: Sequence[str],
        leaving: str,
        note: Callable[[], str],
    ) -> None:
        self._ctx = ctx
        self._note = note
        first = Page(KINDS[what], keywords=list(keywords))
        self._state = State([first], leaving=leaving, human=ctx.settings.human)
        self._feeds = {id(self._state.page): Feed(KINDS[what].table)}
        self._names = NameFeed()
        self._filters = Filters(ctx.client)
        self._app: Application[None] | None = None
        self._tasks: Tasks | None = None
        self._said = 0.0
        self._rows_wanted, self._chart_wanted = asyncio.Event(), asyncio.Event()
        """Somebody waits: do not pause before the next look."""
        self.ended_by = ""
        """The key that ended it: "q", "escape", "c-c" or "c-d"; empty where it was none."""

    async def follow(self, out: Output) -> None:  # noqa: ARG002 - there is nothing to show
        raise CommandError(
            "a view needs a terminal: `SELECT ...` asks once, `watch SELECT ...` again and again"
        )

    def notify(self, text: str) -> None:
        self._say(text)

    async def draw(self, look: Look) -> None:
        app = self._build(look)
        self._app = app
        self._state.unicode = "utf" in app.output.encoding().lower()
        try:
            async with Tasks("view", on_error=self._fail) as tasks:
                self._tasks = tasks
                # A SIGINT from outside is the shell's: it cancels this.
                await app.run_async(pre_run=self._begin, handle_sigint=False)
        finally:
            self._app = self._tasks = None

    def _begin(self) -> None:
        """There is something that a failure can end now."""
        if self._tasks is not None:
            self._tasks.start(self._keep_up(), name="rows")
            self._tasks.start(self._keep_chart(), name="chart")

    def _build(self, look: Look) -> Application[None]:
        from prompt_toolkit import Application  # noqa: PLC0415 - scripts do without
        from prompt_toolkit.layout import (  # noqa: PLC0415
            FormattedTextControl,
            Layout,
            Window,
        )

        control = FormattedTextControl(self._text, focusable=True, show_cursor=False)
        app: Application[None] = Application(
            layout=Layout(Window(control, wrap_lines=False, always_hide_cursor=True)),
            key_bindings=self._bindings(),
            style=look.style,
            color_depth=look.depth,
            full_screen=True,
            mouse_support=False,
        )
        app.ttimeoutlen = _ESCAPE_SECONDS
        app.timeoutlen = _ESCAPE_SECONDS
        return app

    def _bindings(self) -> KeyBindings:
        from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415
        from prompt_toolkit.keys import Keys  # noqa: PLC0415

        bindings = KeyBindings()

        def named(event: KeyPressEvent) -> None:
            key = event.key_sequence[0].key
            name = key.value if isinstance(key, Keys) else key
            self._press(_NAMED.get(name, name))

        def typed(event: KeyPressEvent) -> None:
            # A key that means nothing here comes as its escape sequence.
            if not isinstance(event.key_sequence[0].key, Keys):
                self._press(event.data)

        for key in _KEYS:
            bindings.add(key, eager=key != "escape")(named)
        bindings.add("<any>")(typed)
        bindings.add("<bracketed-paste>")(self._paste)
        bindings.add("<sigint>")(lambda _: None)
        return bindings

    def _paste(self, event: KeyPressEvent) -> None:
        """Pasted text is a keyword, never keys."""
        line = " ".join(event.data.split())
        if line and self._state.over is None:
            for character in line if self._state.page.in_field else f"/{line}":
                self._press(character)

    def _text(self) -> StyleAndTextTuples:
        if self._app is None:
            return []
        size = self._app.output.get_size()
        state = self._state
        state.status = self._ctx.monitor.status
        state.lack = lack(state.page.kind, state.page.set_number, state.status)
        state.made_filter = self._filters.last
        state.note = self._note()
        if state.lasting and time.monotonic() - self._said > _SAID_SECONDS:
            state.message = ""
        text: StyleAndTextTuples = []
        for number, line in enumerate(draw(state, width=size.columns, height=size.rows)):
            text += [("", "\n"), *line] if number else line
        return text

    def _press(self, key: str) -> None:
        self._do(press(self._state, key))
        if self._app is not None:
            self._app.invalidate()

    def _do(self, action: Action) -> None:
        match action:
            case Leave(by=key):
                self.ended_by = key
                if self._app is not None and self._app.is_running and not self._app.is_done:
                    self._app.exit()
            case AddFilter(words=words):
                self._change("filter", partial(self._filters.add, words))
            case TakeBack():
                self._change("filter", self._filters.take_back)
            case SwitchOn(command=command):
                self._say(f"{command} ...")
                self._change(command, partial(self._switch_on, command))
            case ShowPackets(row=row):
                self._show_packets(row)
            case DrawChart():
                self._chart_wanted.set()
            case None:
                pass

    def _change(self, what: str, change: Callable[[], Awaitable[str]]) -> None:
        """A change of the session goes on when the view is left at once."""
        tasks = self._ctx.tasks or self._tasks
        if tasks is not None:
            tasks.start(self._tell(what, change), name="key of a view")

    async def _tell(self, what: str, change: Callable[[], Awaitable[str]]) -> None:
        """What became of a change of the session, in a line."""
        try:
            line = await change()
        except CommandError as error:
            self._say(f"{what}: {error}", wrong=True)
        else:
            self._say(line)

    async def _switch_on(self, command: str) -> str:
        client = self._ctx.client
        what = command.split()[1]
        if command == "capture packets on":
            reply = await client.set_packets(on=True)
        elif command == "capture flows on":
            reply = await client.set_flows(on=True)
        else:
            reply = await client.switch_features([what], on=True)
        return applied(f"{what} on", reply, needed=[what]).text

    def _show_packets(self, row: Row) -> None:
        """Those of the row's connection, on a page of their own."""
        ends = self._state.page.kind.ends
        a, b = (with_port(str(row[f"{end}Addr"]), row[f"{end}Port"]) for end in ends)
        page = Page(KINDS["packets"], title=f"packets of {a} and {b}")
        where = of_connection(row, ends)
        self._feeds[id(page)] = Feed("packet", where=where, most=CONNECTION_ROWS)
        self._state.pages.append(page)
        self._rows_wanted.set()

    def _say(self, text: str, *, wrong: bool = False) -> None:
        if self._app is None:
            self._ctx.notify(text)
            return
        self._said = time.monotonic()
        self._state.say(f"{clock(time.time())} {text}", wrong=wrong, lasting=True)
        self._app.invalidate()

    def _fail(self, error: BaseException) -> None:
        """The session is gone, or we have a mistake in here: either ends the view."""
        if self._app is not None and self._app.is_running and not self._app.is_done:
            self._app.exit(exception=error)

    async def _keep_up(self) -> None:
        """Fetch what is new for the page that is looked at."""
        names_due = 0.0
        while True:
            if time.monotonic() >= names_due:
                await self._try(self._names.poll(self._ctx.client, self._state.names))
                names_due = time.monotonic() + _NAMES_SECONDS
            await self._try(self._fetch(self._state.page))
            if self._app is not None:
                self._app.invalidate()
            await _sleep(_POLL_SECONDS, unless=self._rows_wanted)

    async def _fetch(self, page: Page) -> None:
        news = await self._feeds[id(page)].poll(self._ctx.client, self._state.names)
        page.arrive(news.rows, news.columns, skipped=news.skipped)

    async def _try(self, work: Coroutine[None, None, None]) -> None:
        """What fails is told, and tried again: the connection may come back."""
        try:
            await work
        except CommandError as error:
            if str(error) not in self._state.message:
                self._say(str(error), wrong=True)

    async def _keep_chart(self) -> None:
        while True:
            chart = self._state.over
            if isinstance(chart, Chart):
                await self._try(self._fill(chart))
            await _sleep(_CHART_SECONDS, unless=self._chart_wanted)

    async def _fill(self, chart: Chart) -> None:
        status = self._ctx.monitor.status
        now = (status.now_ns if status is not None else time.time_ns()) // 1_000_000
        since, zoomed = chart.since_ms(now), chart.zoomed
        found = await whole(self._ctx.client, chart_sql(since, now, chart.step))
        if chart.zoomed == zoomed:
            chart.take(now, since, found)


async def _sleep(seconds: float, *, unless: asyncio.Event) -> None:
    """So long, or until the event is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await unless.wait()
    unless.clear()
