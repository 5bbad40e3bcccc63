"""The prompt: one PromptSession for the whole run, its toolbar alive.

Everything shown while it is open goes through print_formatted_text, above the
line being typed; nothing else writes to the terminal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.patch_stdout import patch_stdout

from nshell.filters import PREDICATES
from nshell.shell.completer import ShellCompleter, world_of
from nshell.shell.errors import CommandError, SessionLost
from nshell.shell.escape import escape
from nshell.shell.features import FEATURES
from nshell.shell.highlight import ShellLexer
from nshell.shell.history import open_history
from nshell.shell.interactive import converse
from nshell.shell.keys import build_keys
from nshell.shell.look import Look, look
from nshell.shell.runner import Runner
from nshell.shell.stderr import stderr_aside
from nshell.shell.toolbar import toolbar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.proto import session_pb2 as pb
    from nshell.shell.kinds import World
    from nshell.shell.live import Session
    from nshell.shell.takeover import Takeover

PROMPT = "netobserv> "
CONTINUED = "... "
_REFRESH_SECONDS = 0.5
_NAMES_POLL_SECONDS = 1.0
_NAMES_SECONDS = 15.0
_NAMES_LOCAL_SECONDS = 60.0
"""Without a cluster: only interfaces may be new."""
_KEYWORDS = (
    "accept", "reject", "for", "where", "until", "timeout", "on", "off", "flows", "packets",
    "list", "add", "del", "replace", "clear", "pcap", "pcapng", "csv", "json", "db", *FEATURES,
)  # fmt: skip


class _LineCleared(Exception):  # noqa: N818 - a key, not a failure
    """Ctrl-C at the prompt. KeyboardInterrupt would tear down the loop."""


class TerminalOutput:
    """Above the prompt."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._live: Takeover | None = None

    async def data(self, text: str) -> None:
        self.show("", text, end="")
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
            await live.draw(self._look)
        finally:
            self._live = None

    def show(self, style: str, text: str, *, end: str = "\n") -> None:
        """Text in one style; it has been escaped."""
        fragments = FormattedText([(style, text)])
        print_formatted_text(
            fragments, end=end, style=self._look.style, color_depth=self._look.depth
        )


class PromptFront:
    """A terminal with somebody at it."""

    def __init__(self, *, color: bool) -> None:
        self._look = look(color=color)
        self._output = TerminalOutput(self._look)
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
        with patch_stdout(), stderr_aside(session.host.open_log("shell.err")):
            session.tasks.start(self._connect(session), name="connect")
            runner = Runner(session.context, self._output)
            await converse(self, runner, unless=[session.ending.future])

    async def read(self) -> str | None:
        """What was submitted; None when Ctrl-D was."""
        if self._prompt is None:
            raise ValueError("read before run")
        while True:
            try:
                return await self._prompt.prompt_async()
            except _LineCleared:
                continue
            except EOFError:
                return None

    def _build(self, session: Session) -> PromptSession[str]:
        registry = session.context.registry
        prompt: PromptSession[str] = PromptSession(
            FormattedText([("class:prompt", PROMPT)]),
            multiline=True,
            prompt_continuation=CONTINUED.rjust(len(PROMPT)),
            history=self._history,
            completer=ShellCompleter(registry, lambda: self._world(session)),
            complete_in_thread=True,
            lexer=ShellLexer(commands=registry.first_words(), keywords=(*_KEYWORDS, *PREDICATES)),
            key_bindings=build_keys(),
            bottom_toolbar=lambda: self._toolbar(session),
            refresh_interval=_REFRESH_SECONDS,
            reserve_space_for_menu=6,
            search_ignore_case=True,
            style=self._look.style,
            color_depth=self._look.depth,
            interrupt_exception=_LineCleared,
        )
        prompt.app.after_render += lambda _: self._drawn.set()
        return prompt

    def _toolbar(self, session: Session) -> FormattedText:
        if self._prompt is None:
            return FormattedText()
        app = self._prompt.app
        hint = session.context.registry.hint(self._prompt.default_buffer.text)
        width = app.output.get_size().columns
        return FormattedText(toolbar(session.monitor.status, width=width, hint=escape(hint)))

    def _world(self, session: Session) -> World:
        return world_of(
            session.context.registry,
            described=self._described,
            status=session.monitor.status,
        )

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
                self._described = await session.client.describe()
                problem = ""
            except (CommandError, SessionLost) as error:
                if problem != str(error):
                    problem = str(error)
                    logging.getLogger(__name__).warning("no completion of names: %s", problem)
            await _news_of_names(session, before)


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
