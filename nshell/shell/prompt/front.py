"""The prompt: one PromptSession for the whole run, its toolbar alive.

Everything shown while it is open goes through print_formatted_text, above the
line being typed; nothing else writes to the terminal.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory, ThreadedAutoSuggest
from prompt_toolkit.filters import Always, is_done
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout.processors import (
    ConditionalProcessor,
    HighlightMatchingBracketProcessor,
)
from prompt_toolkit.patch_stdout import patch_stdout

from nshell.shell.completion.completer import ShellCompleter, Worlds
from nshell.shell.completion.known import Known, rows_of
from nshell.shell.errors import CommandError, SessionLost
from nshell.shell.escape import escape
from nshell.shell.interactive import converse
from nshell.shell.output.cells import MARK
from nshell.shell.output.screen import Screen
from nshell.shell.pauses import spare_what_is_loaded
from nshell.shell.prompt.echo import echo_off
from nshell.shell.prompt.highlight import ShellLexer, WrongWords
from nshell.shell.prompt.history import open_history
from nshell.shell.prompt.keys import MODES, CursorByMode, build_keys
from nshell.shell.prompt.look import Look, look
from nshell.shell.prompt.toolbar import of_the_shell, toolbar
from nshell.shell.prompt.welcome import HINT, first_time
from nshell.shell.runner import Runner
from nshell.shell.script import command_at
from nshell.shell.settings import give
from nshell.shell.startup import Startup
from nshell.shell.stderr import stderr_aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prompt_toolkit.document import Document

    from nshell.proto import session_pb2 as pb
    from nshell.shell.context import Settings
    from nshell.shell.live import Session
    from nshell.shell.takeover import Takeover

PROMPT = "netobserv> "
CONTINUED = "... "
_REFRESH_SECONDS = 0.5
_ESCAPE_SECONDS = 0.1
"""After which an Escape is one, and not the beginning of another key."""
_VI_MODES = {InputMode.INSERT: "insert", InputMode.NAVIGATION: "normal"}
_NAMES_POLL_SECONDS = 1.0
_NAMES_SECONDS = 15.0
_NAMES_LOCAL_SECONDS = 60.0
"""Without a cluster: only interfaces may be new."""


class _LineCleared(Exception):  # noqa: N818 - a key, not a failure
    """Ctrl-C at the prompt. KeyboardInterrupt would tear down the loop."""


class TerminalOutput:
    """Above the prompt."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._live: Takeover | None = None

    @property
    def look(self) -> Look:
        """As the settings have it now."""
        return look(theme=self._settings.theme, color=self._settings.color != "never")

    async def data(self, text: str) -> None:
        parts = text.split(MARK)
        self.show_parts(*(("class:null" * (n % 2), part) for n, part in enumerate(parts)), end="")
        # Let a Ctrl-C through between two chunks.
        await asyncio.sleep(0)

    def narrate(self, text: str) -> None:
        self.show("class:narration", escape(text))

    def notify(self, text: str) -> None:
        if self._live is not None:
            self._live.notify(text)
        else:
            self.show("class:notice", escape(text))

    async def take_over(self, live: Takeover) -> None:
        self._live = live
        try:
            await live.draw(self.look)
        finally:
            self._live = None

    def show(self, style: str, text: str, *, end: str = "\n") -> None:
        """Text in one style; it has been escaped."""
        self.show_parts((style, text), end=end)

    def show_parts(self, *parts: tuple[str, str], end: str = "\n") -> None:
        """Text in several styles; it has been escaped."""
        now = self.look
        print_formatted_text(FormattedText(parts), end=end, style=now.style, color_depth=now.depth)


class PromptFront:
    """A terminal with somebody at it."""

    def __init__(self, settings: Settings, startup: Sequence[str] = ()) -> None:
        self._settings = settings
        self._startup = Startup(startup)
        self._output = TerminalOutput(settings)
        self._greeting = HINT if first_time() else ()
        self._history = open_history()
        self._prompt: PromptSession[str] | None = None
        self._drawn = asyncio.Event()
        self._described: pb.Description | None = None

    def notify(self, text: str) -> None:
        self._output.notify(text)

    def narrate(self, text: str) -> None:
        self._output.narrate(text)

    def complain(self, text: str) -> None:
        self._output.show("class:error", escape(text))

    def history(self) -> Sequence[str]:
        """Lines typed so far, oldest first."""
        return self._history.get_strings()

    async def run(self, session: Session) -> None:
        self._prompt = self._build(session)
        log = session.host.open_log("shell.err")
        with patch_stdout(), stderr_aside(log), echo_off(sys.stdin.fileno()):
            session.tasks.start(self._connect(session), name="connect")
            for line in self._greeting:
                self._output.show("class:notice", line)
            if self._startup:
                self._drawn.set()
            await self._startup.ready(session, tell=self.narrate)
            runner = Runner(session.context, self._output, Screen())
            await converse(self, runner, unless=[session.ending.future])

    async def read(self) -> str | None:
        """What was submitted; None when Ctrl-D was."""
        if self._prompt is None:
            raise ValueError("read before run")
        if self._startup:
            line = self._startup.next()
            self._output.show_parts(("class:prompt", PROMPT), ("", escape(line)))
            return line
        while True:
            self._dress(self._prompt)
            try:
                return await self._prompt.prompt_async()
            except _LineCleared:
                continue
            except EOFError:
                return None

    def _dress(self, prompt: PromptSession[str]) -> None:
        """What `set` may have changed."""
        now = self._output.look
        prompt.style, prompt.color_depth = now.style, now.depth
        prompt.editing_mode = MODES[self._settings.keys]

    def _keys_changed(self, name: str) -> None:
        give(self._settings, "keys", name, origin="F4")

    def _build(self, session: Session) -> PromptSession[str]:
        registry = session.context.registry
        completer, worlds = self._completion(session)
        lexer = ShellLexer(registry, lambda: worlds.schema)
        prompt: PromptSession[str] = PromptSession(
            FormattedText([("class:prompt", PROMPT)]),
            multiline=True,
            prompt_continuation=CONTINUED.rjust(len(PROMPT)),
            history=self._history,
            auto_suggest=ThreadedAutoSuggest(AutoSuggestFromHistory()),
            completer=completer,
            complete_in_thread=True,
            lexer=lexer,
            input_processors=[
                WrongWords(lexer),
                ConditionalProcessor(HighlightMatchingBracketProcessor("()[]"), ~is_done),
            ],
            key_bindings=build_keys(self._keys_changed),
            cursor=CursorByMode(),
            enable_open_in_editor=True,
            tempfile_suffix=".sql",
            bottom_toolbar=lambda: self._toolbar(session),
            include_default_pygments_style=False,
            refresh_interval=_REFRESH_SECONDS,
            reserve_space_for_menu=6,
            search_ignore_case=True,
            interrupt_exception=_LineCleared,
        )
        # Asked of the session itself it would turn the menu off that opens while typing.
        prompt.default_buffer.enable_history_search = Always()
        prompt.app.ttimeoutlen = _ESCAPE_SECONDS
        prompt.app.after_render += lambda _: self._drawn.set()
        return prompt

    def _toolbar(self, session: Session) -> FormattedText:
        if self._prompt is None:
            return FormattedText()
        app = self._prompt.app
        hint = _hint(session, self._prompt.default_buffer.document)
        width = app.output.get_size().columns
        mode = _VI_MODES.get(app.vi_state.input_mode, "replace")
        also = of_the_shell(
            vi=mode if self._settings.keys == "vi" else "", alerts=len(session.context.alerts)
        )
        return FormattedText(
            toolbar(session.monitor.status, width=width, hint=escape(hint), also=also)
        )

    def _completion(self, session: Session) -> tuple[ShellCompleter, Worlds]:
        """The completer, and what it knows; what it asks of the store goes on behind it."""

        async def more_is_known() -> None:
            if self._prompt is not None:
                await completer.offer_again(self._prompt.default_buffer)

        known = Known(partial(rows_of, session.client), news=more_is_known)
        worlds = Worlds(session.context, seen=known)
        session.tasks.start(known.run(), name="values seen")
        completer = ShellCompleter(
            session.context.registry, lambda: worlds(self._described, session.monitor.status)
        )
        return completer, worlds

    async def _connect(self, session: Session) -> None:
        """gRPC and what it brings are imported once the prompt is on the screen."""
        await self._drawn.wait()
        session.tasks.start(self._describe(session), name="describe")
        session.begin()

    async def _describe(self, session: Session) -> None:
        """Keep what completion knows up to date; the prompt never waits for it."""
        problem = ""
        while True:
            before = _counts(session)
            try:
                described = await session.client.describe()
                if self._described is None:
                    spare_what_is_loaded()
                self._described = described
                problem = ""
            except (CommandError, SessionLost) as error:
                if problem != str(error):
                    problem = str(error)
                    logging.getLogger(__name__).warning("no completion of names: %s", problem)
            await _news_of_names(session, before)


def _hint(session: Session, document: Document) -> str:
    """The usage of the command that the cursor is in."""
    registry = session.context.registry
    begin, end = command_at(
        document.text, document.cursor_position, commands=registry.first_words()
    )
    return registry.hint(document.text[begin:end])


async def _news_of_names(session: Session, before: bytes) -> None:
    """Return when pods have come or gone, and from time to time: others take their place."""
    deadline = time.monotonic() + (_NAMES_SECONDS if before else _NAMES_LOCAL_SECONDS)
    while True:
        await asyncio.sleep(_NAMES_POLL_SECONDS)
        if _counts(session) != before or time.monotonic() > deadline:
            return


def _counts(session: Session) -> bytes:
    """What the latest status says of the cluster, nothing where there is none."""
    status = session.monitor.status
    return status.kubernetes.SerializeToString() if status is not None else b""
